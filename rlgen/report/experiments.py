"""Experiments: runs that differ in nothing but their seed, and the settings in which experiments differ."""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rlgen.core.errors import UserError
from rlgen.kinds import KINDS, Kind
from rlgen.report.logs import RunLog, shown

SHOWN = 4  # differing settings in a label, at most


@dataclass(frozen=True)
class Experiment:
    """Runs of one algorithm on one task with equal settings."""

    algorithm: str
    task: str
    settings: str  # in which it differs from other experiments with this algorithm and task
    runs: tuple[RunLog, ...]

    @property
    def kind(self) -> Kind:
        """Agent, model or classifier."""
        return self.runs[0].kind

    @property
    def config(self) -> dict[str, Any]:
        """The settings without the seeds."""
        return self.runs[0].config

    @property
    def label(self) -> str:
        """The experiment in words; unique among those of one task."""
        return " · ".join(filter(None, (self.algorithm, self.settings)))

    @property
    def title(self) -> str:
        """The task, of a folder of images its name."""
        kind, _, path = self.task.partition(":")
        return shown(Path(path).name) if kind == "folder" else shown(self.task)


def experiments(runs: Sequence[RunLog], apart: bool = False) -> list[Experiment]:
    """`runs` in groups of equal settings, or `apart`: each run an experiment named by its folder.

    Raises UserError where the runs are of different kinds: their curves have no axis in common.
    """
    if not runs:
        raise UserError("nothing to plot: name a run, or several to compare")
    kinds = {run.info["kind"]: run.name for run in runs}
    if len(kinds) > 1:
        plurals = " and ".join(KINDS[name].plural for name in kinds)
        raise UserError(f"{plurals} have no axis in common: plot {' and '.join(kinds.values())} apart")
    if apart:
        return [Experiment(run.info["algorithm"], run.info["task"], run.name, (run,)) for run in runs]
    groups: dict[str, list[RunLog]] = defaultdict(list)
    for run in runs:
        identity = run.info["algorithm"], run.info["task"], run.config
        groups[json.dumps(identity, sort_keys=True)].append(run)
    found = [
        Experiment(first.info["algorithm"], first.info["task"], _settings(first, list(groups.values())), (first, *rest))
        for first, *rest in groups.values()
    ]
    names = Counter((experiment.task, experiment.label) for experiment in found)
    return [e if names[e.task, e.label] == 1 else replace(e, settings=e.runs[0].name) for e in found]


def _settings(run: RunLog, groups: Sequence[Sequence[RunLog]]) -> str:
    """The settings of `run` in which other groups of its algorithm and task differ from it; its name for many."""
    own = run.info["algorithm"], run.info["task"]
    others = [other.config for other, *_ in groups if (other.info["algorithm"], other.info["task"]) == own]
    absent = object()
    names = dict.fromkeys(name for config in (run.config, *others) for name in config)
    different = [
        f"{name}={value_text(run.config.get(name))}"
        for name in names
        if any(other.get(name, absent) != run.config.get(name, absent) for other in others)
    ]
    return ", ".join(different) if len(different) <= SHOWN else run.name


def value_text(value: object) -> str:
    """A setting as short text, of a path its last part."""
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return shown(Path(value).name if isinstance(value, str) and value.startswith("/") else value)
