"""What was measured in one condition: curves, numbers and maps of each of its S seeds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rlgen.core.errors import UserError, did_you_mean
from rlgen.core.folder import Folder
from rlgen.lessons.estimates import Estimate, Floats
from rlgen.lessons.schema import Value

Curve = tuple[Floats, Floats]  # x (P,) and y (P,), or y (P, S) of S seeds
REDUCTIONS: dict[str, Callable[[Floats], Any]] = {
    "last": lambda y: y[-1], "first": lambda y: y[0], "max": np.max, "min": np.min, "mean": np.mean, "total": np.sum,
}  # fmt: skip


@dataclass
class Outcome:
    """Curves (P,), numbers and maps (H, W) of one seed, by name."""

    curves: dict[str, Curve] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    maps: dict[str, Floats] = field(default_factory=dict)
    diverged: bool = False

    def add(self, outputs: Mapping[str, Any]) -> None:
        """Add the outputs of a measurement: a number, values (P,), a pair of x and y (P,), or a map (H, W) each."""
        for name, value in outputs.items():
            dimensions = 1 if isinstance(value, tuple) else np.ndim(value)
            if dimensions == 0:
                self.numbers[name] = float(value)
            elif dimensions == 2:
                self.maps[name] = np.asarray(value, float)
            else:
                x, y = value if isinstance(value, tuple) else (np.arange(len(value)), value)
                self.curves[name] = np.asarray(x, float), np.asarray(y, float)


@dataclass
class Readings:
    """The outcomes of a condition for each of its S seeds."""

    seeds: Sequence[Outcome]
    exact: bool = False  # independent of the seed

    @property
    def diverged(self) -> int:
        """Number of runs that diverged."""
        return sum(seed.diverged for seed in self.seeds)

    def estimate(self, value: Value) -> Estimate:
        """The number of a value for each seed. Raises UserError where nothing of its name was measured."""
        if value.take in ("curve", "map"):
            raise UserError(f"{value.metric!r} is a {value.take}, not a number")
        missing = np.nan if value.diverged is None else value.diverged
        numbers = [missing if seed.diverged else _number(seed, value) for seed in self.seeds]
        return Estimate(np.array(numbers, float), self.exact, value.log)

    def curve(self, value: Value) -> Curve:
        """x (P,) and y (P, S) of the seeds that did not diverge; of all where every one did.

        Seeds with different x are interpolated on those of all of them; a run that ended early keeps its last value.
        """
        seeds = [seed for seed in self.seeds if not seed.diverged] or self.seeds
        curves = [_found(seed.curves, value) for seed in seeds]
        x = np.unique(np.concatenate([x for x, _ in curves]))
        x = x[x >= max(x[0] for x, _ in curves)]
        y = np.stack([np.interp(x, *curve) for curve in curves], 1)
        return x, 1 - y if value.complement else y

    def map(self, value: Value) -> Floats:
        """The mean over seeds of a map, (H, W)."""
        return np.asarray(np.mean([_found(seed.maps, value) for seed in self.seeds], 0))


def of_folder(folder: Folder) -> Iterator[Outcome]:
    """The outcome of each seed of a finished or diverged run, from its log and its final scores."""
    info, metrics = folder.info, folder.metrics()
    result = {**(info.get("result") or {}), **{name: info.get(name) for name in ("seconds", "parameters")}}
    for seed in range(info.get("config", {}).get("seeds", 1)):
        found = Outcome(diverged=info.get("status") == "diverged")
        for name, (x, ys) in metrics.items():
            y = ys.reshape(len(x), -1)[:, seed if ys.ndim > 1 else 0]
            if np.isfinite(y).any():
                found.curves[name] = x[np.isfinite(y)], y[np.isfinite(y)]
        if isinstance(info.get("parameters"), int):  # of one network
            found.numbers["weights"] = info["parameters"] / info.get("config", {}).get("seeds", 1)
        for name, value in _flat(result):
            if isinstance(value, list) and all(isinstance(each, int | float) for each in value):
                if name == "per_seed":
                    found.numbers[name] = float(value[seed])
                else:
                    found.curves.setdefault(name, (np.arange(1.0, len(value) + 1), np.array(value, float)))
            elif isinstance(value, int | float):
                found.numbers[name] = float(value)
        yield found


def _flat(values: Mapping[str, Any], start: str = "") -> Iterator[tuple[str, Any]]:
    """Values by name, those of an inner dictionary as `outer.inner`."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{start}{name}.")
        else:
            yield f"{start}{name}", value


def _number(seed: Outcome, value: Value) -> float:
    """The number of a value: of the final scores, or what it takes of a curve."""
    name = value.metric
    if name in seed.numbers and (value.take == "result" or name not in seed.curves):
        number = seed.numbers[name]
    elif value.take not in REDUCTIONS:
        number = _found(seed.numbers, value)
    else:
        _, y = _found(seed.curves, value)
        number = float(REDUCTIONS[value.take](y))
    return 1 - number if value.complement else number


def _found(measured: Mapping[str, Any], value: Value) -> Any:
    if value.metric not in measured:
        hint = did_you_mean(value.metric, measured) or f": there is {', '.join(measured) or 'nothing of this kind'}"
        raise UserError(f"no {value.metric!r} was measured (take = {value.take!r}){hint}")
    return measured[value.metric]
