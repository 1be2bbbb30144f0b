"""What a panel shows, as numbers: one series per condition, value or combination of options."""

import csv
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rlgen.core.errors import UserError
from rlgen.lessons.conditions import Condition, Design
from rlgen.lessons.estimates import Estimate, Floats, band
from rlgen.lessons.readings import Readings
from rlgen.lessons.schema import Panel, Value


@dataclass(frozen=True)
class Series:
    """P points with their intervals over seeds."""

    label: str
    x: Floats  # (P,)
    mean: Floats  # (P,)
    low: Floats  # (P,): NaN without an interval
    high: Floats  # (P,)
    seeds: int
    ticks: tuple[str, ...] = field(default=())  # words in place of x
    map: Floats | None = None  # (H, W), of a panel of maps


def series(panel: Panel, design: Design, readings: Mapping[str, Readings]) -> list[Series]:
    """The series of a panel. Raises UserError where a value was not measured."""
    conditions = shown(panel, design)
    values = [design.lesson.values[name] for name in panel.values]
    if panel.kind == "curves":
        several = len(values) > 1
        return [
            _curve(f"{c.label}, {v.label}" if several else c.label, readings[c.name], v)
            for c in conditions
            for v in values
        ]
    if panel.kind == "paths":
        return [_path(c.label, readings[c.name], values) for c in conditions]
    if panel.kind == "maps":
        empty = np.zeros(0)
        return [
            Series(c.label, empty, empty, empty, empty, len(readings[c.name].seeds), map=readings[c.name].map(v))
            for c in conditions
            for v in values
        ]
    if panel.kind == "bars":
        ticks = tuple(c.label for c in conditions)
        return [
            _points(v.label, range(len(ticks)), [readings[c.name].estimate(v) for c in conditions], v, ticks)
            for v in values
        ]
    return list(_lines(panel, conditions, values, readings))


def shown(panel: Panel, design: Design) -> list[Condition]:
    """The conditions of a panel. Raises UserError for an unknown name."""
    if not panel.only:
        return design.presented()
    found = []
    for name in panel.only:
        conditions = design.group(name)
        if not conditions:
            raise UserError(f"panel {panel.title or panel.values[0]!r}: no experiment or condition {name!r}")
        found += conditions
    return found


def write(path: Path, panels: list[tuple[Panel, list[Series]]]) -> None:
    """The plotted numbers as CSV."""
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["panel", "series", "x", "mean", "low", "high", "seeds"])
        for number, (_, found) in enumerate(panels, 1):
            for each in found:
                for i, (x, *rest) in enumerate(zip(each.x, each.mean, each.low, each.high, strict=True)):
                    where = each.ticks[i] if each.ticks else f"{x:.6g}"
                    ends = ["" if np.isnan(value) else f"{value:.6g}" for value in rest]
                    out.writerow([number, each.label, where, *ends, each.seeds])


def _curve(label: str, found: Readings, value: Value) -> Series:
    x, y = found.curve(value)
    factor = 100 if value.percent else 1
    mean, low, high = (factor * each for each in band(y, log=value.log))
    return Series(label, x, mean, low, high, y.shape[1])


def _path(label: str, found: Readings, values: list[Value]) -> Series:
    (_, x), (_, y) = (found.curve(value) for value in values[:2])
    nothing = np.full(len(x), np.nan)
    return Series(label, x[:, 0], y[:, 0], nothing, nothing, 1)


def _points(label: str, x: Any, estimates: list[Estimate], value: Value, ticks: tuple[str, ...] = ()) -> Series:
    factor = 100 if value.percent else 1
    ends = [(e.mean, e.low, e.high) if np.isfinite(e.half) and e.half else (e.mean, np.nan, np.nan) for e in estimates]
    mean, low, high = (factor * np.array(column, float) for column in zip(*ends, strict=True))
    seeds = max(len(e.values) for e in estimates)
    return Series(label, np.asarray(x, float), mean, low, high, seeds, ticks)


def _lines(
    panel: Panel, conditions: list[Condition], values: list[Value], readings: Mapping[str, Readings]
) -> Iterator[Series]:
    """A line for each combination of the other options of the grid and each value."""

    def others(condition: Condition) -> str:
        """What a line has in common."""
        rest = {name: value for name, value in condition.point.items() if name != panel.x}
        words = ", ".join(str(value["name"] if isinstance(value, dict) else value) for value in rest.values())
        return words or condition.label.split(",")[0]

    with_x = [c for c in conditions if panel.x in c.point]
    for label, members in itertools.groupby(sorted(with_x, key=others), key=others):
        group = list(members)
        places = [c.point[panel.x] for c in group]
        numeric = all(isinstance(place, int | float) and not isinstance(place, bool) for place in places)
        order = np.argsort(places) if numeric else np.arange(len(places))
        ticks = () if numeric else tuple(str(p["name"] if isinstance(p, dict) else p) for p in places)
        single = len({others(c) for c in with_x}) == 1
        for value in values:
            words = value.label if single else label if len(values) == 1 else f"{label}, {value.label}"
            estimates = [readings[group[i].name].estimate(value) for i in order]
            x = [places[i] for i in order] if numeric else range(len(places))
            yield _points(words, x, estimates, value, ticks)
