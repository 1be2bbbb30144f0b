"""Runs side by side: the seeds of an experiment become one curve with a band. Agarwal et al. 2021, arXiv:2108.13264."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rlgen.core.errors import UserError
from rlgen.core.folder import Folder
from rlgen.kinds import KINDS, Kind, Panel
from rlgen.report.statistics import Floats, bootstrap, iqm, running_mean, smooth

Axis = Literal["steps", "seconds"]
Series = tuple[Floats, Floats]  # x and y of the points of one curve, (P,) each

SMOOTHING = 25  # a training curve without single episodes is smoothed by moving means over a 25th of its points
WINDOW = 100  # episodes in a running mean, the number of the console, or a tenth of those of a short run
RESOLUTION = 400  # points of a mean over seeds
BAND = 4  # seeds from which on there is a band
NORMAL = 1.96  # standard errors on each side of a mean that cover it in 95 % of all cases


@dataclass(frozen=True)
class Curves:
    """The log of one run."""

    directory: Path
    info: dict[str, Any]  # run.json
    metrics: dict[str, Series]  # times (P,), and values (P,) or (P, S) of S seeds
    episodes: dict[int, Series]  # seed -> times and returns of its training episodes
    clock: Series | None  # seconds of training at some times

    @property
    def solved(self) -> bool:
        """Whether it ended early because an evaluation reached `stop_at`."""
        return self.info.get("status") == "finished" and self.info.get("time", 0) < self.info["plan"]["budget"]

    @property
    def config(self) -> dict[str, Any]:
        """The settings without the seeds: equal for the runs of one experiment."""
        return {name: value for name, value in self.info.get("config", {}).items() if name not in ("seed", "seeds")}


@dataclass(frozen=True)
class Curve:
    """One metric of one seed."""

    seed: tuple[int, int, int]  # --seed and --seeds of the run, and number of the seed in it
    status: str  # of the run
    solved: bool
    x: Floats  # (P,)
    y: Floats  # (P,): smoothed, or a running mean over episodes
    raw: Series | None  # single episodes, or the curve before smoothing
    error: Floats | None  # (P,): half of the 95 % interval over the episodes of each evaluation


@dataclass(frozen=True)
class Line:
    """One metric of one experiment, over its n seeds."""

    kind: Kind
    panel: Panel
    scale: str  # settings on which the scale of the metric depends, such as `loss=hinge`
    algorithm: str
    task: str
    settings: str  # in which it differs from other experiments with this algorithm and task
    metric: str
    curves: Sequence[Curve]
    x: Floats  # (P,)
    mean: Floats  # (P,): over seeds
    low: Floats  # (P,): 95 % interval, by bootstrap over seeds from four on, over the episodes of a single seed's
    high: Floats  # evaluation, and otherwise as wide as nothing
    iqm: Floats  # (P,): interquartile mean over seeds
    window: int  # episodes in a running mean; 0 where there is none
    notes: tuple[str, ...]  # on seeds that were left out or ended at different times
    references: tuple[tuple[str, float], ...]  # known values to compare with, and their names

    @property
    def n(self) -> int:
        """Number of seeds."""
        return len(self.curves)

    @property
    def label(self) -> str:
        """The experiment in words."""
        return " · ".join(filter(None, (self.algorithm, self.settings)))

    @property
    def title(self) -> str:
        """The task, of a folder of images its name."""
        kind, _, path = self.task.partition(":")
        return Path(path).name if kind == "folder" else self.task

    @property
    def words(self) -> str:
        """The metric and its statistic in words."""
        smoothed = "" if self.is_evaluation else f"mean of {self.window} episodes" if self.window else "smoothed"
        return ", ".join(filter(None, (self.panel.metrics[self.metric], smoothed, "mean over seeds" * (self.n > 1))))

    @property
    def is_evaluation(self) -> bool:
        """Whether it was measured at evaluations, not in every period of the log."""
        return self.metric.startswith("eval_")

    @property
    def interval(self) -> str:
        """Over what the interval is: `seeds`, `episodes`, or nothing."""
        return "seeds" if self.n >= BAND else "episodes" if self.n == 1 and self.curves[0].error is not None else ""


def read(directory: Path) -> Curves:
    """The log in a run folder, finished or not."""
    folder = Folder(directory)
    if not (directory / "run.json").is_file():
        raise UserError(f"{directory} is not a run: it has no run.json. `rlgen runs` lists those there are")
    info = folder.info
    if info.get("kind") not in KINDS or not {"algorithm", "task"} <= info.keys():
        raise UserError(
            f"{directory} cannot be plotted: its run.json has no algorithm and task of a kind in the catalog"
        )
    metrics = folder.metrics()
    if not metrics:
        raise UserError(f"{directory} has no metrics yet: plot it once the first line of its log is written")
    episodes: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for row in folder.rows("episodes.jsonl"):
        episodes[row["seed"]].append((row["time"], row["return"]))
    returns = {seed: (np.array(rows)[:, 0], np.array(rows)[:, 1]) for seed, rows in sorted(episodes.items())}
    return Curves(directory, info, metrics, returns, folder.metrics("timing.jsonl").get("seconds"))


def compare(runs: Sequence[Curves], x: Axis = "steps") -> list[Line]:
    """The lines to draw. Runs that differ in nothing but their seed are one experiment."""
    if not runs:
        raise UserError("nothing to plot: name a run, or several to compare")
    kinds = {run.info["kind"]: run.directory.name for run in runs}
    if len(kinds) > 1:
        plurals = " and ".join(KINDS[name].plural for name in kinds)
        raise UserError(f"{plurals} have no axis in common: plot {' and '.join(kinds.values())} apart")
    kind = KINDS[runs[0].info["kind"]]
    window = _window(runs)
    lines = [
        line
        for settings, members in _experiments(runs)
        for panel in _panels(kind, members)
        for metric in panel.metrics
        if (line := _line(kind, panel, metric, settings, members, window if metric == panel.episodes else 0, x))
        is not None
    ]
    if len({line.label for line in lines}) > 1:
        fewer = [line for line in lines if not line.panel.compared or line.metric in line.panel.compared]
        lines = fewer or lines
    if not lines:
        wanted = " or ".join(panel.value for panel in kind.panels)
        raise UserError(f"{runs[0].directory} has no {wanted} in its log yet: plot it later")
    return sorted(lines, key=lambda line: line.is_evaluation)  # evaluations are drawn on top


def _experiments(runs: Sequence[Curves]) -> Iterator[tuple[str, list[Curves]]]:
    """Groups of runs alike but for the seed, each named by the settings in which it differs from the others."""
    groups: dict[str, list[Curves]] = defaultdict(list)
    for run in runs:
        identity = run.info["algorithm"], run.info["task"], run.config
        groups[json.dumps(identity, sort_keys=True)].append(run)
    for first, *rest in groups.values():
        others = [
            other.config
            for other, *_ in groups.values()
            if all(other.info[name] == first.info[name] for name in ("algorithm", "task"))
        ]
        different = (
            f"{name}={Path(value).name if isinstance(value, str) and value.startswith('/') else value}"
            for name, value in first.config.items()
            if any(other.get(name) != value for other in others)
        )
        yield ", ".join(different), [first, *rest]


def _panels(kind: Kind, members: Sequence[Curves]) -> list[Panel]:
    """The panels an experiment has a metric for; those of last resort only where there is no other."""
    present = [panel for panel in kind.panels if any(panel.metrics.keys() & run.metrics.keys() for run in members)]
    return [panel for panel in present if not panel.last_resort] or present


def _line(
    kind: Kind, panel: Panel, metric: str, settings: str, members: Sequence[Curves], window: int, x: Axis
) -> Line | None:
    found = [curve for run in members for curve in _curves(run, metric, window, x)]
    if not found:
        return None
    curves = _distinct(found)
    info, config = members[0].info, members[0].config
    scale = ", ".join(f"{name}={config[name]}" for name in panel.scale if name in config)
    known = {**{name: float(y[-1].mean()) for name, (_, y) in members[0].metrics.items()}, **(info.get("result") or {})}
    references = tuple((words, float(known[name])) for name, words in panel.references.items() if name in known)
    line = kind, panel, scale, info["algorithm"], info["task"], settings, metric, curves
    return Line(*line, *_summary(curves), window, _notes(curves, found), references)


def _window(runs: Sequence[Curves]) -> int:
    """Episodes in a running mean: a tenth of those of the shortest seed, but 5 to 100; 0 where a run logged none."""
    counts = [len(times) for run in runs for times, _ in run.episodes.values()]
    return min(WINDOW, max(5, min(counts) // 10)) if counts and all(run.episodes for run in runs) else 0


def _curves(run: Curves, metric: str, window: int, axis: Axis) -> Iterator[Curve]:
    """The curve of each seed of a run, without the points that are not finite."""
    facts = run.info.get("status", "unknown"), run.solved
    seed = run.info.get("seed", 0), run.info.get("config", {}).get("seeds", 1)
    if window:
        end = max(times[-1] for times, _ in run.metrics.values())
        for number, (times, returns) in run.episodes.items():
            x = _position(run, np.append(times, end), axis)
            mean = running_mean(returns, window)
            yield Curve((*seed, number), *facts, x, np.append(mean, mean[-1]), (x[:-1], returns), None)
        return
    if metric not in run.metrics:
        return
    times, values = run.metrics[metric]
    errors = run.metrics.get(f"{metric}_se")
    x = _position(run, times, axis)
    for number, y in enumerate(values.reshape(len(times), -1).T):
        kept = np.isfinite(y)
        if not kept.any():
            continue
        evaluation = metric.startswith("eval_")
        error = None
        if errors is not None:  # 0 at an evaluation of an earlier version, which logged none
            error = np.zeros(len(times))
            error[np.isin(times, errors[0])] = NORMAL * errors[1].reshape(len(errors[0]), -1)[:, number]
            error = error[kept]
        mean, raw = (y[kept], None) if evaluation else (smooth(y[kept], SMOOTHING), (x[kept], y[kept]))
        yield Curve((*seed, number), *facts, x[kept], mean, raw, error)


def _position(run: Curves, times: Floats, axis: Axis) -> Floats:
    """Times as they are, or the seconds of training at these times."""
    if axis == "steps":
        return times
    if run.clock is None:
        raise UserError(f"{run.directory} has no timing.jsonl: plot it with --x steps")
    at, seconds = run.clock
    return np.asarray(np.interp(times, np.append(0, at), np.append(0, seconds)))


def _distinct(curves: Sequence[Curve]) -> list[Curve]:
    """One curve per seed: of a seed that was trained several times, the one that came farthest, finished if any is."""
    best: dict[tuple[int, ...], Curve] = {}
    for curve in curves:
        kept = best.get(curve.seed)
        if kept is None or (curve.status == "finished", curve.x[-1]) > (kept.status == "finished", kept.x[-1]):
            best[curve.seed] = curve
    return list(best.values())


def _notes(curves: Sequence[Curve], found: Sequence[Curve]) -> tuple[str, ...]:
    notes = []
    if len(found) > len(curves):
        notes.append("a seed trained several times counts once")
    unfinished = Counter(curve.status for curve in curves if curve.status != "finished")
    if len(curves) > 1 and 0 < unfinished.total() < len(curves):
        which = ", ".join(f"{count} {status}" for status, count in sorted(unfinished.items()))
        notes.append(f"of {len(curves)} seeds {which}: means end where the first of them ended")
    ends = {curve.x[-1] for curve in curves}
    if len(ends) > 1 and any(curve.solved and curve.x[-1] < max(ends) for curve in curves):
        notes.append("seeds solved early keep their last value")
    return tuple(notes)


def _summary(curves: Sequence[Curve]) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """x, mean, low, high and interquartile mean of one metric of n seeds.

    Seeds have their points at different x, and some end early: all are interpolated on the x of one of them,
    as far as every seed has come; solved ones keep their last value.
    """
    if len(curves) == 1:
        (curve,) = curves
        half = 0.0 if curve.error is None else curve.error
        return curve.x, curve.y, curve.y - half, curve.y + half, curve.y
    end = max(curve.x[-1] for curve in curves)
    series = [
        (np.append(c.x, end), np.append(c.y, c.y[-1])) if c.solved and c.x[-1] < end else (c.x, c.y) for c in curves
    ]
    start, stop = max(x[0] for x, _ in series), min(x[-1] for x, _ in series)
    grid = max((x[(start <= x) & (x <= stop)] for x, _ in series), key=len)
    if not len(grid):
        grid = np.array([stop])  # single points in different places
    grid = grid[np.linspace(0, len(grid) - 1, min(len(grid), RESOLUTION)).astype(int)]
    seeds = np.stack([np.interp(grid, x, y) for x, y in series], axis=1)  # (P, n)
    mean = seeds.mean(axis=1)
    low, high = bootstrap(seeds) if len(curves) >= BAND else (mean, mean)
    return grid, mean, low, high, iqm(seeds, axis=1)
