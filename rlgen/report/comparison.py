"""Runs side by side: seeds of one experiment become one curve with a band. Agarwal et al. 2021, arXiv:2108.13264."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rlgen.catalog import KINDS, Kind
from rlgen.core.errors import UserError
from rlgen.core.folder import Folder
from rlgen.report.statistics import Floats, bootstrap, iqm

Axis = Literal["steps", "seconds"]
Series = tuple[Floats, Floats]  # when (P,), and what (P,) or (P, S) of S seeds

SMOOTHING = 25  # a curve is smoothed by moving means over a 25th of its points
RESOLUTION = 400  # points of a band: a picture shows no more


@dataclass(frozen=True)
class Curves:
    """The log of one run."""

    directory: Path
    info: dict[str, Any]  # run.json
    metrics: dict[str, Series]
    clock: Series | None  # seconds of training at some times

    @property
    def solved(self) -> bool:
        """Whether it ended early because an evaluation was good enough."""
        return self.info.get("status") == "finished" and self.info.get("time", 0) < self.info["plan"]["budget"]

    @property
    def config(self) -> dict[str, Any]:
        """What makes an experiment: the settings without the seeds."""
        return {name: value for name, value in self.info.get("config", {}).items() if name not in ("seed", "seeds")}


@dataclass(frozen=True)
class Line:
    """One metric of one experiment, over its n seeds."""

    kind: Kind
    algorithm: str
    task: str
    settings: str  # what tells it from other experiments with this algorithm and task
    metric: str
    seed: int  # of the first run
    n: int
    x: Floats  # (P,)
    middle: Floats  # (P,): of the smoothed curves the mean, or where there are four or more, the interquartile mean
    low: Floats  # (P,): the 95 % bootstrap band of the middle
    high: Floats
    raw: Floats | None  # (P,): the curve of a single seed before smoothing
    held: bool  # whether seeds that were solved early keep their last value up to the end of the others

    @property
    def label(self) -> str:
        """The experiment in words."""
        return " · ".join(filter(None, (self.algorithm, self.settings)))

    @property
    def words(self) -> str:
        """The metric in words."""
        return self.kind.words.get(self.metric, self.metric.replace("eval_", "evaluation_").replace("_", " "))

    @property
    def is_evaluation(self) -> bool:
        """Whether it was measured now and then, not in every period of the log."""
        return self.metric.startswith("eval_")


def read(directory: Path) -> Curves:
    """The log in a run folder, finished or not."""
    folder = Folder(directory)
    if not (directory / "run.json").is_file():
        raise UserError(f"{directory} is not a run: it has no run.json. `rlgen runs` lists those there are")
    info = folder.info
    if info.get("kind") not in KINDS or not {"algorithm", "task"} <= info.keys():
        raise UserError(f"{directory} cannot be plotted: its run.json tells no algorithm and task of a kind known here")
    metrics = folder.metrics()
    if not metrics:
        raise UserError(f"{directory} has no metrics yet: plot it once its first line of log is written")
    return Curves(directory, info, metrics, folder.metrics("timing.jsonl").get("seconds"))


def compare(runs: Sequence[Curves], x: Axis = "steps") -> list[Line]:
    """The lines to draw. Runs that differ in nothing but their seed are one experiment."""
    if not runs:
        raise UserError("nothing to plot: name a run, or several to compare")
    kinds = {run.info["kind"]: run.directory.name for run in runs}
    if len(kinds) > 1:
        raise UserError(f"agents and models have no axis in common: plot {' and '.join(kinds.values())} apart")
    kind = KINDS[runs[0].info["kind"]]
    lines = []
    for settings, members in _experiments(runs):
        first = members[0].info
        seeds: dict[str, list[tuple[Series, bool]]] = defaultdict(list)
        for run in members:
            for name in filter(re.compile(kind.metrics).fullmatch, run.metrics):
                seeds[name] += [(series, run.solved) for series in _seeds(run, name, x)]
        for name, curves in seeds.items():
            end = max(x[-1] for (x, _), _ in curves)
            series = [_held(curve, end) if solved else curve for curve, solved in curves]
            what = kind, first["algorithm"], first["task"], settings, name, first.get("seed", 0), len(series)
            held = any(solved and x[-1] < end for (x, _), solved in curves)
            lines.append(Line(*what, *_summary(series, smooth=not name.startswith("eval_")), held))
    if not lines:
        raise UserError(f"{runs[0].directory} has no {kind.value} in its log yet: plot it later")
    return sorted(lines, key=lambda line: line.is_evaluation)  # evaluations are drawn on top


def _experiments(runs: Sequence[Curves]) -> Iterator[tuple[str, list[Curves]]]:
    """Groups of runs alike but for the seed, each named by the settings in which it differs from its rivals."""
    groups: dict[str, list[Curves]] = defaultdict(list)
    for run in runs:
        identity = run.info["algorithm"], run.info["task"], run.config
        groups[json.dumps(identity, sort_keys=True)].append(run)
    for first, *rest in groups.values():
        rivals = [
            rival.config
            for rival, *_ in groups.values()
            if all(rival.info[name] == first.info[name] for name in ("algorithm", "task"))
        ]
        told = (
            f"{name}={value}"
            for name, value in first.config.items()
            if any(rival.get(name) != value for rival in rivals)
        )
        yield ", ".join(told), [first, *rest]


def _seeds(run: Curves, name: str, x: Axis) -> list[Series]:
    """The curves (P,) of a metric, one per seed, without the points that are not finite."""
    times, values = run.metrics[name]
    if x == "seconds":
        if run.clock is None:
            raise UserError(f"{run.directory} has no timing.jsonl: plot it with --x steps")
        at, seconds = run.clock
        times = np.interp(times, np.append(0, at), np.append(0, seconds))
    curves = values.reshape(len(times), -1).T
    return [(times[kept], curve[kept]) for curve in curves if (kept := np.isfinite(curve)).any()]


def _held(series: Series, end: float) -> Series:
    """A solved seed's curve, its last value kept up to `end`."""
    x, y = series
    return (np.append(x, end), np.append(y, y[-1])) if x[-1] < end else series


def _summary(series: list[Series], smooth: bool) -> tuple[Floats, Floats, Floats, Floats, Floats | None]:
    """x, middle, low, high and raw of one metric of n seeds.

    Seeds have their points at different x, and some end early: all are interpolated on the x of one of them,
    as far as every seed has come.
    """
    smoothed = [(x, _smooth(y)) for x, y in series] if smooth else series
    if len(series) == 1:
        (x, middle), (_, raw) = smoothed[0], series[0]
        return x, middle, middle, middle, raw
    start, stop = max(x[0] for x, _ in series), min(x[-1] for x, _ in series)
    grid = max((x[(start <= x) & (x <= stop)] for x, _ in series), key=len)
    if not len(grid):
        grid = np.array([stop])  # single points in different places
    grid = grid[np.linspace(0, len(grid) - 1, min(len(grid), RESOLUTION)).astype(int)]
    seeds = np.stack([np.interp(grid, x, y) for x, y in smoothed], axis=1)  # (P, n)
    statistic = iqm if len(series) >= 4 else np.mean
    return grid, np.asarray(statistic(seeds, axis=1)), *bootstrap(seeds, statistic), None


def _smooth(y: Floats) -> Floats:
    """The moving mean of the moving mean, so that an outlier becomes a hill and not a box.

    Near the start, where curves are steep, the window shrinks on both sides and the first point stays where it is.
    """
    at = np.arange(len(y))
    half = np.minimum(at, len(y) // SMOOTHING // 2)
    low, high = at - half, np.minimum(at + half + 1, len(y))
    for _ in range(2):
        sums = np.append(0.0, np.cumsum(y))
        y = (sums[high] - sums[low]) / (high - low)
    return y
