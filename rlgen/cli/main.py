"""The console script `rlgen`: its commands, and errors as one line with an exit code. Imports no torch."""

import os
import sys
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

import rlgen
from rlgen import catalog
from rlgen.cli import (
    completion,
    curves,
    doctor,
    explain,
    export,
    find_lr,
    housekeeping,
    inspect,
    lesson,
    listing,
    parallel,
    play,
    predict,
    stack,
    summary,
    sweep,
    sweep_show,
    train,
    training,
    ui,
    verify,
    watch,
)
from rlgen.core import config, signals, torchrun
from rlgen.core.errors import EnvironmentFault, StorageError, UserError, did_you_mean
from rlgen.core.files import UNUSABLE
from rlgen.core.terminal import visible


class Commands(TyperGroup):
    """Builds the options of an algorithm when its command is called, not for the list of all commands."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Replace the stub of a catalog entry, of `summary`, `find-lr` or `sweep` by the command with its options."""
        name = args[0].lower()
        if name in catalog.CATALOG:
            self.add_command(training.command(catalog.CATALOG[name], args[1:]), name)
            args = [name, *args[1:]]
        elif name == "summary":
            self.add_command(summary.command(), name)
        elif name == "find-lr":
            self.add_command(find_lr.command(args[1:]), name)
        elif name == "sweep":
            shown = args[1:2] == [sweep_show.NAME]
            self.add_command(sweep_show.command() if shown else sweep.command(args[1:]), name)
            args = [name, *args[2:]] if shown else args
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A lab for reinforcement learning, generative models and classifiers. Start with rlgen dqn CartPole,"
    " rlgen gan mnist or rlgen classify mnist.",
)
training.register(app, "Train")
stack.register(app, "Train")
find_lr.register(app, "Train")
train.register(app, "Train")
sweep.register(app, "Train")
listing.register(app, "Look at runs")
curves.register(app, "Look at runs")
inspect.register(app, "Look at runs")
play.register(app, "Look at runs")
predict.register(app, "Look at runs")
explain.register(app, "Look at runs")
lesson.register(app, "Learn")
summary.register(app, "Look at runs")
watch.register(app, "Look at runs")
doctor.register(app, "Look at runs")
verify.register(app, "Keep runs in order")
ui.register(app, "Look at runs")
export.register(app, "Keep runs in order")
housekeeping.register(app, "Keep runs in order")
completion.register(app, "Learn")


def _version(shown: bool) -> None:
    if shown:
        print(f"rlgen {rlgen.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version")
    ] = False,
) -> None: ...


def main() -> NoReturn:
    """Run the command line; every failure is one line and an exit code. RLGEN_DEBUG=1 shows the traceback."""
    try:
        if torchrun.count() > 1 and parallel.followed(sys.argv[1:]):
            sys.exit()
        code = app(standalone_mode=False)
        signals.check()  # typer turns Stopped into an exit code
        sys.stdout.flush()  # here a full disk is an error of one line
    except EnvironmentFault as error:
        _fail(error.code, f"{error}" + ("; RLGEN_DEBUG=1 shows the traceback" if error.__cause__ else ""))
    except UserError as error:
        _fail(error.code, str(error))
    except MemoryError:
        _fail(6, "out of memory: try a smaller --batch or --buffer-size")
    except BrokenPipeError:  # the reader of a pipe, `head` for example, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _fail(
            StorageError.code if error.errno in UNUSABLE else 1,
            f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""),
        )
    except Exception as error:
        signals.check()
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
    unknown = type(error).__name__ == "NoSuchOption" and error.ctx
    message = _no_option(error.option_name, error.ctx) if unknown else " ".join(error.format_message().split())
    _fail(error.exit_code, f"{message.rstrip('.')} (see `{where} --help`)")


def _no_option(option: str, ctx: Any) -> str:
    """The message about an option that a command does not have."""
    from rlgen.core.settings import Plan, Setup

    name = option.lstrip("-").removeprefix("no-").replace("-", "_")
    entry = catalog.CATALOG.get(ctx.info_name)
    settings = (entry.config, Setup, Plan) if entry else ()
    flags = [flag for parameter in ctx.command.params for flag in parameter.opts if flag.startswith("--")]
    hint = config.other_name(name, settings, config.flag)
    owners = [e.name for e in catalog.CATALOG.values() if config.has(e.config, name)]
    if not hint and owners:
        hint = f": it is an option of {', '.join(owners)}"
    return f"{ctx.info_name} has no option {option}{hint or did_you_mean(option, flags)}"


def _fail(code: int, message: str) -> NoReturn:
    if os.environ.get("RLGEN_DEBUG"):
        raise
    lines = "\n".join(map(visible, message.split("\n")))  # it may quote a file of others
    try:
        sys.stdout.flush()
    except OSError:  # of a full disk, at which the interpreter would fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    print(f"{'' if code > 128 else 'error: '}{lines}", file=sys.stderr)
    sys.exit(code)
