"""The measurements a lesson file may name. Imports no torch."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any

from rlgen.core.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Measurement:
    """A function of this package that returns numbers, values (P,), pairs of x and y (P,), or maps (H, W) by name."""

    lives: str  # module:function; its parameters after the first are the options
    trained: bool = False  # its first parameter is a trained algorithm, otherwise a seed
    across: bool = False  # its first parameter is the list of the trained runs of a condition; outputs are a list too
    exact: bool = False  # independent of the seed

    @property
    def function(self) -> Callable[..., Mapping[str, Any]]:
        """The function. Imports torch."""
        module, name = self.lives.split(":")
        found: Callable[..., Mapping[str, Any]] = getattr(import_module(f"{__package__}.{module}"), name)
        return found

    def check(self, options: Iterable[str], name: str) -> None:
        """Raise UserError for an option that the function does not have."""
        known = list(inspect.signature(self.function).parameters)[1:]
        if "settings" in known:  # a dictionary of further options, those of a network
            from rlgen.networks.settings import NetworkSettings

            known += [field.name for field in fields(NetworkSettings)]
        for option in options:
            if option not in known:
                hint = did_you_mean(option, known) or f": it has {', '.join(known) or 'none'}"
                raise UserError(f"measurement {name} has no option {option!r}{hint}")


LIBRARY = {
    "signals": Measurement("signals:signals"),
    "valley": Measurement("valley:descend", exact=True),
    "network": Measurement("counts:network", exact=True),
    "convolutions": Measurement("counts:convolutions", exact=True),
    "receptive-field": Measurement("trained:receptive_field", trained=True),
    "samples": Measurement("trained:samples", trained=True),
    "weights": Measurement("trained:weights", trained=True),
    "spread": Measurement("trained:spread", trained=True, across=True),
}


def find(name: str, *, trained: bool) -> Measurement:
    """The measurement called `name`. Raises UserError where there is none, or where it is of the other kind."""
    known = [key for key, measurement in LIBRARY.items() if measurement.trained == trained]
    if name not in known:
        kind = "of a trained run" if trained else "without a run"
        hint = did_you_mean(name, known) or f": there is {', '.join(known)}"
        raise UserError(f"no measurement {name!r} {kind}{hint}")
    return LIBRARY[name]
