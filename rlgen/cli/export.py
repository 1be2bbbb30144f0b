"""`rlgen export`: the log of a run for other programs."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from rlgen.cli.options import Run, Runs, examples
from rlgen.core.description import logged
from rlgen.core.errors import UserError
from rlgen.core.folder import Folder
from rlgen.core.terminal import show


def register(app: typer.Typer, panel: str) -> None:
    """Add the command of this file."""
    end = examples("rlgen export latest --csv", "rlgen export dqn-CartPole-1 --tensorboard --out logs/dqn")
    app.command("export", rich_help_panel=panel, epilog=end)(export)


def export(
    run: Run = "latest",
    csv: Annotated[bool, typer.Option("--csv", help="Metrics as metrics.csv: a row per time")] = False,
    parquet: Annotated[bool, typer.Option("--parquet", help="The same as metrics.parquet, by pyarrow")] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Metrics and samples as event files in the folder tensorboard")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="PATH", help="Another file, or folder of event files", show_default=False),
    ] = None,
    runs: Runs = Path("runs"),
) -> None:
    """Write the metrics of a run as CSV, Parquet or event files of TensorBoard, by default into its folder."""
    chosen = [name for name, on in (("csv", csv), ("parquet", parquet), ("tensorboard", tensorboard)) if on]
    if not chosen:
        raise UserError("rlgen export takes --csv, --parquet or --tensorboard")
    if out and len(chosen) > 1:
        raise UserError(f"--out {out} is one path: take one of {', '.join(f'--{name}' for name in chosen)}")
    folder = Folder.find(runs, run)
    from rlgen.report import event_files
    from rlgen.report import export as tables

    if lost := folder.log().lost(logged(folder.info, "metrics.jsonl")):
        print(f"{lost:,} line{'s' * (lost > 1)} of the log damaged or missing: left out", file=sys.stderr)
    for name in chosen:
        path = out or folder.directory / ("tensorboard" if name == "tensorboard" else f"metrics.{name}")
        if name != "tensorboard":
            (tables.write_csv if name == "csv" else tables.write_parquet)(folder, path)
            show(path)
        elif event_files.EventFiles(folder, path).export():
            show(f"{path}  shown by: tensorboard --logdir {path}")
        else:
            raise UserError(f"{folder.name} has no metrics yet: its log is written during the training")
