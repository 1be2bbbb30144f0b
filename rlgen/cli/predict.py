"""`rlgen predict`: pictures of one's own, classified by a trained classifier."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlgen.cli.inspect import load_for
from rlgen.cli.options import Checkpoint, Json, Runs, examples, number
from rlgen.core.errors import DataError, UserError
from rlgen.core.tables import table
from rlgen.core.terminal import show

if TYPE_CHECKING:
    from rlgen.data.picture_files import PictureFile

NAMED = 12  # classes in a message, at most


def register(app: typer.Typer, panel: str) -> None:
    """Add the command of this file."""
    end = examples("rlgen predict latest seven.png", "rlgen predict classify-mnist-1 photos/ --top 5 --json")
    app.command("predict", rich_help_panel=panel, epilog=end)(predict)


def predict(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Path, name in the folder of runs, or latest")],
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="png or jpg files, or folders of them or of class folders")
    ],
    top: Annotated[int, number("--top", "Number of classes listed per picture")] = 3,
    checkpoint: Checkpoint = "last",
    runs: Runs = Path("runs"),
    json_: Json = False,
) -> None:
    """Classify pictures of your own, converted to the size and the colours of the training images.

    Of files in class folders the accuracy is printed, too. A file that is no picture is reported; the others are
    classified all the same, and the exit code is 5.
    """
    folder, load = load_for("predict", runs, run, checkpoint)
    from rlgen.data import picture_files

    found = picture_files.find(files)
    classifier = load()
    _check_labels(found, classifier.classes, folder.name)
    from rlgen.report.console import activity

    with activity("classifying", len(found), "files") as more:
        rows, unreadable = classify(classifier, found, more)
    accuracy = _accuracy(rows)
    if json_:
        result = {"run": folder.name, "pictures": rows, "unreadable": unreadable, **accuracy}
        print(json.dumps(result))
    else:
        if rows:
            show(*_table(rows, min(top, len(classifier.classes))))
        if accuracy:
            low, high = accuracy["ci95"]
            print(
                f"accuracy {accuracy['accuracy']:.2%} of {accuracy['labelled']:,} pictures in class folders,"
                f" 95 % interval {low:.2%} to {high:.2%}"
            )
        for row in unreadable:
            show(f"error: {row['file']} cannot be read as an image: {row['reason']}", error=True)
    if unreadable:
        raise typer.Exit(DataError.code)


def classify(
    classifier: Any, files: Sequence["PictureFile"], progress: Callable[[int], object] = lambda done: None
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Each picture with its probabilities by class, the highest first, and the files that hold none, with a reason."""
    import numpy as np

    from rlgen.data import picture_files

    images, readable, unreadable = [], [], []
    for file in files:
        try:
            images.append(picture_files.read(file.path, classifier.shape))
            readable.append(file)
        except DataError as error:
            unreadable.append({"file": str(file.path), "reason": str(error)})
        progress(1)
    if not images:
        return [], unreadable
    rows = []
    for file, p in zip(readable, classifier.predict(np.stack(images)), strict=True):
        order = np.argsort(-p, kind="stable")
        shares = {classifier.classes[i]: float(f"{p[i]:.6g}") for i in order}
        label = {} if file.label is None else {"label": file.label}
        first = classifier.classes[order[0]]
        row = {"file": str(file.path), **label, "class": first, "probability": shares[first], "probabilities": shares}
        rows.append(row)
    return rows, unreadable


def _check_labels(files: Sequence["PictureFile"], classes: Sequence[str], run: str) -> None:
    """Raise UserError where a folder of pictures has another name than a class of the run."""
    strange = sorted({file.label for file in files if file.label is not None} - set(classes))
    if strange:
        raise UserError(
            f"class folder {_names(strange)}: {run} has no such class, but {_names(classes)};"
            " without labels, name the files or the folder right above them"
        )


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f", and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _accuracy(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The accuracy on pictures with a label and its 95 % interval; nothing without any."""
    from rlgen.supervised.measures import wilson

    right = [row["label"] == row["class"] for row in rows if "label" in row]
    if not right:
        return {}
    share = sum(right) / len(right)
    return {"accuracy": share, "ci95": [float(end) for end in wilson(share, len(right))], "labelled": len(right)}


def _table(rows: Sequence[dict[str, Any]], top: int) -> list[str]:
    labelled = any("label" in row for row in rows)
    cells = [
        [
            row["file"],
            *([row.get("label", "")] if labelled else []),
            *(f"{name} {share:.2%}" for name, share in list(row["probabilities"].items())[:top]),
        ]
        for row in rows
    ]
    return table(["file", *(["label"] if labelled else []), "class", *([""] * (top - 1))], cells)
