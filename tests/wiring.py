"""One test per field of a settings dataclass: the value of an option arrives where the option says.

A table has an `Effect` for every field. Its function observes what the option names, in an object built with the value
and in one built without; a field without an entry fails.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import pytest


@dataclass(frozen=True)
class Effect:
    """What changes with an option."""

    value: Any  # of the option, other than its default and than in `base`
    observe: Callable[[Any], Any]  # from the object built with these settings to what the option names
    expected: Any  # the result of `observe` with this value; numbers are compared to a relative 1e-4
    base: Mapping[str, Any] = field(default_factory=dict)  # further settings, with the value and without it


def every_field(settings: type, effects: Mapping[str, Effect], without: Iterable[str] = ()) -> list[str]:
    """The names of all fields of `settings`, those in `without` excepted, for `pytest.mark.parametrize`.

    Raises ValueError for an entry of the table that is no field.
    """
    names = [f.name for f in fields(settings) if f.name not in set(without)]
    if unknown := set(effects) - set(names):
        raise ValueError(f"{settings.__name__} has no fields {sorted(unknown)}")
    return names


def check_effect(build: Callable[..., Any], name: str, effects: Mapping[str, Effect]) -> None:
    """Assert that the option changes what it names, to what it says. `build` takes settings by name."""
    assert name in effects, f"{name} has no entry: add what to observe to the table of effects"
    effect = effects[name]
    before = effect.observe(build(**effect.base))
    after = effect.observe(build(**{**effect.base, name: effect.value}))
    assert after == pytest.approx(effect.expected, rel=1e-4) if _numeric(effect.expected) else after == effect.expected
    assert before != pytest.approx(after, rel=1e-4) if _numeric(after) else before != after


def _numeric(x: Any) -> bool:
    return isinstance(x, float) or (isinstance(x, list | tuple) and any(isinstance(each, float) for each in x))


OPTIMIZER_VALUES: dict[str, tuple[Any, dict[str, Any]]] = {  # a value other than any default, and settings beside it
    "optimizer": ("nesterov", {}),
    "momentum": (0.7, {"optimizer": "momentum"}),
    "beta1": (0.3, {}),
    "beta2": (0.6, {}),
    "optimizer_eps": (1e-3, {}),
    "damping": (0.5, {}),
    "weight_decay": (0.01, {}),
    "decoupled": (True, {"weight_decay": 0.01}),
    "l1": (0.01, {}),
    "bias_lr": (2.0, {}),
    "max_grad_norm": (0.25, {}),
    "accumulate": (2, {}),
    "schedule": ("exponential", {}),
    "warmup": (7, {}),
    "lr_end": (1e-5, {"schedule": "linear"}),
    "lr_steps": (777, {"schedule": "linear"}),
    "peak": (0.4, {"schedule": "one-cycle"}),
    "milestones": ("0.4,0.6", {"schedule": "step"}),
    "lr_factor": (0.5, {"schedule": "step"}),
    "lr_patience": (9, {}),
}


def optimizer_effects(optimization: Callable[[Any], Any], without: Iterable[str] = ()) -> dict[str, Effect]:
    """An effect per setting of the optimiser but `lr`: its value arrives at the `optimization` of what is built."""
    return {
        name: Effect(value, lambda built, name=name: getattr(optimization(built).settings, name), value, base)
        for name, (value, base) in OPTIMIZER_VALUES.items()
        if name not in set(without)
    }
