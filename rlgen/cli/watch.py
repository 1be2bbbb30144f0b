"""`rlgen watch`: a run in the terminal while it trains."""

import time
from pathlib import Path
from typing import Annotated

import typer

from rlgen.cli.options import Runs, examples
from rlgen.core.errors import UserError
from rlgen.core.folder import Folder

PERIOD = 1.0  # seconds between two refreshes
SEARCH = 5.0  # seconds between two searches for a newer run


def register(app: typer.Typer, panel: str) -> None:
    """Add the command of this file."""
    end = examples("rlgen watch", "rlgen watch dqn-CartPole-1", "rlgen watch latest --once")
    app.command("watch", rich_help_panel=panel, epilog=end)(watch)


def watch(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            help="Path or name of a run [dim]\\[default: the newest, and any that starts later][/dim]",
            show_default=False,
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Print the present state and end")] = False,
    runs: Runs = Path("runs"),
) -> None:
    """Show curves, last samples and progress of a run until it ends, or until Ctrl-C."""
    from rich.console import Console, Group
    from rich.live import Live

    from rlgen.report import watch as report

    console = Console(highlight=False)
    view = report.View(Folder.find(runs, run) if run else report.newest(runs))
    shown = report.capabilities(console)

    def lines() -> Group:
        view.update()
        return Group(*view.lines(console.width, max(4, console.height - 1), **shown))

    if once or not console.is_terminal:
        console.print(lines())
        return
    searched = time.monotonic()
    try:
        with Live(lines(), console=console, auto_refresh=False, vertical_overflow="crop") as live:
            while view.running:
                time.sleep(PERIOD)
                if run is None and time.monotonic() - searched > SEARCH:
                    searched, latest = time.monotonic(), report.newest(runs)
                    if latest.directory != view.folder.directory:
                        view = report.View(latest)
                live.update(lines(), refresh=True)
    except UserError:
        if view.folder.directory.exists():
            raise
        raise UserError(f"{view.folder.name} was removed while it was shown") from None
