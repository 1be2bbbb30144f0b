"""The console script `rlgen`: its commands, and errors as one line with an exit code. Imports no torch."""

import errno
import os
import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from rlgen import catalog
from rlgen.cli import inspect, training
from rlgen.core.errors import UserError


class Commands(TyperGroup):
    """Builds the options of an algorithm when its command is called, not for the list of all commands."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Replace the stub of a catalog entry by the command with its options."""
        name = args[0].lower()
        if name in catalog.CATALOG:
            self.add_command(training.command(catalog.CATALOG[name], args[1:]), name)
            args = [name, *args[1:]]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A lab for reinforcement learning and generative models. Start with rlgen dqn CartPole, or rlgen gan mnist.",
)
training.register(app)
inspect.register(app)


def main() -> NoReturn:
    """Run the command line; every failure is one line and an exit code. RLGEN_DEBUG=1 shows the traceback."""
    try:
        code = app(standalone_mode=False)
    except UserError as error:
        _fail(error.code, str(error))
    except MemoryError:
        _fail(6, "out of memory: try a smaller --batch or --buffer-size")
    except BrokenPipeError:  # the reader of a pipe, `head` for example, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _fail(
            7 if error.errno in (errno.ENOSPC, errno.EDQUOT) else 1,
            f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""),
        )
    except Exception as error:
        if hasattr(error, "format_message"):  # typer's own, of a private class
            _misused(error)
        if "out of memory" in str(error).lower() or "can't allocate memory" in str(error):
            _fail(6, "out of memory: try a smaller --batch, --width or --buffer-size")
        _fail(1, f"{type(error).__name__}: {error}. This is a fault of rlgen: RLGEN_DEBUG=1 shows the traceback")
    sys.exit(code if isinstance(code, int) else 0)


def _misused(error: Any) -> NoReturn:
    """A command line that cannot be parsed: the reason in one line, and the help that explains it."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        sys.exit(error.exit_code)
    where = error.ctx.command_path if getattr(error, "ctx", None) else "rlgen"
    _fail(error.exit_code, f"{' '.join(error.format_message().split()).rstrip('.')} (see `{where} --help`)")


def _fail(code: int, message: str) -> NoReturn:
    if os.environ.get("RLGEN_DEBUG"):
        raise
    print(f"{'' if code > 128 else 'error: '}{message}", file=sys.stderr)
    sys.exit(code)
