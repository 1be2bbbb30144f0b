"""The searched settings of a study as numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rlgen.report.statistics import Floats
from rlgen.sweep.space import Choices, Dimension, Space, Value

DECADE = 10  # ratio of the largest to the smallest of some numbers from which on their scale is logarithmic
POINTS = 21  # of a slice along a range


@dataclass(frozen=True)
class Setting:
    """A setting that differs between trials, and the values at which its effect is looked at."""

    name: str
    values: tuple[Value, ...]  # its choices, or equally spaced ones of its range
    is_number: bool
    is_log: bool

    @property
    def width(self) -> int:
        """Columns of its values: one for a number, one per value for anything else."""
        return 1 if self.is_number else len(self.values)

    def columns(self, values: Sequence[Value]) -> Floats:
        """Values (m,) as (m, width): a number by its place in the range, from 0 to 1; else 1 where it is the value."""
        if not self.is_number:
            return np.array([[value == known for known in self.values] for value in values], np.float64)
        numbers = np.array([*values, self.values[0], self.values[-1]], np.float64)
        numbers = np.log10(numbers) if self.is_log else numbers
        *_, low, high = numbers
        return np.asarray((numbers[:-2, None] - low) / (high - low))


def varied(space: Space, rows: Sequence[Mapping[str, Value]]) -> list[Setting]:
    """The searched settings that differ between the rows; not those that a row lacks, or has outside the space."""
    return [
        _setting(name, dimension)
        for name, dimension in space.items()
        if all(_holds(dimension, row.get(name)) for row in rows) and len({row[name] for row in rows}) > 1
    ]


def encode(settings: Sequence[Setting], rows: Sequence[Mapping[str, Value]]) -> Floats:
    """The values of the settings in each row: (m, columns), one setting after the other."""
    blocks = [setting.columns([row[setting.name] for row in rows]) for setting in settings]
    return np.concatenate([np.empty((len(rows), 0)), *blocks], axis=1)


def places(settings: Sequence[Setting], setting: Setting) -> slice:
    """The columns of one of the settings in the result of `encode`."""
    start = sum(before.width for before in settings[: settings.index(setting)])
    return slice(start, start + setting.width)


def _holds(dimension: Dimension, value: Value) -> bool:
    """Whether a dimension of the search space has this value: a run of others may have any."""
    if isinstance(dimension, Choices):
        return value in dimension.values
    return isinstance(value, int | float) and dimension.low <= value <= dimension.high


def _setting(name: str, dimension: Dimension) -> Setting:
    if isinstance(dimension, Choices):
        numbers = [v for v in dimension.values if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) < len(dimension.values):
            return Setting(name, dimension.values, False, False)
        return Setting(name, tuple(sorted(numbers)), True, 0 < DECADE * min(numbers) <= max(numbers))
    spaced = np.geomspace if dimension.log else np.linspace
    values = spaced(dimension.low, dimension.high, POINTS)
    return Setting(
        name, tuple((np.unique(values.round()) if dimension.integer else values).tolist()), True, dimension.log
    )
