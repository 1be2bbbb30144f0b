"""The commands that take a run: eval, sample, probe."""

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from rlgen import kinds
from rlgen.cli.options import At, Checkpoint, Json, Run, Runs, Seed, Trust, examples, number, output, with_options
from rlgen.core.errors import UserError
from rlgen.core.failures import kept_in
from rlgen.core.files import replacing
from rlgen.core.folder import Folder
from rlgen.core.tables import table
from rlgen.core.terminal import show

SHOWN = 1_024  # samples in a picture, at most


def register(app: typer.Typer, panel: str) -> None:
    """Add the commands of this file."""
    for name, (command, lines) in COMMANDS.items():
        app.command(name, rich_help_panel=panel, epilog=examples(*lines))(command)


def evaluate(
    run: Run = "latest",
    *,
    counts: dict[str, int],
    seed: Seed = 0,
    at: At = None,
    checkpoint: Checkpoint = "last",
    trust: Trust = False,
    runs: Runs = Path("runs"),
    json_: Json = False,
) -> None:
    """Score a trained agent over fresh episodes, or a model's samples beside real images."""
    from rlgen.report.console import activity

    with activity("loading"):
        from rlgen import preparation, session
    folder = Folder.find(runs, run)
    kind = preparation.entry_of(folder).kind
    for name in counts:
        if name != kind.counted:
            raise UserError(f"--{name}: {folder.name} is {kind.article}, which is scored on --{kind.counted}")
    count = counts.get(kind.counted, kind.fresh)
    with activity("loading"):
        trained = session.restore(folder, checkpoint, at, trust)
    _report_age(trained, kind, at)
    with activity("scoring", count, kind.counted) as more, kept_in(folder.directory):
        report = trained.report(count, seed, more)
    if json_:
        print(json.dumps({**report.values, **report.details}))
    else:
        _print(report.lines)


def sample(
    run: Run = "latest",
    count: Annotated[int, number("--count", "Number of images")] = 64,
    label: Annotated[
        str | None, typer.Option("--label", help="Class of all images, by name or number", show_default=False)
    ] = None,
    what: Annotated[
        Literal["samples", "reconstructions", "completions", "interpolations", "manifold"],
        typer.Option("--what", help="What to draw; all but samples as a grid of the size it has in training"),
    ] = "samples",
    out: Annotated[Path | None, output("--out", "A PNG; by default grid.png in the folder of the run")] = None,
    npy: Annotated[Path | None, output("--npy", "Also the images as an array (N, C, H, W) in [0, 1]")] = None,
    scale: Annotated[int, number("--scale", "Factor of enlargement of images and captions, for slides")] = 1,
    seed: Seed = 0,
    at: At = None,
    checkpoint: Checkpoint = "last",
    runs: Runs = Path("runs"),
) -> None:
    """Draw images from a trained model."""
    import numpy as np

    folder, load = load_for("sample", runs, run, checkpoint, at)
    from rlgen import evaluation
    from rlgen.report import pictures
    from rlgen.report.array_file import ArrayFile
    from rlgen.report.console import activity

    path = suffixed(out or folder.directory / ("grid.png" if what == "samples" else f"{what}.png"), ".png")
    if what != "samples" and (label or npy):
        raise UserError(f"--what {what} is one picture: leave out --label and --npy")
    model, shown = load(), []
    if what != "samples":
        with activity("drawing"):
            grid = evaluation.grid(model, what, seed)
        if out is None:
            folder.require()  # removed in the meantime, it does not come back
        pictures.write_png(pictures.draw(grid, scale=scale), path)
        show(path)
        return
    with ExitStack() as stack:
        kept = None  # a file of all images, of which memory holds a part
        if npy:
            kept = stack.enter_context(ArrayFile(stack.enter_context(replacing(npy)), count))
        more = stack.enter_context(activity("drawing", count, "samples"))
        for start, part in evaluation.samples(model, count, label=label, seed=seed, progress=more):  # (n, C, H, W)
            if kept is not None:
                kept.append(part)
            if start < SHOWN:
                shown.append(part[: SHOWN - start])
    grid = evaluation.grid_of_samples(model, np.concatenate(shown), label)
    if out is None:
        folder.require()
    pictures.write_png(pictures.draw(grid, scale=scale), path)
    if count > SHOWN:
        show(f"{path} shows the first {SHOWN:,}{'' if npy else '; --npy keeps all'}", error=True)
    show(path)


def probe_codes(
    run: Run = "latest",
    images: Annotated[int, number("--images", "Labelled images for linear classifiers and neighbours", 10)] = 10_000,
    seed: Seed = 0,
    checkpoint: Checkpoint = "last",
    runs: Runs = Path("runs"),
    json_: Json = False,
) -> None:
    """Classify test images by an autoencoder's code, by raw pixels, and by networks that start from its encoder."""
    _, load = load_for("probe", runs, run, checkpoint)
    from rlgen.generative.quality import probe
    from rlgen.report.console import activity

    model = load()
    with activity("classifying", 100, "%") as more:
        result = probe.probe(model, images, seed, more)
    if json_:
        print(json.dumps(result))
        return
    print(f"accuracy on {result['test_images']:,} test images; trained on {result['images']:,}")
    shares = [[name, *(f"{row[on]:.2%}" for on in ("pixels", "code"))] for name, row in result["classifiers"].items()]
    _print(table(["classifier", "on pixels", "on the code"], shares))
    print("\nencoder and a linear layer, trained on fewer labels")
    ways = ("frozen", "tuned", "scratch")
    shares = [[f"{labels:,}", *(f"{row[way]:.2%}" for way in ways)] for labels, row in result["networks"].items()]
    _print(table(["labels", "encoder frozen", "fine-tuned", "from scratch"], shares))


COUNTS = {
    kind.counted: Annotated[int | None, number(f"--{kind.counted}", f"{kind.counts} ({kind.fresh:,} by default)")]
    for kind in kinds.KINDS.values()
}
COMMANDS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "eval": (
        with_options(evaluate, "counts", COUNTS),
        ("rlgen eval latest", "rlgen eval dqn-CartPole-1 --episodes 1000 --json", "rlgen eval gan-mnist-1 --at 60000"),
    ),
    "sample": (
        sample,
        (
            "rlgen sample latest",
            "rlgen sample gan-mnist-1 --count 100 --out grid.png --npy digits.npy",
            "rlgen sample --what reconstructions",
        ),
    ),
    "probe": (probe_codes, ("rlgen probe latest", "rlgen probe ae-mnist-1 --images 60000 --json")),
}


def load_for(
    command: str, runs: Path, run: str, checkpoint: str, at: int | None = None, trust: bool = False
) -> tuple[Folder, Any]:
    """The folder of a run that `command` takes, and what loads its algorithm. Raises UserError for another kind."""
    from rlgen.report.console import activity

    with activity("loading"):
        from rlgen import preparation, session
    folder = Folder.find(runs, run)
    kind = preparation.entry_of(folder).kind
    if command not in (*kind.verbs, *kind.also):
        others = [other for other in kinds.KINDS.values() if other is not kind]
        plural = " and ".join(other.plural for other in others if command in (*other.verbs, *other.also))
        own = (verb for verb in kind.verbs if not any(verb in other.verbs for other in others))
        instead = next(own, kind.verbs[0])
        raise UserError(
            f"{folder.name} is {kind.article}, and `rlgen {command}` is for {plural}:"
            f" try `rlgen {instead} {folder.name}`"
        )

    def load() -> Any:
        with activity("loading"):
            trained = session.restore(folder, checkpoint, at, trust)
        _report_age(trained, kind, at)
        return trained

    return folder, load


def _report_age(trained: Any, kind: kinds.Kind, at: int | None) -> None:
    """Print the time of the weights on stderr where they are those nearest to a time."""
    if at is not None:
        print(f"weights at {trained.time:,} {kind.unit}, the nearest portrait to --at {at:,}", file=sys.stderr)


def suffixed(path: Path, *suffixes: str) -> Path:
    """The path. Raises UserError where it ends in none of these."""
    if path.suffix.lower() not in suffixes:
        raise UserError(f"--out {path}: its name must end in {' or '.join(suffixes)}")
    return path


def _print(lines: list[str]) -> None:
    show(*lines)
