"""Fields of a request of the page, checked: numbers within bounds, lists of numbers, one of several words."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rlgen.core.errors import UserError

Request = Mapping[str, Any]
REQUIRED: Any = object()


def whole(request: Request, name: str, low: int, high: int, default: Any = REQUIRED) -> int:
    """The whole number `name` from `low` to `high`. Raises UserError where it is missing without a default, or none."""
    value = _value(request, name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UserError(f"{name} must be a whole number from {low:,} to {high:,}, not {_short(value)}")
    return value


def numbers(request: Request, name: str, count: int, limit: float = 1e6, default: Any = REQUIRED) -> list[float]:
    """The `count` numbers of the list `name`, each of at most `limit` in size. Raises UserError for anything else."""
    value = _value(request, name, default)
    if not isinstance(value, list) or len(value) != count or not all(_number(v, limit) for v in value):
        raise UserError(f"{name} must be a list of {count:,} numbers between ±{limit:g}, not {_short(value)}")
    return [float(v) for v in value]


def choice(request: Request, name: str, choices: Sequence[str], default: Any = REQUIRED) -> str:
    """The word `name`, one of `choices`. Raises UserError for another."""
    value = _value(request, name, default)
    if not isinstance(value, str) or value not in choices:
        raise UserError(f"{name} must be {' or '.join(choices)}, not {_short(value)}")
    return value


def _value(request: Request, name: str, default: Any) -> Any:
    value = request.get(name, default)
    if value is REQUIRED:
        raise UserError(f"the request has no {name}")
    return value


def _number(value: Any, limit: float) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and abs(value) <= limit
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
