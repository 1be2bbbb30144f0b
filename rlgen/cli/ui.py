"""`rlgen ui` and `rlgen report`: runs on a page, in a browser or as one file. Imports no torch."""

from pathlib import Path
from typing import Annotated

import typer

from rlgen.cli.options import Runs, at_least, examples
from rlgen.core.errors import UserError


def register(app: typer.Typer, panel: str) -> None:
    """Add the commands of this file."""
    end = examples("rlgen ui", "rlgen ui --open", "rlgen ui --runs runs/lessons --port 9000")
    app.command("ui", rich_help_panel=panel, epilog=end)(serve)


def serve(
    port: Annotated[
        int | None,
        typer.Option(
            "--port", parser=at_least(0), metavar="INTEGER", help="Port on 127.0.0.1 \\[default: 8765]; 0: a free one"
        ),
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in a browser")] = False,
    runs: Runs = Path("runs"),
) -> None:
    """Show runs on a page in the browser: live curves, pictures through training, what the trained does."""
    from rlgen.ui.server import PORT, Server

    if port is not None and port > 65_535:
        raise UserError(f"--port {port}: ports end at 65535")
    if runs.exists() and not runs.is_dir():
        raise UserError(f"--runs {runs} is not a folder")
    with Server(runs, PORT if port is None else port) as server:
        print(
            f"{server.address}\nruns in {runs.resolve()}; only this machine reaches the page; Ctrl-C ends it",
            flush=True,
        )
        if open_:
            import webbrowser

            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
