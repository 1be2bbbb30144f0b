"""`rlgen verify`: whether runs are as they were written."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rlgen.cli.options import Json, Runs, examples
from rlgen.core import studies
from rlgen.core.errors import CheckpointError, UserError
from rlgen.core.folder import Folder
from rlgen.core.terminal import visible

if TYPE_CHECKING:
    from rlgen.verify import Report


def register(app: typer.Typer, panel: str) -> None:
    """Add the command of this file."""
    end = examples("rlgen verify", "rlgen verify latest", "rlgen verify dqn-CartPole-1 --repair")
    app.command("verify", rich_help_panel=panel, epilog=end)(verify)


def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN]...", help="Paths, names in the folder of runs, also of studies, or latest; by default all"
        ),
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Put its copy in the place of a damaged or missing run.json")
    ] = False,
    runs: Runs = Path("runs"),
    json_: Json = False,
) -> None:
    """Check run.json, logs, checkpoints, portraits and pictures of runs: what is damaged, and what can be saved.

    The exit code is 4 where something is damaged.
    """
    from rlgen import verify as verification

    directories = [path for name in names for path in _directories(runs, name)] if names else _all(runs)
    if not directories:
        raise UserError(f"there are no runs in {runs} yet: `rlgen dqn CartPole` makes one")
    reports = []
    for directory in dict.fromkeys(directories):
        if repair and not studies.is_study(directory) and verification.repair(directory) and not json_:
            print(visible(f"{directory}: run.json was replaced by its copy"))
        reports.append(report := verification.verify(directory))
        if not json_:
            print(*map(visible, _lines(report)), sep="\n")
    damaged = sum(not report.whole for report in reports)
    if json_:
        found = [
            {
                "run": studies.title(report.directory),
                "folder": str(report.directory),
                "whole": report.whole,
                "training": report.trained,
                "damages": [asdict(damage) for damage in report.damages],
            }
            for report in reports
        ]
        print(json.dumps(found, indent=2))
    elif len(reports) > 1:
        print(f"{len(reports) - damaged:,} of {len(reports):,} folders whole")
    raise typer.Exit(CheckpointError.code if damaged else 0)


def _all(runs: Path) -> list[Path]:
    """The folders of all runs, then of each study and of its runs."""
    return [*Folder.directories(runs), *(path for study in studies.directories(runs) for path in _whole(study))]


def _whole(study: Path) -> list[Path]:
    """The folder of a study and those of its runs."""
    return [study, *Folder.directories(study)]


def _directories(runs: Path, name: str) -> list[Path]:
    """The folder of a run, also of one whose run.json is missing, or those of a study. Raises UserError."""
    if study := studies.named(runs, name):
        return _whole(study)
    if name != "latest":
        for directory in (Path(name), runs / name):
            if directory in Folder.directories(directory.parent):
                return [directory]
    return [Folder.find(runs, name).directory]


def _lines(report: "Report") -> list[str]:
    state = "whole" if report.whole else f"{len(report.damages)} damaged"
    more = ", in training: only what does not change is checked" if report.trained else ""
    lines = [f"{studies.title(report.directory)}  {state}{more}"]
    for damage in report.damages:
        lines += [f"  {damage.part}: {damage.text}", f"    saved: {damage.saved}"]
    return lines
