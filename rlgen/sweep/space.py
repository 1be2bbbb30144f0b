"""The search space of a study: `lr=1e-4..1e-2:log`, `n_step=1,3,5`, `width=64..256:step=64`, `double=on,off`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_origin

from rlgen.core.config import Option, check_names, flag, options, resolve
from rlgen.core.errors import UserError, did_you_mean
from rlgen.core.settings import Plan, Setup

Value = float | int | str | bool | None
SWITCH = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}
GRID_POINTS = 5  # of a range without a step, in a grid
GRAMMAR = "NAME=LOW..HIGH with :log, :int or :step=STEP after it, or NAME=VALUE,VALUE,..."
OWN = {"seed": "--seed is that of the study", "seeds": "--seeds is that of the trials"}


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included."""

    low: float
    high: float
    log: bool = False
    integer: bool = False
    step: float | None = None

    def grid(self) -> list[Value]:
        """Its points: those of its steps, or a few at equal distances, of logarithms for a logarithmic range."""
        if self.step is not None:
            count = int((self.high - self.low) / self.step + 1e-9) + 1
            points = [self.low + k * self.step for k in range(count)]
        else:
            shares = [k / (GRID_POINTS - 1) for k in range(GRID_POINTS)]
            low, high = self.low, self.high
            points = [low * (high / low) ** t if self.log else low + (high - low) * t for t in shares]
            points = [min(point, high) for point in points]
        return [*dict.fromkeys(round(point) for point in points)] if self.integer else [*points]

    def ends(self) -> list[Value]:
        """The lowest and the highest value."""
        return [int(self.low), int(self.high)] if self.integer else [self.low, self.high]


@dataclass(frozen=True)
class Choices:
    """A few values."""

    values: tuple[Value, ...]

    def grid(self) -> list[Value]:
        """All of them."""
        return list(self.values)

    def ends(self) -> list[Value]:
        """All of them."""
        return list(self.values)


Dimension = Range | Choices
Space = dict[str, Dimension]


def parse(search: Mapping[str, str], settings: Sequence[type]) -> Space:
    """The dimension of each setting in `search`, values by the type of its field. Raises UserError."""
    check_names(search, settings, "--search:")
    found = {option.name: option for each in settings for option in options(each)}
    return {name: _dimension(found[name], text) for name, text in search.items()}


def split(entries: Sequence[str]) -> dict[str, str]:
    """The texts of `NAME=VALUES` by name. Raises UserError for one without a name or that is there twice."""
    found: dict[str, str] = {}
    for entry in entries:
        name, sign, text = entry.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        if not sign or not name or not text.strip():
            raise UserError(f"--search {entry!r} is not {GRAMMAR}")
        if name in found:
            raise UserError(f"--search {name} is there twice: give all of its values in one")
        found[name] = text.strip()
    return found


def check(space: Space, entry: Any, layers: Sequence[Mapping[str, Any]]) -> None:
    """Raise UserError for a value that the field refuses; `layers` are the settings beside it."""
    for name, dimension in space.items():
        if name in OWN:
            raise UserError(f"--search {name}: {OWN[name]}")
        owner = next(s for s in (entry.config, Setup, Plan) if name in {f.name for f in fields(s)})
        if owner is Setup:
            raise UserError(f"--search {name}: it changes no score; type {flag(name)} for all trials")
        for value in dimension.ends():
            try:
                resolve(owner, *layers, {name: value})
            except UserError as error:
                if str(error).startswith(f"{flag(name)} {value}: "):  # of the field, not of settings together
                    raise UserError(f"--search {name}: {error}") from None


def size(space: Space) -> int:
    """Number of points of the grid."""
    return math.prod(len(dimension.grid()) for dimension in space.values())


def point(space: Space, index: int) -> dict[str, Value]:
    """A point of the grid by its index, the last setting varying fastest."""
    found: dict[str, Value] = {}
    for name, dimension in reversed(space.items()):
        values = dimension.grid()
        index, place = divmod(index, len(values))
        found[name] = values[place]
    return {name: found[name] for name in space}


def _dimension(option: Option, text: str) -> Dimension:
    entry = f"--search {option.name}={text}"
    if ".." in text:
        if option.type not in (int, float):
            raise UserError(f"{entry}: {option.name} is no number: list its values, {_listed(option)}")
        return _range(option, text, entry)
    values = [_value(option, word.strip(), entry) for word in text.split(",") if word.strip()]
    if not values:
        raise UserError(f"{entry} has no value: it is {GRAMMAR}")
    if len(set(values)) < len(values):
        raise UserError(f"{entry} names a value twice")
    return Choices(tuple(values))


def _range(option: Option, text: str, entry: str) -> Range:
    ends, *flags = text.split(":")
    low, high = (_number(word.strip(), entry) for word in ends.split("..", 1))
    log, integer, step = False, option.type is int, None
    for word in (each.strip() for each in flags):
        if word == "log":
            log = True
        elif word == "int":
            integer = True
        elif word.startswith("step="):
            step = _number(word.removeprefix("step="), entry)
        else:
            raise UserError(f"{entry}: {word!r} is no kind of range{did_you_mean(word, ('log', 'int', 'step='))}")
    if low >= high:
        raise UserError(f"{entry} is empty: {low:g} is not below {high:g}")
    if log and low <= 0:
        raise UserError(f"{entry}: a logarithmic range begins above 0")
    if log and step is not None:
        raise UserError(f"{entry}: a logarithmic range has no step")
    if step is not None and not 0 < step <= high - low:
        raise UserError(f"{entry}: the step must be above 0 and within the range")
    if integer and any(x is not None and x != int(x) for x in (low, high, step)):
        raise UserError(f"{entry}: {option.name} is an integer, and so are its ends and its step")
    return Range(low, high, log, integer, step)


def _number(word: str, entry: str) -> float:
    try:
        value = float(word.replace("_", ""))
    except ValueError:
        raise UserError(f"{entry}: {word!r} is no number") from None
    if not math.isfinite(value):
        raise UserError(f"{entry}: a range has finite ends")
    return value


def _value(option: Option, word: str, entry: str) -> Value:
    if word.lower() == "none" and option.default is None:
        return None
    if option.type is bool:
        if word.lower() not in SWITCH:
            raise UserError(f"{entry}: {option.name} is on or off, not {word!r}")
        return SWITCH[word.lower()]
    if option.type is int:
        value = _number(word, entry)
        if value != int(value):
            raise UserError(f"{entry}: {option.name} is an integer, not {word}")
        return int(value)
    if option.type is float:
        return _number(word, entry)
    allowed = get_args(option.type) if get_origin(option.type) is Literal else ()
    if allowed and word not in allowed:
        raise UserError(f"{entry}: {option.name} is {', '.join(allowed)}{did_you_mean(word, allowed)}")
    return word


def _listed(option: Option) -> str:
    allowed = get_args(option.type) if get_origin(option.type) is Literal else ("on", "off")
    return f"such as {option.name}={','.join(map(str, allowed[:3]))}"
