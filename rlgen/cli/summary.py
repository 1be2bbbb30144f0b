"""`rlgen summary`: the table of a network by its name, or of the networks of an algorithm or a run."""

import json
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlgen import catalog, kinds, networks
from rlgen.cli.options import Json, Runs, Trust, annotation, at_least, examples, with_options
from rlgen.core.config import options, refuse_unused, resolve
from rlgen.core.errors import UserError, did_you_mean
from rlgen.core.folder import Folder

if TYPE_CHECKING:
    from rlgen.networks.settings import NetworkSettings
    from rlgen.networks.speed import Speed
    from rlgen.networks.summary import Summary

EPOCH = 50_000  # images, for the expected minutes of a network without a dataset
WIDTH = 200  # columns where the output is no terminal
HIDDEN = ("network", "init", "init_std")  # settings that change no count
SECONDS = 2.0  # of training steps by which the speed of an algorithm is measured
END = (
    "rlgen summary vgg16",
    "rlgen summary vae --task digits",
    "rlgen summary resnet20 --width 2 --json",
    "rlgen summary lenet5 --quiz",
)


@dataclass(frozen=True)
class Found:
    """What the command prints."""

    tables: "list[Summary]"
    values: dict[str, Any]  # JSON-ready, beside those of the tables
    facts: list[list[str]] = field(default_factory=list)  # rows of a name and a text, below the totals


def register(app: typer.Typer, panel: str) -> None:
    """Add a stub, which `command` replaces when it is called."""
    app.command("summary", help=summary.__doc__, rich_help_panel=panel)(lambda: None)


def command() -> Any:
    """The full command, with an option for each setting of a network that changes a count."""
    from rlgen.networks.settings import NetworkSettings

    given = {o.name: annotation(o, {}) for o in options(NetworkSettings) if o.name not in HIDDEN}
    typed = typer.Typer(add_completion=False)
    settings = {"help_option_names": ["-h", "--help"]}
    typed.command("summary", epilog=examples(*END), context_settings=settings)(with_options(summary, "given", given))
    return typer.main.get_command(typed)


def summary(
    given: dict[str, Any],
    name: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK|RUN",
            help="A network, such as vgg16; an algorithm, such as gan; or a path or name of a run, or latest",
        ),
    ],
    input_: Annotated[
        str | None,
        typer.Option("--input", metavar="CxHxW", help="Shape of an image: channels, height, width", show_default=False),
    ] = None,
    classes: Annotated[
        int | None,
        typer.Option("--classes", parser=at_least(2), metavar="INTEGER", help="Number of classes", show_default=False),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option("--task", help="Task of an algorithm, such as CartPole or digits", show_default=False),
    ] = None,
    time: Annotated[bool, typer.Option("--time/--no-time", help="Measure the training speed")] = True,
    quiz: Annotated[
        bool, typer.Option("--quiz", help="Ask for the shape and parameters of each layer, and check the answers")
    ] = False,
    trust: Trust = False,
    runs: Runs = Path("runs"),
    json_: Json = False,
) -> None:
    """Shapes, parameters, multiply-adds, receptive fields and memory of a network, layer by layer."""
    if quiz and json_:
        raise UserError("--quiz is a dialogue, --json is data: leave out one of them")
    from rlgen.report.console import activity

    found = _found(runs, name)
    if task and not isinstance(found, catalog.Entry):
        raise UserError(f"--task {task}: {name} is no algorithm: `rlgen summary {catalog.first(kinds.AGENT).name}`")
    if isinstance(found, catalog.Entry):
        typed = [*(f"--{key}" for key, value in (("input", input_), ("classes", classes)) if value), *given]
        if typed:
            raise UserError(f"{typed[0]}: {found.name} takes the shape of its task and the settings of its preset")
        with activity("measuring" if time and not quiz else "loading"):
            shown = of_algorithm(found, task or found.task, time and not quiz)
    elif isinstance(found, Folder):
        typed = [*(f"--{key}" for key, value in (("input", input_), ("classes", classes)) if value), *given]
        if typed:
            raise UserError(f"{typed[0]}: the shape, classes and settings of {found.name} are those of its training")
        with activity("loading"):
            shown = _run(found, trust)
    else:
        shape = parse_shape(input_) if input_ else found.input
        with activity("loading"):
            from rlgen.networks.settings import NetworkSettings
        settings = resolve(NetworkSettings, {**given, "network": found.name})
        refuse_unused(settings, given)
        with activity("measuring" if time and not quiz else "counting"):
            shown = _network(found, shape, classes or found.classes, settings, time and not quiz)
    if quiz:
        from rlgen.cli.quiz import quiz as ask

        for table in shown.tables:
            ask(table)
    elif json_:
        print(json.dumps({**shown.values, "networks": [table.values() for table in shown.tables]}))
    else:
        _print(shown)


def parse_shape(text: str) -> tuple[int, int, int]:
    """`3x224x224` as numbers. Raises UserError for anything else."""
    if not re.fullmatch(r"\d+x\d+x\d+", text) or 0 in (sizes := tuple(map(int, text.split("x")))):
        raise UserError(f"--input {text}: give channels, height and width, such as 3x224x224 or 1x28x28")
    channels, height, width = sizes
    return channels, height, width


def _found(runs: Path, name: str) -> Folder | networks.Network | catalog.Entry:
    """The network, algorithm or run called `name`. Raises UserError where there is none of them."""
    if name.lower() in catalog.CATALOG:
        return catalog.find(name)
    try:
        return networks.find(name)
    except UserError as unknown:
        try:
            return Folder.find(runs, name)
        except UserError as error:
            raise (unknown if did_you_mean(name, networks.NETWORKS) else UserError(f"{error}; {_networks()}")) from None


def _networks() -> str:
    return "networks are " + ", ".join(networks.NETWORKS)


def _network(
    entry: networks.Network, shape: tuple[int, int, int], classes: int, settings: "NetworkSettings", time: bool
) -> Found:
    """A network by its name; with `time` its training speed is measured."""
    import torch

    from rlgen.core import cores
    from rlgen.networks import speed
    from rlgen.networks.corrections import corrections
    from rlgen.networks.summary import summarize

    if min(shape[1:]) < (smallest := entry.minimum(shape, settings.stem)):
        raise UserError(
            f"{entry.name} needs images of at least {smallest}x{smallest} pixels:"
            f" --input {shape[0]}x{smallest}x{smallest}"
        )
    with torch.device("meta"):
        network = networks.build(entry.name, shape, classes, settings)
    table = summarize(network, torch.zeros(1, *shape), name=entry.name)
    found = Found([table], {"classes": classes})
    if time:
        torch.set_num_threads(cores.threads())
        network = networks.build(entry.name, shape, classes, settings)
        measured = speed.measure(network, shape, speed.batch_size(table.macs, table.activations))
        found.values["images_per_second"] = measured.images_per_second
        found.facts.append(["time", _measured(measured)])
    if (shape, classes, settings) == (entry.input, entry.classes, type(settings)(network=entry.name)):
        counted = table.parameters - sum(table.unused.values())
        if entry.parameters:
            same = "the same" if counted == entry.parameters else f"{counted - entry.parameters:+,} here"
            found.facts.append(["published", f"{entry.parameters:,} parameters, {same}"])
        found.values.update(published_parameters=entry.parameters, corrections=corrections(table))
        found.facts.extend(["notes" if i == 0 else "", sentence] for i, sentence in enumerate(corrections(table)))
    return found


def _run(folder: Folder, trust: bool) -> Found:
    """The networks of a run, with the speed of its training."""
    from rlgen import preparation, session
    from rlgen.core.algorithm import HasNetworks
    from rlgen.networks.summary import summarize

    algorithm = session.restore(folder, trust=trust)
    if not isinstance(algorithm, HasNetworks):
        raise UserError(f"{folder.name} has no network: `rlgen summary` is for runs of {_with_networks()}")
    tables = [summarize(network, *inputs, name=name) for name, (network, inputs) in algorithm.networks().items()]
    found, info, unit = Found(tables, {"run": folder.name}), folder.info, preparation.entry_of(folder).kind.unit
    if info["time"] and info.get("seconds"):
        rate = info["time"] / info["seconds"]
        found.values[f"{unit}_per_second"] = rate
        epoch = algorithm.epoch_images
        minutes = f", {epoch / rate / 60:.1f} min per pass over {epoch:,} images" if epoch else ""
        found.facts.append(["time", f"{rate:,.0f} {unit}/s{minutes}, measured in its training on {info['device']}"])
    return found


def of_algorithm(entry: catalog.Entry, task: str, time: bool) -> Found:
    """The networks of an algorithm with the preset of a task; with `time` the minutes that its training takes.

    Its speed is that of steps with a loss: an agent collects transitions before it learns.
    """
    import time as clock

    from rlgen import preparation
    from rlgen.core.algorithm import HasNetworks
    from rlgen.networks.summary import summarize

    task, _ = preparation.canonical(entry, task)
    names = preparation.preset_names(entry, task)
    config, setup, plan = preparation.settings_of(entry, names, {})
    algorithm = preparation.make(entry, task, config, setup)
    if not isinstance(algorithm, HasNetworks):
        raise UserError(f"{entry.name} has no network: `rlgen summary` is for {_with_networks()}")
    tables = [summarize(network, *inputs, name=name) for name, (network, inputs) in algorithm.networks().items()]
    unit = entry.kind.unit
    found = Found(tables, {"algorithm": entry.name, "task": task, "budget": plan.budget})
    found.facts.append(["task", f"{names[0]}: {'  '.join(algorithm.describe_task().values())}"])
    found.facts.append(["budget", f"{plan.budget:,} {unit}"])
    began, learned, spent = clock.perf_counter(), 0, 0.0
    while time and clock.perf_counter() - began < SECONDS:
        before, start = algorithm.time, clock.perf_counter()
        if any("loss" in metric for metric in algorithm.step()):
            learned, spent = learned + algorithm.time - before, spent + clock.perf_counter() - start
    if spent:
        rate = learned / spent
        found.values.update({f"{unit}_per_second": rate, "minutes": plan.budget / rate / 60})
        text = f"{plan.budget / rate / 60:.1f} min for the budget, without evaluations: {rate:,.0f} {unit}/s"
        found.facts.append(["time", f"{text} on this machine, measured over {learned:,} {unit}"])
    elif time:
        found.facts.append(["time", f"no step with a loss in the first {SECONDS:.0f} s: no speed was measured"])
    if expected := next((entry.expected[name] for name in names if name in entry.expected), None):
        found.facts.append(["expected", expected])
    return found


def _with_networks() -> str:
    """Names of the algorithms that have tables."""
    return ", ".join(e.name for e in catalog.CATALOG.values() if hasattr(e.algorithm, "networks"))


def _measured(speed: "Speed") -> str:
    """The speed and the minutes of an epoch."""
    return (
        f"{speed.minutes(EPOCH):.1f} min per {EPOCH:,} images on this machine, measured over {speed.steps} training"
        f" step{'s' * (speed.steps > 1)} of {speed.batch} images on {speed.threads} threads:"
        f" {speed.images_per_second:,.0f} images/s"
    )


def _print(found: Found) -> None:
    from rlgen.core.tables import table as aligned
    from rlgen.report import network_table

    width = shutil.get_terminal_size((WIDTH, 24)).columns
    for table in found.tables:
        print(f"{table.name} on inputs of {network_table.shape(table.input)}\n")
        print(*network_table.lines(table, width), "", sep="\n")
        facts = network_table.totals(table) + (found.facts if table is found.tables[-1] else [])
        print(*aligned(facts[0], facts[1:]), "", sep="\n")
