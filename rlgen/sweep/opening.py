"""A study is checked before anything is trained, begun or joined, and trained to its end."""

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlgen import catalog, members, preparation
from rlgen.core import names
from rlgen.core.config import check_names, refuse_unused, resolve
from rlgen.core.errors import UserError, did_you_mean
from rlgen.core.settings import Plan, Setup
from rlgen.kinds import Kind
from rlgen.sweep import evolution, ledger, pool, space, worker
from rlgen.sweep import study as studies
from rlgen.sweep.progress import Table
from rlgen.sweep.study import Failed, Study


def prepared(
    runs: Path,
    name: str | None,
    algorithm: str,
    task: str,
    search: Mapping[str, str],
    settings: Mapping[str, Any],
    given: Mapping[str, Any],
) -> Study:
    """A study as it was typed, not begun yet. Raises UserError for what no trial could be trained with."""
    entry = catalog.find(algorithm)
    every = (entry.config, Setup, Plan)
    check_names(settings, every, "rlgen sweep:")
    if not search:
        raise UserError(f"nothing is searched: add --search {space.GRAMMAR}")
    if both := [key for key in search if key in settings]:
        raise UserError(f"--search {both[0]}: it is also set to {settings[both[0]]}: leave one out")
    dimensions = space.parse(search, every)
    full, notice = preparation.canonical(entry, task, data=settings.get("data"))
    if notice:
        print(notice, file=sys.stderr)
    layers = entry.presets(*preparation.preset_names(entry, full, given.get("preset"), settings))
    space.check(dimensions, entry, [*layers, settings])
    _check_settings(entry, full, given.get("preset"), settings, search)
    if metric := given.get("metric"):
        _check_metric(entry.kind, metric)
    if given.get("sampler") == "cmaes":
        evolution.require(dimensions)
    if given.get("together", 1) > 1:
        _check_together(entry, search, given)
    name = name or _free(runs, f"sweep-{entry.name}-{names.safe(Path(full).name)}")
    facts = {"folder": runs / name, "algorithm": entry.name, "task": full, "search": search, "settings": settings}
    study = resolve(Study, facts, given)
    names.check(name)
    if (runs / name).exists():
        raise UserError(f"{runs / name} exists: choose another --name, or `rlgen sweep --join {name}`")
    return study


def joined(runs: Path, name: str, algorithm: str | None, task: str | None, given: Mapping[str, Any]) -> Study:
    """A study that is there. Raises UserError where what is `given` is not what it has."""
    folder = studies.find(runs, name)
    study = studies.load(folder)
    ledger.check_version(study)
    more = dict(given)
    if algorithm:
        more["algorithm"] = catalog.find(algorithm).name
    if task:
        more["task"] = preparation.canonical(study.entry, task)[0]
    return studies.extend(study, more)


def train(study: Study, workers: int, trust: bool, quiet: bool) -> None:
    """Train what is left of a study. Raises Failed where no trial has a score, Interrupted after Ctrl-C."""
    with Table(study, quiet) as table:
        if workers == 1:
            worker.work(study, trust, lambda name: table.look())
        else:
            pool.work(study, workers, trust, table.tick)
    with ledger.opened(study) as (_, found):
        tuned = [trial for trial in found if trial.role == "tuning"]
    if not any(trial.state == "complete" for trial in tuned):
        (reason, count), *_ = Counter(trial.reason or trial.state for trial in tuned).most_common()
        raise Failed(f"none of {len(tuned)} trials of {study.name} has a score, {count} of them by: {reason}")


def _check_settings(
    entry: catalog.Entry, task: str, preset: str | None, settings: Mapping[str, Any], search: Mapping[str, str]
) -> None:
    """Raise UserError where the settings of every trial contradict each other, or have no effect."""
    found = preparation.preset_names(entry, task, preset, settings)
    config, _, _ = preparation.settings_of(entry, found, settings)
    if not search.keys() & vars(config).keys():  # else a setting that is searched may give them an effect
        refuse_unused(config, settings)


def _check_together(entry: catalog.Entry, search: Mapping[str, str], given: Mapping[str, Any]) -> None:
    """Raise UserError where trials cannot be members of one run."""
    together = f"--together {given['together']}"
    if unfit := [name for name in search if not members.batchable(entry.name, [name])]:
        raise UserError(f"{together}: trials that differ in {unfit[0]} cannot be members of one run: leave it out")
    if given.get("pruner", "none") != "none":
        raise UserError(f"{together}: trials that are members of one run end together: leave out --pruner")


def _check_metric(kind: Kind, metric: str) -> None:
    """Raise UserError for a metric that cannot rank trials."""
    ranked = [name for panel in kind.panels if panel.better for name in panel.metrics if name.startswith("eval_")]
    known = [*dict.fromkeys([*kind.ranking, *ranked])]
    if any("validation" in name for name in kind.ranking):
        known = [name for name in known if "test" not in name]  # the test images choose nothing
    if metric not in known:
        raise UserError(f"--metric {metric} ranks no trials{did_you_mean(metric, known) or ': ' + ', '.join(known)}")


def _free(runs: Path, stem: str) -> str:
    """The first free of `stem-1`, `stem-2`, ..."""
    taken = runs.iterdir() if runs.is_dir() else ()
    return f"{stem}-{1 + max((names.number(path.name, stem) for path in taken), default=0)}"
