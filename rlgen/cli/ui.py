"""`rlgen ui` and `rlgen report`: runs on a page, in a browser or as one file. Imports no torch."""

from pathlib import Path
from typing import Annotated

import typer

from rlgen.cli.options import Runs, at_least, examples, output
from rlgen.core.errors import UserError
from rlgen.core.folder import Folder
from rlgen.core.terminal import show


def register(app: typer.Typer, panel: str) -> None:
    """Add the commands of this file."""
    end = examples("rlgen ui", "rlgen ui --open", "rlgen ui --runs runs/lessons --port 9000")
    app.command("ui", rich_help_panel=panel, epilog=end)(serve)
    end = examples("rlgen report latest", "rlgen report dqn-CartPole-1 dqn-CartPole-2 --out both.html")
    app.command("report", rich_help_panel=panel, epilog=end)(report)


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
        server.serve_forever()


def report(
    names: Annotated[list[str], typer.Argument(metavar="RUN...", help="Paths, names in the folder of runs, or latest")],
    out: Annotated[Path, output("--out", "An HTML file of at most 5 MB \\[default: report.html]")] = Path(
        "report.html"
    ),
    runs: Runs = Path("runs"),
) -> None:
    """Write the page of some runs as one file to send: curves, pictures with their slider, settings and scores.

    The file needs no server and no network. Panels that load a model are in `rlgen ui` alone.
    """
    from rlgen.ui import inlining

    if out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--out {out}: its name must end in .html")
    notes = inlining.write([Folder.find(runs, name).directory for name in names], out)
    for note in notes:
        show(f"left out: {note}", error=True)
    show(f"{out}  {out.stat().st_size / 1e6:.1f} MB")
