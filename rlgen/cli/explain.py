"""The command `rlgen explain`: why a trained network decides as it does."""

import json
from pathlib import Path
from typing import Annotated

import typer

from rlgen.cli.inspect import load_for
from rlgen.cli.options import Checkpoint, Json, Run, Runs, Seed, Trust, examples, number
from rlgen.core.errors import UserError, did_you_mean
from rlgen.core.files import refuse_link
from rlgen.core.terminal import show

METHODS = (
    "saliency", "guided", "occlusion", "gradcam", "integrated", "smooth", "ascent", "filters", "strongest", "features",
)  # fmt: skip
LINES = (
    "rlgen explain latest",
    "rlgen explain classify-mnist-1 --method saliency,gradcam --images 16",
    "rlgen explain classify-mnist-1 --file seven.png --class 1 --method occlusion",
    "rlgen explain classify-mnist-1 --method ascent,strongest --unit conv2:5",
    "rlgen explain dqn-Catch-1 --class left",
    "rlgen explain gan-mnist-1 --network features --method gradcam",
)


def register(app: typer.Typer, panel: str) -> None:
    """Add the command."""
    app.command("explain", rich_help_panel=panel, epilog=examples(*LINES))(explain)


def explain(
    run: Run = "latest",
    method: Annotated[
        str, typer.Option("--method", metavar="NAMES", help=f"Methods, comma-separated: {', '.join(METHODS)}; or all")
    ] = "all",
    images: Annotated[int, number("--images", "Test images or observations, drawn at random, each class in turn")] = 8,
    file: Annotated[
        list[Path] | None,
        typer.Option("--file", metavar="FILE", help="Picture of your own in place of test images; may be repeated"),
    ] = None,
    class_: Annotated[
        str | None,
        typer.Option("--class", help="Class or action to explain, by name or number; by default the predicted one"),
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option("--unit", metavar="BLOCK:INDEX", help="Unit for ascent and strongest, such as conv2:5"),
    ] = None,
    member: Annotated[int, number("--member", "Seed or member of the run, counted from 0", 0)] = 0,
    network: Annotated[
        str | None,
        typer.Option(
            "--network",
            metavar="NAME",
            help="Network of a generative model: discriminator, or features, the classifier of its samples' quality",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder of the pictures; by default explain/ in that of the run"),
    ] = None,
    seed: Seed = 0,
    checkpoint: Checkpoint = "last",
    trust: Trust = False,
    runs: Runs = Path("runs"),
    json_: Json = False,
) -> None:
    """Show why a network decides as it does: maps beside those of random weights, units, features."""
    from rlgen.report.console import activity

    methods = _methods(method)
    folder, load = load_for("explain", runs, run, checkpoint, trust=trust)
    algorithm = load()
    with activity("loading"):
        from rlgen.explain import explanation

        request = explanation.request(
            algorithm, folder.name, images=images, files=file or (), class_=class_, unit=unit, member=member,
            network=network, seed=seed, out=out or refuse_link(folder.directory / "explain"),
        )  # fmt: skip
    with activity("explaining", explanation.work(request, methods), "networks") as more:
        results = list(explanation.explain(request, methods, every=method == "all", progress=more))
    if json_:
        print(json.dumps(explanation.as_json(results)))
    else:
        show(*explanation.lines(results))


def _methods(text: str) -> tuple[str, ...]:
    """The methods by their names, each once. Raises UserError for an unknown one."""
    if text == "all":
        return METHODS
    names = tuple(dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in METHODS:
            hint = did_you_mean(name, METHODS) or f": choose all, or some of {', '.join(METHODS)}"
            raise UserError(f"--method {name}: no method of that name{hint}")
    if not names:
        raise UserError(f"--method: choose all, or some of {', '.join(METHODS)}")
    return names
