"""`rlgen stack`: a linear combination of trained classifiers, as a run of its own."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlgen import kinds
from rlgen.cli.options import Json, Quiet, Runs, examples
from rlgen.core.errors import UserError
from rlgen.core.folder import Folder

if TYPE_CHECKING:
    from rlgen.session import Session


def register(app: typer.Typer, panel: str) -> None:
    """Add the command of this file."""
    end = examples("rlgen stack classify-mnist-1 classify-mnist-2 knn-mnist-1", "rlgen predict stack-mnist-1 seven.png")
    app.command("stack", rich_help_panel=panel, epilog=end)(stack)


def stack(
    names: Annotated[list[str], typer.Argument(metavar="RUN RUN...", help="Paths, or names in the folder of runs")],
    weight_decay: Annotated[
        float | None,
        typer.Option(
            "--weight-decay",
            min=0,
            help="Weight λ of the penalty λ/2 |w|² of the distance w from the mean of the runs;"
            " by default the best by cross-validation",
            show_default=False,
        ),
    ] = None,
    runs: Runs = Path("runs"),
    name: Annotated[str | None, typer.Option("--name", help="Name of the run's folder", show_default=False)] = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Combine trained classifiers linearly, fitted on predictions for images that none was trained on.

    These are the validation images, or with --folds the predictions for each fold by the network without it. The
    result holds copies of the runs, and is a run for eval, predict and resume.
    """
    from rlgen.cli.training import train_session
    from rlgen.report.console import activity

    folders = [Folder.find(runs, each) for each in names]
    with activity("loading", quiet=quiet):
        prepared = prepare(folders, weight_decay, runs, name)
    train_session(prepared, quiet, json_)


def prepare(folders: list[Folder], weight_decay: float | None, runs: Path, name: str | None) -> "Session":
    """The run of a stack, its first checkpoint written, so that it is whole without the runs it combines."""
    from rlgen import preparation, session
    from rlgen.core.run import Run

    members: list[dict[str, Any]] = []
    for folder in folders:
        entry, config, setup = preparation.saved_settings(folder)
        if entry.kind is not kinds.CLASSIFIER:
            raise UserError(f"{folder.name} is {entry.kind.article}: a stack combines classifiers")
        if any(member["name"] == folder.name for member in members):
            raise UserError(f"{folder.name} is named twice: a stack takes different runs")
        described: dict[str, Any] = {"config": preparation.plain(config), "seed": setup.seed}
        members.append({"name": folder.name, "lives": entry.lives, **described})
    task = folders[0].info["task"]
    for folder in folders[1:]:
        if folder.info["task"] != task:
            raise UserError(
                f"{folder.name} was trained on {folder.info['task']} and {folders[0].name} on {task}:"
                " a stack takes runs of the same data"
            )
    data = {key: members[0]["config"].get(key) for key in ("data", "size", "skip_bad", "only_classes")}
    given = {**data, "members": json.dumps(members)}
    if weight_decay is not None:
        given["weight_decay"] = weight_decay

    def initialise(stacked: Any) -> dict[str, Any]:
        for folder in folders:
            Run(folder.directory).load(stacked.members.classifiers[folder.name])
        return {"stacked": [str(folder.directory.resolve()) for folder in folders]}

    return session.prepare("stack", task, given, runs=runs, name=name, argv=sys.argv, initialise=initialise)
