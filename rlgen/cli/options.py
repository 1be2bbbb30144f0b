"""Options of the command line: those that commands share, and those made from a settings dataclass."""

import functools
import inspect
from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from rlgen.core.config import options, word

Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="Path, name in the folder of runs, or latest [dim]\\[default: latest][/dim]",
        show_default=False,
    ),
]
Runs = Annotated[Path, typer.Option("--runs", metavar="DIR", envvar="RLGEN_RUNS", help="Folder of all runs")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON in place of text")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the folder of the run, warnings and errors only")]
Checkpoint = Annotated[Literal["last", "best"], typer.Option("--checkpoint", help="Checkpoint to load")]

Trust = Annotated[
    bool, typer.Option("--trust", help="Import the module that the run's environment is of, which may run any code")
]


def whole(text: str | int) -> int:
    """An integer as people write it: 100000, 100_000, 100,000 and 1e5 alike. Raises typer's error for anything else."""
    plain = str(text).strip().replace(",", "")
    try:
        number = float(plain) if "e" in plain.lower() or "." in plain else int(plain)
        if number == int(number):
            return int(number)
    except (ValueError, OverflowError):
        pass
    raise typer.BadParameter(f"{text!r} is not an integer, such as 100000, 100_000 or 1e5")


def at_least(minimum: int) -> Callable[[str | int], int]:
    """`whole`, for integers of `minimum` or more."""

    def parse(text: str | int) -> int:
        number = whole(text)
        if number < minimum:
            raise typer.BadParameter(f"{number} is less than {minimum}")
        return number

    return parse


def number(flag: str, help: str, minimum: int = 1) -> Any:
    """A typer option for an integer of `minimum` or more."""
    return typer.Option(flag, parser=at_least(minimum), metavar="INTEGER", help=help, show_default=True)


def output(flag: str, help: str) -> Any:
    """A typer option for a file to write."""
    return typer.Option(flag, metavar="FILE", help=help, show_default=False)


Seed = Annotated[int, number("--seed", "Seed of fresh episodes, samples or classifiers", 0)]
At = Annotated[
    int | None,
    typer.Option(
        "--at",
        parser=at_least(0),
        metavar="STEP",
        help="Weights at the evaluation nearest to this step or image, in place of a checkpoint",
        show_default=False,
    ),
]


def examples(*lines: str) -> str:
    """The end of a help text: commands that can be run as they stand."""
    return "[bold]Examples[/bold]\n\n" + "\n\n".join(f"  {line}" for line in lines)


def with_settings(
    function: Callable[..., None], settings: Iterable[type], preset: Mapping[str, Any], without: Container[str] = ()
) -> Callable[..., None]:
    """`function` as a typer command in which one option per field of `settings` replaces its parameter `given`.

    Defaults in the help are those of `preset`, then those of the fields. Parameters of `function` in `without` keep
    their default and are no options.
    """
    fields = [option for s in settings for option in options(s)]
    fields.sort(key=lambda option: option.panel != "Run")  # the options of every run first
    return with_options(function, "given", {option.name: annotation(option, preset) for option in fields}, without)


def with_options(
    function: Callable[..., None], name: str, annotations: Mapping[str, Any], without: Container[str] = ()
) -> Callable[..., None]:
    """`function` with its parameter `name` replaced by a parameter per annotation.

    The parameter `name` receives those that were typed, by their names.
    """
    own = [p for key, p in inspect.signature(function).parameters.items() if key != name and key not in without]
    parameters = own + [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for key, annotation in annotations.items()
    ]

    @functools.wraps(function)
    def command(**values: Any) -> None:
        typed = {key: values.pop(key) for key in annotations}
        function(**{name: {key: value for key, value in typed.items() if value is not None}}, **values)

    del command.__wrapped__  # its signature is another one
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def annotation(option: Any, preset: Mapping[str, Any]) -> Any:
    """The annotation of the parameter for a field of a settings dataclass, with its help and default.

    Its value is None where the option was not typed.
    """
    default = word(preset.get(option.name, option.default)) + (", scales with --budget" if option.scaled else "")
    integer: dict[str, Any] = {"parser": whole, "metavar": "INTEGER"} if option.type is int else {}
    info = typer.Option(
        *([f"{option.flag}/--no-{option.flag[2:]}"] if option.type is bool else [option.flag]),
        help=f"{option.help[0].upper()}{option.help[1:]} [dim]\\[default: {default}][/dim]",
        rich_help_panel=option.panel,
        **integer,
    )
    return Annotated[option.type | None, info]
