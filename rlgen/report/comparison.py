"""Runs side by side: differing settings, scores of their curves, and the probability that one is better than another.

Probability of improvement: Agarwal et al. 2021, arXiv:2108.13264. The result is JSON-ready: for the command line and
the page.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rlgen.report.experiments import Experiment, experiments, value_text
from rlgen.report.lines import BAND, Curve, Line, View, lines
from rlgen.report.logs import RunLog, read, shown
from rlgen.report.statistics import bootstrap, first_reached, improvement, improvement_interval, mean_height

Json = dict[str, Any]

FACTS = ("plan", "versions", "git", "device", "threads", "parameters")  # of run.json, beside the settings
COMMIT = 10  # digits of a commit
FEWEST = 2  # seeds of each group for an interval of the probability of improvement


def compare(directories: Sequence[Path], view: View | None = None, threshold: float | None = None) -> Json:
    """The comparison of the runs in `directories` as JSON-ready data; numbers are finite or None.

    apart: whether all runs are alike but for the seed, so that each is an experiment of its own.
    experiments: label, algorithm, task, settings, runs (names of folders) and n (seeds) of each group of runs with
        equal settings. Further lists have one entry per experiment.
    differences: name of a setting or of another fact -> its value in each experiment.
    metrics: of each metric its name, label, direction of improvement, threshold, the common range (start, end) of the
        horizontal axis, and for each experiment n, best, last, mean (area under the curve / length of the range), each
        with value, low and high (95 % bootstrap interval over seeds, None for fewer than four) and the seeds' values;
        and time_to_threshold: the median over seeds, None where half of them never reach it, with reached and each.
    improvement: for each metric and pair of experiments the probability that a seed of the first one ends better than
        one of the second, with its interval, stratified by task where the same two labels share several tasks.
    notes: what has to be known to read the numbers.

    Without `threshold` the time is that of the value which all experiments reach at their best, on average over seeds.
    Raises UserError where runs cannot be read, are of different kinds, or have no metric to compare.
    """
    runs = [read(directory) for directory in {path.resolve(): path for path in directories}.values()]
    groups = experiments(runs)
    apart = len(groups) == 1 and len(runs) > 1
    if apart:
        groups = experiments(runs, apart=True)
    found = lines(groups, view)
    names = list(dict.fromkeys((line.panel.value, line.metric) for line in found))
    by_metric = {name: [line for line in found if (line.panel.value, line.metric) == name] for name in names}
    notes = dict.fromkeys(note for line in found for note in line.notes)
    return {
        "apart": apart,
        "x": (view or View()).x,
        "time": groups[0].kind.time,
        "experiments": [_described(experiment, found) for experiment in groups],
        "differences": differences(groups),
        "metrics": [
            _metric(members, groups, task, threshold)
            for members in by_metric.values()
            for task in dict.fromkeys(line.task for line in members)
        ],
        "improvement": [row for members in by_metric.values() for row in _improvements(members)],
        "notes": [*(["the runs differ in their seed alone: each stands for itself"] if apart else []), *notes],
    }


def differences(groups: Sequence[Experiment]) -> dict[str, list[str | None]]:
    """The settings and facts in which experiments differ -> the value in each, None where it has none.

    A value in which the runs of one experiment differ is the list of theirs.
    """
    tables = [[_facts(run) for run in experiment.runs] for experiment in groups]
    names = dict.fromkeys(name for table in tables for facts in table for name in facts)
    found = {}
    for name in names:
        values = [list(dict.fromkeys(facts.get(name) for facts in table)) for table in tables]
        if any(value != values[0] for value in values):
            found[name] = [", ".join(str(v) for v in value if v is not None) or None for value in values]
    return found


def _facts(run: RunLog) -> dict[str, str]:
    """Algorithm, task, settings, then plan, versions and machine: each fact as text."""
    facts = {name: run.info[name] for name in ("algorithm", "task")} | run.config
    for table in FACTS:
        value = run.info.get(table)
        if isinstance(value, dict):
            facts |= {name if table == "plan" else f"{table} {shown(name)}": v for name, v in value.items()}
        elif value is not None:
            facts[table] = value
    facts = {name: value_text(value) for name, value in facts.items()}
    return facts | {"git commit": facts["git commit"][:COMMIT]} if "git commit" in facts else facts


def _described(experiment: Experiment, found: Sequence[Line]) -> Json:
    return {
        "label": experiment.label,
        "algorithm": experiment.algorithm,
        "task": experiment.title,
        "settings": experiment.settings,
        "runs": [run.directory.name for run in experiment.runs],
        "n": max((line.n for line in found if line.experiment is experiment), default=0),
    }


def _metric(members: Sequence[Line], groups: Sequence[Experiment], task: str, threshold: float | None) -> Json:
    """One metric on one task: the scores of each experiment, None for one on another task or without this metric."""
    here = {id(line.experiment): line for line in members if line.task == task}
    first = next(iter(here.values()))
    curves = [curve for line in here.values() for curve in line.curves]
    start = max(curve.x[0] for curve in curves)
    unsolved = [curve.x[-1] for curve in curves if not curve.solved]  # a solved one keeps its last value
    end = max(start, min(unsolved) if unsolved else max(curve.x[-1] for curve in curves))
    sign = -1.0 if first.panel.better == "lower" else 1.0
    level = threshold
    if level is None and first.panel.better:
        level = sign * min(np.mean([(sign * c.y).max() for c in line.curves]) for line in here.values())
    rows = []
    for experiment in groups:
        line = here.get(id(experiment))
        rows.append(None if line is None else _scores(line, sign, level, start, end))
    return {
        "metric": first.metric,
        "label": f"{first.panel.value}, {first.panel.metrics[first.metric]}",
        "task": first.experiment.title,
        "better": first.panel.better or None,
        "threshold": None if level is None else float(level),
        "range": [float(start), float(end)],
        "scores": rows,
    }


def _scores(line: Line, sign: float, level: float | None, start: float, end: float) -> Json:
    """The scores of one experiment: `sign` is -1 where lower is better."""
    scores = {
        "n": line.n,
        "best": _interval([sign * (sign * c.y).max() for c in line.curves]) if line.panel.better else None,
        "last": _interval([c.y[-1] for c in line.curves]),
        "mean": _interval([mean_height(c.x, c.y, start, end) for c in line.curves]),
        "time_to_threshold": None,
    }
    if level is not None:
        each = [first_reached(c.x, sign * c.y, sign * level) for c in line.curves]
        middle = float(np.quantile(each, 0.5, method="higher"))
        scores["time_to_threshold"] = {
            "median": _finite(middle),
            "reached": sum(map(math.isfinite, each)),
            "each": [_finite(at) for at in each],
        }
    return scores


def _interval(values: Sequence[float]) -> Json:
    low, high = bootstrap(values) if len(values) >= BAND else (math.nan, math.nan)
    return {
        "value": _finite(np.mean(values)),
        "low": _finite(low),
        "high": _finite(high),
        "each": [_finite(value) for value in values],
    }


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None


def _improvements(members: Sequence[Line]) -> list[Json]:
    """The probability of improvement by the last value of one metric, for each pair of labels that share a task."""
    if not members[0].panel.better:
        return []
    sign = -1.0 if members[0].panel.better == "lower" else 1.0
    last: dict[str, dict[str, list[float]]] = {}
    for line in members:
        last.setdefault(line.label, {})[line.task] = [sign * _last(curve) for curve in line.curves]
    labels, rows = list(last), []
    for i, first in enumerate(labels):
        for second in labels[i + 1 :]:
            tasks = [task for task in last[first] if task in last[second]]
            if not tasks:
                continue
            pairs = [(last[first][task], last[second][task]) for task in tasks]
            enough = all(min(len(x), len(y)) >= FEWEST for x, y in pairs)
            low, high = improvement_interval(pairs) if enough else (None, None)
            sizes = [sum(len(pair[side]) for pair in pairs) for side in (0, 1)]
            row = {"metric": members[0].metric, "first": first, "second": second, "tasks": len(tasks), "n": sizes}
            rows.append({**row, "probability": improvement(pairs), "low": low, "high": high})
    return rows


def _last(curve: Curve) -> float:
    return float(curve.y[-1])
