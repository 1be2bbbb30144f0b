"""What a panel shows, as numbers: one series per condition, value or combination of options."""

import csv
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rlgen.core.errors import UserError
from rlgen.lessons.conditions import Condition, Design, stem
from rlgen.lessons.estimates import Estimate, Floats, band
from rlgen.lessons.readings import Readings
from rlgen.lessons.schema import Panel, Value
from rlgen.lessons.text import Term


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


def series(
    panel: Panel, design: Design, readings: Mapping[str, Readings], estimate: Callable[[Term], Estimate]
) -> list[Series]:
    """The series of a panel. Raises UserError where a value was not measured."""
    conditions, values = shown(panel, design), {name: design.lesson.values[name] for name in panel.values}
    several = len(values) > 1
    match panel.kind:
        case "curves":
            starts = {c.name: _price(design.searched(c), readings) if panel.priced else 0.0 for c in conditions}
            return [
                _curve(f"{c.label}, {v.label}" if several else c.label, readings[c.name], v, starts[c.name])
                for c in conditions
                for v in values.values()
            ]
        case "paths":
            return [_path(c.label, readings[c.name], list(values.values())) for c in conditions]
        case "maps":
            return [_map(c.label, readings[c.name], v) for c in conditions for v in values.values()]
        case "bars":
            bars = {name: name for name in panel.only} if panel.grouped else {c.name: c.label for c in conditions}
            found = {name: [_measured(estimate, Term(bar, name)) for bar in bars] for name in values}
            ticks = tuple(bars.values())
            return [_points(v.label, range(len(ticks)), found[name], v, ticks) for name, v in values.items()]
    return list(_lines(panel, conditions, list(values.values()), readings))


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


def _curve(label: str, found: Readings, value: Value, start: float = 0.0) -> Series:
    x, y = found.curve(value)
    factor = 100 if value.percent else 1
    mean, low, high = (factor * each for each in band(y, log=value.log))
    return Series(label, start + x, mean, low, high, y.shape[1])


def _measured(estimate: Callable[[Term], Estimate], term: Term) -> Estimate:
    """The number of a condition, NaN where it has no such value."""
    try:
        return estimate(term)
    except UserError:
        return Estimate(np.array([np.nan]))


def _price(searched: list[Condition], readings: Mapping[str, Readings]) -> float:
    """The length of the runs of a search together, in the unit of the horizontal axis."""
    logs = (next(iter(readings[condition.name].seeds[0].curves.values())) for condition in searched)
    return sum(float(x[-1]) for x, _ in logs)


def _map(label: str, found: Readings, value: Value) -> Series:
    empty = np.zeros(0)
    return Series(label, empty, empty, empty, empty, len(found.seeds), map=found.map(value))


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
        rest = {k: v for k, v in condition.point.items() if k != panel.x and not (isinstance(v, dict) and panel.x in v)}
        words = ", ".join(str(value["name"] if isinstance(value, dict) else value) for value in rest.values())
        return words or stem(condition.experiment)

    with_x = [c for c in conditions if panel.x in c.varied()]
    for label, members in itertools.groupby(sorted(with_x, key=others), key=others):
        group = list(members)
        places: list[Any] = [c.options.get(panel.x, c.point.get(panel.x)) for c in group]
        numeric = all(isinstance(place, int | float) and not isinstance(place, bool) for place in places)
        order = np.argsort(places) if numeric else np.arange(len(places))
        ticks = () if numeric else tuple(str(p["name"] if isinstance(p, dict) else p) for p in places)
        single = len({others(c) for c in with_x}) == 1
        for value in values:
            words = value.label if single else label if len(values) == 1 else f"{label}, {value.label}"
            estimates = [readings[group[i].name].estimate(value) for i in order]
            x = [places[i] for i in order] if numeric else range(len(places))
            yield _points(words, x, estimates, value, ticks)
