"""The commands that train: one per algorithm of the catalog, and `resume`."""

import json
import sys
from contextlib import redirect_stdout
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlgen import catalog
from rlgen.cli.options import Json, Quiet, Run, Runs, Trust, examples, number, with_settings
from rlgen.core.config import read_file
from rlgen.core.errors import Diverged, Interrupted
from rlgen.core.folder import Folder
from rlgen.core.terminal import show

if TYPE_CHECKING:
    from rlgen.session import Session

HELP = {"help_option_names": ["-h", "--help"]}


def register(app: typer.Typer, panel: str) -> None:
    """Add `resume` and a stub per algorithm, which `command` replaces when it is called."""
    for entry in catalog.CATALOG.values():

        def stub() -> None: ...

        app.command(entry.name, help=entry.summary, rich_help_panel=panel)(stub)
    end = examples("rlgen resume", "rlgen resume dqn-CartPole-1 --budget 60000")
    app.command(rich_help_panel=panel, epilog=end)(resume)


def command(entry: catalog.Entry, words: list[str]) -> Any:
    """The full command of an algorithm, with an option for each of its settings."""
    from rlgen.core.settings import Plan, Setup

    settings = (entry.config, Setup, Plan)
    stand_in = entry.kind.fallback

    def train(
        given: dict[str, Any],
        task: Annotated[
            str,
            typer.Argument(
                metavar="TASK",
                help=f"{entry.kind.task.capitalize()}, such as {entry.task}: see `rlgen list {entry.kind.topic}`",
            ),
        ],
        runs: Runs = Path("runs"),
        name: Annotated[str | None, typer.Option("--name", help="Name of the run's folder", show_default=False)] = None,
        config: Annotated[
            Path | None,
            typer.Option(
                "--config",
                metavar="FILE",
                help="Settings in TOML or JSON, or the run.json of another run; options override it",
                show_default=False,
            ),
        ] = None,
        preset: Annotated[
            str | None,
            typer.Option("--preset", help="Another preset of the task, such as long", show_default=False),
        ] = None,
        fallback: Annotated[
            bool,
            typer.Option(
                "--fallback/--no-fallback",
                help=f"Train on {stand_in} where the dataset cannot be downloaded",
            ),
        ] = True,
        quiet: Quiet = False,
        json_: Json = False,
    ) -> None:
        from rlgen.report.console import activity

        file = read_file(config, settings) if config else {}
        with activity("loading", quiet=quiet):
            from rlgen import preparation, session
        task, notice = preparation.canonical(entry, task, data=given.get("data", file.get("data")), fallback=fallback)
        if notice:
            print(notice, file=sys.stderr)
        with activity("loading", quiet=quiet):
            prepared = session.prepare(
                entry.name, task, given, runs=runs, name=name, file=file, preset=preset, argv=sys.argv
            )
        train_session(prepared, quiet, json_)

    defaults, whose = _defaults(entry, words)
    typed = typer.Typer(add_completion=False)
    typed.command(
        entry.name,
        help=f"{entry.summary}.\n\n{whose}",
        epilog=examples(
            f"rlgen {entry.name} {entry.task}", f"rlgen {entry.name} {entry.task} --seed 1 --lr 0.0005 --name try-1"
        ),
        context_settings=HELP,
    )(with_settings(train, settings, defaults, () if stand_in else ("fallback",)))
    return typer.main.get_command(typed)


def _defaults(entry: catalog.Entry, words: list[str]) -> tuple[dict[str, Any], str]:
    """For the help: the settings of a preset and a text about it.

    `rlgen dqn --help CartPole` and `rlgen dqn CartPole --help` show the preset of CartPole.
    """
    if not {"-h", "--help"} & set(words):
        return {}, ""  # no help is shown
    order = "Options override --config, which overrides the preset."
    task = _task(words)
    if task is None:
        tasks = dict.fromkeys([*entry.tuned_for, *entry.expected])
        scores = [f"{name.replace(':', ' --preset ')}: {entry.expected.get(name, 'not measured')}" for name in tasks]
        example = f"`rlgen {entry.name} {entry.task} --help` shows the preset of a task."
        return dict(entry.preset), "\n\n".join([f"{order} {example}", "Presets and their measured scores:", *scores])
    from rlgen.preparation import preset_names

    typed = {name: _value(words, name) for name in entry.selects}
    names = preset_names(entry, task, _value(words, "preset"), typed)
    score = next((entry.expected[name] for name in reversed(names) if name in entry.expected), "not measured")
    settings = {name: value for layer in entry.presets(*names) for name, value in layer.items()}
    return settings, f"The defaults are those of the preset for {names[0]}; its measured score: {score}. {order}"


def _value(words: list[str], name: str) -> str | None:
    """The value of the option called `name`, where it is typed."""
    after = next((after for word, after in pairwise(words) if word == f"--{name}"), None)
    return next((word.split("=", 1)[1] for word in words if word.startswith(f"--{name}=")), after)


def _task(words: list[str]) -> str | None:
    """The first of the words that is neither an option nor the value of one."""
    alone = ("-h", "--help", "-q", "--quiet", "--json", "--fallback")
    for before, word in pairwise(["", *words]):
        value = before.startswith("-") and "=" not in before and not before.startswith(("--no-", *alone))
        if not word.startswith("-") and not value:
            return word
    return None


def resume(
    run: Run = "latest",
    budget: Annotated[int | None, number("--budget", "New budget, in steps or images")] = None,
    stop_at: Annotated[
        float | None, typer.Option("--stop-at", help="New score at which training stops; inf: none", show_default=False)
    ] = None,
    on_divergence: Annotated[
        str | None,
        typer.Option("--on-divergence", help="stop, or rollback to the last checkpoint at half the learning rate"),
    ] = None,
    runs: Runs = Path("runs"),
    trust: Trust = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Continue a run that was stopped, in its own folder."""
    from rlgen.report.console import activity

    folder = Folder.find(runs, run)
    typed = {"budget": budget, "stop_at": stop_at, "on_divergence": on_divergence}
    given = {name: value for name, value in typed.items() if value is not None}
    with activity("loading", quiet=quiet):
        from rlgen import session

        reopened = session.reopen(folder, given, trust)
    train_session(reopened, quiet, json_)


def train_session(session: "Session", quiet: bool, json_: bool) -> None:
    """Train, then print the final scores and the commands that come next."""
    run, entry = session.run, session.entry
    try:
        with redirect_stdout(sys.stderr):  # what an environment prints: stdout is for results
            report = session.train(quiet=quiet)
    except (Diverged, Interrupted):
        if json_:
            _print_json(run)
        raise
    info = run.info
    if json_:
        _print_json(run, **report.values)
    elif quiet:
        show(run.directory)
    else:
        from rlgen.core.fit import ended_early

        show("", *report.lines)
        early = f", {ended_early(run, session.plan)}" if info["time"] < session.plan.budget else ""
        print(f"trained {info['time']:,} {entry.kind.unit} in {info['seconds']:,.1f} s{early}")
        files = sorted(path.name for path in run.directory.iterdir() if path.name != "run.lock")
        show(f"files   {'  '.join(files)}")
        show(f"next    {'   '.join(f'rlgen {verb} {run.directory}' for verb in entry.kind.verbs)}")


def _print_json(run: Folder, **scores: Any) -> None:
    keys = ("status", "algorithm", "task", "seed", "time", "seconds")
    print(json.dumps({"run": str(run.directory), **{key: run.info.get(key) for key in keys}, **scores}))
