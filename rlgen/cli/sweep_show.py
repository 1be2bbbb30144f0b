"""`rlgen sweep show`: the report of a study."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from rlgen.cli.options import Json, Runs, examples
from rlgen.core.terminal import show, visible

NAME = "show"


def command() -> Any:
    """The command, to be called in the place of `rlgen sweep` with the words after `show`."""
    app = typer.Typer(add_completion=False)
    end = examples("rlgen sweep show sweep-dqn-CartPole-1", "rlgen sweep show sweep-dqn-CartPole-1 --json")
    names = {"help_option_names": ["-h", "--help"]}
    app.command("sweep show", epilog=end, context_settings=names)(report)
    return typer.main.get_command(app)


def report(
    name: Annotated[str, typer.Argument(metavar="STUDY", help="Path, or name in the folder of runs")],
    runs: Runs = Path("runs"),
    json_: Json = False,
) -> None:
    """Print the report of a study, and draw its pictures into its folder.

    The selected scores beside those with fresh seeds and their gap; the price of tuning, expected held-out score
    against CPU-seconds; how far the score falls when settings change; and the importance of each setting. The pictures
    are history, price, parallel, sensitivity and importance, .png. Also while the study goes on.
    """
    from rlgen.report.console import activity
    from rlgen.sweep import study as studies

    study = studies.load(studies.find(runs, name))
    with activity("analysing", quiet=json_):
        from rlgen.sweep import report

        found = report.Report.of(study)
        drawn = report.draw(found)
    if json_:
        print(json.dumps({**report.as_json(found), "pictures": [str(path) for path in drawn]}, indent=2))
        return
    show(*report.lines(found), "")
    print(*(visible(str(path)) for path in drawn), sep="\n")
