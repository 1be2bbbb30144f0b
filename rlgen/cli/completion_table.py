"""The static table of completions, made from the commands: `python -m rlgen.cli.completion_table` writes table.json.

Commands, options and their choices change with the code alone, and to import them all takes a second.
"""

import json
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

FILE = Path(__file__).parents[1] / "completion" / "table.json"
KINDS = {  # what a metavar stands for, besides the choices of an option
    "RUN": "runs",
    "RUN...": "runs...",
    "RUN RUN...": "runs...",
    "NETWORK|RUN": "networks or runs",
    "TASK": "tasks",
    "TABLE": "topics",
    "TAG": "tags",
    "TAG...": "tags...",
    "NAME,NAME": "metrics",
    "ALGORITHM": "algorithms",
    "LESSON": "lessons",
}
BY_NAME = {"--preset": "presets", "--network": "networks", "--discriminator": "networks", "--init-from": "runs"}


def build() -> dict[str, Any]:
    """The table: commands with their options, tasks by kind, presets, networks, metrics."""
    from typer.main import get_command

    from rlgen import catalog, kinds, networks
    from rlgen.cli.main import app
    from rlgen.lessons import schema

    group: Any = get_command(app)
    context = group.context_class(group, info_name="rlgen")
    settings: dict[str, dict[str, Any]] = {}
    commands = {}
    for name in list(group.commands):
        _, command, _ = group.resolve_command(context, [name])
        entry = catalog.CATALOG.get(name)
        options, arguments = _parameters(command)
        key = f"{entry.kind.name} {entry.settings}" if entry else ""
        if entry:
            settings.setdefault(key, options)
            options = {flag: value for flag, value in options.items() if settings[key].get(flag) != value}
        text = (command.help or "").split("\n")[0].split(". ")[0].rstrip(".")
        kind = entry.kind.name if entry else ""
        commands[name] = {"help": text, "kind": kind, "settings": key, "options": options, "arguments": arguments}
    panels = (panel for kind in kinds.KINDS.values() for panel in kind.panels)
    return {
        "commands": commands,
        "settings": settings,
        "tasks": {kind.name: [row[0] for row in kind.tasks.listing()] for kind in kinds.KINDS.values()},
        "presets": {name: _presets(entry) for name, entry in catalog.CATALOG.items()},
        "networks": {name: network.summary for name, network in networks.NETWORKS.items()},
        "topics": list(catalog.TOPICS),
        "algorithms": list(catalog.CATALOG),
        "lessons": schema.names(),
        "metrics": list(dict.fromkeys(metric for panel in panels for metric in panel.metrics)),
    }


def _parameters(command: Any) -> tuple[dict[str, Any], list[str]]:
    """Options with the kind of their value, empty for a flag; kinds of the arguments."""
    options: dict[str, Any] = {"--help": ""}
    arguments = []
    for parameter in command.params:
        kind: Any = KINDS.get(parameter.metavar or "", "files")
        kind = _choices(parameter) or kind
        if parameter.param_type_name == "argument":
            arguments.append(kind)
            continue
        for flag in (*parameter.opts, *parameter.secondary_opts):
            options[flag] = "" if parameter.is_flag else BY_NAME.get(flag, kind)
    return options, arguments


def _choices(parameter: Any) -> list[str]:
    """The values of a parameter that has a few only; versions of typer keep them in different places."""
    if hasattr(parameter, "type_descriptor"):
        annotation = parameter.type_descriptor.annotation
        members = [annotation, *get_args(annotation)]  # the annotation itself, or a part of `X | None`
        return [str(value) for each in members if get_origin(each) is Literal for value in get_args(each)]
    return [str(getattr(choice, "value", choice)) for choice in getattr(parameter.type, "choices", None) or ()]


def _presets(entry: Any) -> dict[str, list[str]]:
    """Names for --preset, by task."""
    found: dict[str, list[str]] = {}
    for task in entry.tuned_for:
        name, _, preset = task.partition(" --")[0].partition(":")
        if preset and preset not in found.setdefault(name, []):
            found[name].append(preset)
    return found


if __name__ == "__main__":
    FILE.write_text(json.dumps(build(), separators=(",", ":"), ensure_ascii=False) + "\n", "utf-8")
    print(FILE)
