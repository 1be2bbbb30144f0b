"""A settings dataclass becomes command-line options; options, files and presets become a settings dataclass."""

import inspect
import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from rlgen.core import former_names
from rlgen.core.errors import UserError, did_you_mean
from rlgen.core.files import BYTES, parse
from rlgen.core.synonyms import SYNONYMS

_LINE = re.compile(r"^    (?:(?P<name>\w+):.*?#\s*(?P<help>.+)|#\s*(?P<panel>\S.*))$", re.MULTILINE)

T = TypeVar("T")


class Scaled:
    """Marks the type of a field whose preset value scales with a typed `--budget`."""


@dataclass(frozen=True)
class Option:
    """One field of a settings dataclass, as the command line shows it."""

    name: str  # the field's name; the flag is --name-with-dashes
    type: Any  # int, float, bool, str, or a Literal: bounds are checked by `resolve`
    default: Any
    help: str  # the comment beside the field
    panel: str  # the comment line above its group
    scaled: bool  # with the budget

    @property
    def flag(self) -> str:
        """`--batch-size` for batch_size."""
        return flag(self.name)


def flag(name: str) -> str:
    """`--batch-size` for batch_size."""
    return "--" + name.replace("_", "-")


def words(given: Mapping[str, Any]) -> list[str]:
    """Settings as the words of a command line."""
    found = []
    for name, value in given.items():
        found += [flag(name if value else f"no-{name}")] if isinstance(value, bool) else [flag(name), str(value)]
    return found


@cache
def options(settings: type) -> tuple[Option, ...]:
    """Every field of `settings` in order, its help read from the comment beside it.

    Raises UserError for a field without a comment.
    """
    helps, panels, panel = {}, {}, "Options"
    for base in reversed(settings.__mro__[:-1]):
        for line in _LINE.finditer(inspect.getsource(base)):
            if line["panel"]:
                panel = line["panel"]
            else:
                helps[line["name"]], panels[line["name"]] = line["help"], panel
    hints = get_type_hints(settings, include_extras=True)
    found = []
    for f in fields(settings):
        if f.name not in helps:
            raise UserError(
                f"{settings.__module__}.{settings.__name__}.{f.name} has no comment on its line:"
                f" add one, it is the help text of {flag(f.name)}"
            )
        default, hint = None if f.default is MISSING else f.default, hints[f.name]
        found.append(Option(f.name, _plain(hint), default, helps[f.name], panels[f.name], _is_scaled(hint)))
    return tuple(found)


def word(value: Any) -> str:
    """A value as the help shows it: none, on, off, 10,000."""
    if value is None or isinstance(value, bool):
        return "on" if value else "off" if value is False else "none"
    return f"{value:,}" if isinstance(value, int) else str(value)


def resolve(settings: type[T], *layers: Mapping[str, Any]) -> T:
    """`settings` with its defaults replaced by each layer in turn, the last one winning; bounds are checked.

    Keys that are not fields of `settings` are ignored: see `check_names`.
    """
    from pydantic import ValidationError

    names = {f.name for f in fields(settings)}  # type: ignore[arg-type]
    values = {name: value for layer in layers for name, value in layer.items() if name in names}
    try:
        return settings(**values)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            name = str(problem["loc"][0]) if problem["loc"] else ""
            reason = problem["msg"].removeprefix("Value error, ")
            lines.append(f"{flag(name)} {values.get(name)}: {reason[0].lower()}{reason[1:]}" if name else reason)
        raise UserError("; ".join(lines)) from None


def scaled(settings: type, factor: float, *layers: Mapping[str, Any]) -> dict[str, int]:
    """A layer with the scaled fields of `settings` times `factor`, without those that are 0."""
    values: Any = resolve(settings, *layers)
    return {
        option.name: max(1, round(getattr(values, option.name) * factor))
        for option in options(settings)
        if option.scaled and getattr(values, option.name)
    }


def unused(settings: object) -> dict[str, str]:
    """Fields without an effect beside the values of the others, each with the reason: from a method `unused`."""
    found: dict[str, str] = settings.unused() if hasattr(settings, "unused") else {}
    return found


def refuse_unused(settings: object, given: Container[str]) -> None:
    """Raise UserError for a name in `given` without an effect beside the values of the other settings."""
    for name, reason in unused(settings).items():
        if name in given:
            raise UserError(f"{flag(name)} has no effect: {reason}")


def check_names(given: Iterable[str], settings: Iterable[type], source: str) -> None:
    """Raise UserError for the first name in `given` that is no field of `settings`."""
    settings = list(settings)
    known = [f.name for s in settings for f in fields(s)]
    for name in given:
        if name not in known:
            suggestion = other_name(name, settings) or did_you_mean(name, known) or f": it may set {', '.join(known)}"
            raise UserError(f"{source} has no setting {name!r}{suggestion}")


def has(settings: type, name: str) -> bool:
    """Whether `settings` have a field of this name, or of this former name."""
    return name in {f.name for f in fields(settings)} or name in former_names.settings(settings)


def other_name(name: str, settings: Iterable[type], write: Any = str) -> str:
    """The end of a message about an unknown setting: its name now, or its name here; empty for any other word.

    Names are written by `write`, which may be `flag`.
    """
    settings = list(settings)
    for each in settings:
        if current := former_names.settings(each).get(name):
            return f": {write(name)} is now {write(current)}"
    known = [f.name for s in settings for f in fields(s)]
    if names := [other for other in SYNONYMS.get(name, ()) if other in known]:
        return f": {write(name)} is {' and '.join(map(write, names))} here"
    return ""


def read_file(path: Path, settings: Iterable[type]) -> dict[str, Any]:
    """Settings from a TOML or JSON file of `name = value` lines, or from the run.json of an earlier run."""
    import tomllib

    try:
        content = _content(path)
        values = tomllib.loads(content.decode("utf-8")) if path.suffix == ".toml" else parse(content)
    except OSError as error:
        raise UserError(f"cannot read the settings in {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise UserError(f"{path} is not valid {'TOML' if path.suffix == '.toml' else 'JSON'}: {reason}") from None
    if not isinstance(values, dict):
        raise UserError(f'{path} must hold settings by name, like {{"lr": 0.001}}')
    if {"config", "plan", "setup"} <= set(values):  # a run.json
        parts = [values[part] for part in ("config", "plan", "setup")]
        if not all(isinstance(part, dict) for part in parts):
            raise UserError(f"{path} is no run.json of this rlgen: config, plan and setup must be objects")
        values = {name: value for part in parts for name, value in part.items()}
        for each in settings:
            values = former_names.current_settings(each, values)
    values = {str(name).replace("-", "_"): value for name, value in values.items()}
    check_names(values, settings, str(path))
    return values


def _content(path: Path) -> bytes:
    """The bytes of a file of settings, which may be the pipe of a shell. Raises UserError for a large one."""
    with path.open("rb") as file:
        content = file.read(BYTES + 1)
    if len(content) > BYTES:
        raise UserError(f"{path} is larger than {BYTES:,} bytes: it is no file of settings")
    return content


def _is_scaled(hint: Any) -> bool:
    return any(part is Scaled or _is_scaled(part) for part in get_args(hint))


def _plain(hint: Any) -> Any:
    """The type an option is parsed as: `Annotated[int, ...]` and `int | None` are int."""
    if get_origin(hint) is Annotated:
        return _plain(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return _plain(next(a for a in get_args(hint) if a is not NoneType))
    if get_origin(hint) is Literal or hint in (int, float, bool, str):
        return hint
    raise TypeError(f"{hint} cannot be an option")
