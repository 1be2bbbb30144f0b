"""`rlgen completion`: the script with which a shell completes commands, options, tasks and runs."""

import sys
from typing import Annotated, Literal

import typer

from rlgen.cli.options import examples


def register(app: typer.Typer, panel: str) -> None:
    """Add the command of this file."""
    end = examples('eval "$(rlgen completion bash)"', "rlgen completion zsh", "rlgen completion fish")
    app.command("completion", rich_help_panel=panel, epilog=end)(completion)


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(metavar="SHELL", help="bash, zsh or fish")],
) -> None:
    """Print the script that completes rlgen's commands, options, tasks, presets, metrics and runs in a shell."""
    from rlgen.completion.scripts import INSTALL, SCRIPTS

    print(SCRIPTS[shell], end="")
    if sys.stdout.isatty():
        print(INSTALL[shell], file=sys.stderr)
