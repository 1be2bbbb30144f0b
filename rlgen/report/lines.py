"""Learning curves of experiments: one per seed, and their mean on a common grid with its interval.

Interquartile mean and bootstrap: Agarwal et al. 2021, arXiv:2108.13264.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rlgen.core.errors import UserError
from rlgen.kinds import Kind, Panel
from rlgen.report import panels
from rlgen.report.experiments import Experiment
from rlgen.report.logs import RunLog, Series, shown
from rlgen.report.statistics import Floats, bootstrap, iqm, running_mean, smooth

Axis = Literal["steps", "episodes", "seconds"]
Band = Literal["mean", "iqm", "none"]

SMOOTHING = 25  # a training curve without single episodes is smoothed by moving means over a 25th of its points
WINDOW = 100  # episodes in a running mean, the number of the console, or a tenth of those of a short run
RESOLUTION = 400  # points of a mean over seeds
BAND = 4  # seeds from which on there is a band
NORMAL = 1.96  # standard errors on each side of a mean that cover it in 95 % of all cases


@dataclass(frozen=True)
class View:
    """What is drawn of runs."""

    x: Axis = "steps"
    metrics: tuple[str, ...] = ()  # each in a panel of its own; none: the panels of the kind
    band: Band = "mean"  # what is in the middle of a band over seeds
    log: bool = False  # logarithmic vertical axes


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

    experiment: Experiment
    panel: Panel
    scale: str  # settings on which the scale of the metric depends, such as `loss=hinge`
    metric: str
    curves: Sequence[Curve]
    band: Band
    x: Floats  # (P,)
    mean: Floats  # (P,): over seeds
    iqm: Floats  # (P,): interquartile mean over seeds
    low: Floats  # (P,): 95 % interval, by bootstrap over seeds from four on, over the episodes of a single seed's
    high: Floats  # evaluation, and otherwise as wide as nothing
    window: int  # episodes in a running mean; 0 where there is none
    notes: tuple[str, ...]  # on seeds that were left out or ended at different times
    references: tuple[tuple[str, float], ...]  # known values to compare with, and their names

    @property
    def kind(self) -> Kind:
        """Agent, model or classifier."""
        return self.experiment.kind

    @property
    def task(self) -> str:
        """The task by its full name."""
        return self.experiment.task

    @property
    def label(self) -> str:
        """The experiment in words."""
        return self.experiment.label

    @property
    def centre(self) -> Floats:
        """(P,): the mean or the interquartile mean over seeds."""
        return self.iqm if self.band == "iqm" else self.mean

    @property
    def n(self) -> int:
        """Number of seeds."""
        return len(self.curves)

    @property
    def words(self) -> str:
        """The metric and its statistic in words."""
        smoothed = "" if self.is_evaluation else f"mean of {self.window} episodes" if self.window else "smoothed"
        statistic = f"{'interquartile mean' if self.band == 'iqm' else 'mean'} over seeds"
        return ", ".join(filter(None, (self.panel.metrics[self.metric], smoothed, statistic * (self.n > 1))))

    @property
    def is_evaluation(self) -> bool:
        """Whether it was measured at evaluations, not in every period of the log."""
        return self.metric.startswith("eval_")

    @property
    def interval(self) -> str:
        """Over what the interval is: `seeds`, `episodes`, or nothing."""
        if self.band == "none":
            return ""
        return "seeds" if self.n >= BAND else "episodes" if self.n == 1 and self.curves[0].error is not None else ""


def lines(groups: Sequence[Experiment], view: View | None = None) -> list[Line]:
    """The lines of experiments of one kind, evaluations last. Raises UserError where there is nothing to draw."""
    view = view or View()
    kind, runs = groups[0].kind, [run for experiment in groups for run in experiment.runs]
    window = _window(runs)
    found = [
        line
        for experiment in groups
        for panel in (
            panels.chosen(kind, runs, view.metrics) if view.metrics else panels.present(kind, experiment.runs)
        )
        for metric in panel.metrics
        if (line := _line(panel, metric, experiment, window if metric == panel.episodes else 0, view)) is not None
    ]
    if not view.metrics and len({line.label for line in found}) > 1:
        found = _compared(found)
    if not found:
        wanted = " or ".join(view.metrics or (panel.value for panel in kind.panels))
        raise UserError(f"{runs[0].name} has no {wanted} in its log yet: plot it later")
    return sorted(found, key=lambda line: line.is_evaluation)  # evaluations are drawn on top


def _compared(found: Sequence[Line]) -> list[Line]:
    """Fewer metrics for several experiments; all of an experiment that has none of those few in a panel."""
    few = {(line.label, line.task, line.panel.value) for line in found if line.metric in line.panel.compared}
    return [
        line
        for line in found
        if line.metric in line.panel.compared or (line.label, line.task, line.panel.value) not in few
    ]


def _line(panel: Panel, metric: str, experiment: Experiment, window: int, view: View) -> Line | None:
    found = [curve for run in experiment.runs for curve in _curves(run, metric, window, view.x)]
    if not found:
        return None
    curves = _distinct(found)
    config, known = experiment.config, experiment.runs[0].known
    scale = ", ".join(f"{name}={shown(config[name])}" for name in panel.scale if name in config)
    references = tuple((words, known[name]) for name, words in panel.references.items() if name in known)
    summary = _summary(curves, view.band)
    notes = (*_notes(curves, found), *_damage(experiment.runs, metric), *_unplaced(metric, summary[1], view))
    return Line(experiment, panel, scale, metric, curves, view.band, *summary, window, notes, references)


def _window(runs: Sequence[RunLog]) -> int:
    """Episodes in a running mean: a tenth of those of the shortest seed, but 5 to 100; 0 where a run logged none."""
    counts = [len(times) for run in runs for times, _ in run.episodes.values()]
    return min(WINDOW, max(5, min(counts) // 10)) if counts and all(run.episodes for run in runs) else 0


def _curves(run: RunLog, metric: str, window: int, axis: Axis) -> Iterator[Curve]:
    """The curve of each seed of a run, without the points that are not finite."""
    facts = run.info["status"], run.solved
    seed = run.info["seed"], run.info["config"].get("seeds", 1)
    if window:
        end = max(times[-1] for times, _ in run.metrics.values())
        for number, (times, returns) in run.episodes.items():
            x = _position(run, np.append(times, max(end, times[-1])), axis, number)
            if axis == "episodes":
                x = np.append(np.arange(1.0, len(times) + 1), len(times))
            mean = running_mean(returns, window)
            yield Curve((*seed, number), *facts, x, np.append(mean, mean[-1]), (x[:-1], returns), None)
        return
    if metric not in run.metrics:
        return
    times, values = run.metrics[metric]
    errors = run.metrics.get(f"{metric}_se")
    for number, y in enumerate(values.reshape(len(times), -1).T):
        kept = np.isfinite(y)
        if not kept.any():
            continue
        x = _position(run, times, axis, number)
        evaluation = metric.startswith("eval_")
        error = None
        if errors is not None:  # 0 at an evaluation of an earlier version, which logged none
            error = np.zeros(len(times))
            widths = errors[1].reshape(len(errors[0]), -1)
            at = np.isin(errors[0], times)
            error[np.isin(times, errors[0])] = NORMAL * np.nan_to_num(widths[at, min(number, widths.shape[1] - 1)])
            error = error[kept]
        mean, raw = (y[kept], None) if evaluation else (smooth(y[kept], SMOOTHING), (x[kept], y[kept]))
        yield Curve((*seed, number), *facts, x[kept], mean, raw, error)


def _position(run: RunLog, times: Floats, axis: Axis, seed: int) -> Floats:
    """Times as they are, or the seconds of training or the number of training episodes of a seed at these times."""
    if axis == "steps":
        return times
    if axis == "episodes":
        if not run.episodes:
            what = "logged no episodes" if run.kind.unit == "steps" else f"is {run.kind.article} without episodes"
            raise UserError(f"{run.name} {what}: plot it with --x steps")
        ends = run.episodes[seed if seed in run.episodes else min(run.episodes)][0]
        return np.searchsorted(ends, times, side="right").astype(np.float64)
    if run.clock is None or not len(run.clock[0]):
        raise UserError(f"{run.name} has no timing.jsonl: plot it with --x steps")
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


def _damage(runs: Sequence[RunLog], metric: str) -> Iterator[str]:
    """What is missing in a line."""
    lost = sum(run.lost for run in runs)
    if lost:
        yield f"{lost:,} line{'s' * (lost > 1)} of the log damaged or missing"
    without = [run.name for run in runs if metric not in run.metrics and not run.episodes]
    if without:
        yield f"without {metric}: {', '.join(without[:3])}" + (f" and {len(without) - 3} more" * (len(without) > 3))


def _unplaced(metric: str, mean: Floats, view: View) -> Iterator[str]:
    """What a logarithmic axis leaves out."""
    if view.log and (mean <= 0).all():
        yield f"{metric} is nowhere above 0: its axis is linear"
    elif view.log and (mean <= 0).any():
        yield f"{metric} of 0 and less is not on the logarithmic axis"


def _summary(curves: Sequence[Curve], band: Band) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """x, mean, interquartile mean, low and high of one metric of n seeds.

    Seeds have their points at different x, and some end early: all are interpolated on the x of one of them,
    as far as every seed has come; solved ones keep their last value.
    """
    if len(curves) == 1:
        (curve,) = curves
        half = 0.0 if curve.error is None or band == "none" else curve.error
        return curve.x, curve.y, curve.y, curve.y - half, curve.y + half
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
    mean, middle = seeds.mean(axis=1), iqm(seeds, axis=1)
    centre = middle if band == "iqm" else mean
    low, high = centre, centre
    if len(curves) >= BAND and band != "none":
        low, high = bootstrap(seeds, iqm if band == "iqm" else np.mean)
    return grid, mean, middle, low, high
