"""`rlgen lesson`: a claim of the course as an experiment, with figure, intervals and text."""

import json
from pathlib import Path
from typing import Annotated

import typer

from rlgen.cli.options import Json, Runs, at_least, examples
from rlgen.core import cores
from rlgen.core.names import safe
from rlgen.core.tables import table


def register(app: typer.Typer, panel: str) -> None:
    """Add the command of this file."""
    end = examples("rlgen lesson", "rlgen lesson replay", "rlgen lesson depth --quick", "rlgen lesson ./mine.toml")
    app.command("lesson", rich_help_panel=panel, epilog=end)(lesson)


def lesson(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="LESSON",
            help="A lesson, or the path of a lesson file; without it, the list of lessons",
            show_default=False,
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A small version of less than a minute")] = False,
    seeds: Annotated[
        int | None,
        typer.Option(
            "--seeds", parser=at_least(1), metavar="INTEGER", help="Seeds of every run; by default as the lesson says"
        ),
    ] = None,
    file: Annotated[bool, typer.Option("--file", help="Print the lesson file, to copy and change")] = False,
    runs: Runs = Path("runs"),
    json_: Json = False,
) -> None:
    """Examine a claim of the course: train its runs, draw a figure with intervals, complete its text."""
    from rlgen.lessons import schema

    if name is None:
        _list(json_)
        return
    path = schema.find(name)
    if file:
        print(path.read_text("utf-8"), end="")
        return
    from rlgen.report.console import activity

    with activity("loading"):
        from rlgen.lessons import page, runner

        made = runner.load(path, quick=quick, seeds=seeds)
    folder = runs / "lessons" / safe(path.stem + ("-quick" if quick else ""))
    total = runner.total(made)
    with activity("training" if total else "measuring", total or None, "runs") as more:
        before = 0

        def progress(done: int) -> None:
            nonlocal before
            more(done - before)
            before = done

        results = runner.run(made, folder, progress)
    print(json.dumps(page.as_json(results)) if json_ else "\n".join(page.terminal(results)))


def _list(json_: bool) -> None:
    from rlgen.lessons import schema

    lessons = {name: schema.read(schema.find(name)) for name in schema.names()}
    if json_:
        shown = {
            name: {"claim": each.claim, "minutes": each.minutes, "quick_minutes": each.quick.minutes}
            for name, each in lessons.items()
        }
        print(json.dumps(shown, indent=2))
        return
    rows = [[name, _minutes(each.minutes), _minutes(each.quick.minutes), each.claim] for name, each in lessons.items()]
    print("\n".join(table(["lesson", "minutes", "--quick", "claim"], rows)))
    print(f"\nmeasured on two cores; of this machine {cores.available()} cores")


def _minutes(minutes: float) -> str:
    return f"{minutes:.0f}" if minutes >= 2 else f"{minutes:.1f}"
