"""The runs of a lesson: ordinary run folders, trained once, continued after an interruption and used again."""

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rlgen import catalog, preparation, session
from rlgen.core.config import check_names, refuse_unused, words
from rlgen.core.errors import CheckpointError, Diverged, UserError
from rlgen.core.files import replacing
from rlgen.core.folder import Folder
from rlgen.core.settings import Plan, Setup
from rlgen.lessons import library, readings
from rlgen.lessons.conditions import Condition
from rlgen.lessons.readings import Outcome
from rlgen.lessons.schema import Options, Training

RUN = "run:"  # begins the value of an option that is the run of another condition, as in `init-from = "run:source"`
MEASURED = "measured.json"  # in a run folder: outputs of measurements of the trained run, by name and options


@dataclass
class Trainer:
    """Trains conditions into run folders below `directory`."""

    directory: Path
    folders: dict[str, list[Folder]] = field(default_factory=dict)  # condition -> its runs, one per seed or one for all
    notices: list[str] = field(default_factory=list)  # on datasets that replace missing ones

    def train(self, condition: Condition, options: Options, seeds: int) -> Iterator[int]:
        """Train every seed of a condition; yields the number of runs that are complete."""
        assert isinstance(condition.experiment, Training)
        together = condition.experiment.together
        self.folders[condition.name] = folders = []
        for seed in range(1 if together else seeds):
            referred = {name: self._referred(value, seed) for name, value in options.items()}
            given = {**referred, **condition.drawn(seed), "seed": seed, **({"seeds": seeds} if together else {})}
            name = f"{condition.name}-seeds-{seeds}" if together else f"{condition.name}-seed-{seed}"
            folders.append(self._trained(condition, given, name))
            yield len(folders)

    def _referred(self, value: Any, seed: int) -> Any:
        """The folder of the run of this seed for `run:CONDITION`; any other value as it is."""
        if not isinstance(value, str) or not value.startswith(RUN):
            return value
        runs = self.folders[value.removeprefix(RUN)]
        return str(runs[min(seed, len(runs) - 1)].directory)

    def _trained(self, condition: Condition, given: Options, name: str) -> Folder:
        """The complete run of these options: an earlier one, continued if it was stopped, or a new one."""
        entry = catalog.find(condition.words[0])
        task, notice = preparation.canonical(entry, condition.words[1], data=given.get("data"))
        if notice and notice not in self.notices:
            self.notices.append(notice)
            print(notice, file=sys.stderr)
        argv = ["rlgen", entry.name, task, *words(given)]
        runs = _runs(self.directory, name)
        earlier = [run for run in runs if run.info.get("argv") == argv]
        if complete := [run for run in earlier if run.status in ("finished", "diverged")]:
            return complete[0]
        if earlier:
            try:
                return _train(session.reopen(earlier[-1], {}))
            except CheckpointError as error:
                print(f"{error}; {earlier[-1].name} is trained anew", file=sys.stderr)
        free = f"{name}-{1 + len(runs)}" if runs else name
        return _train(session.prepare(entry.name, task, given, runs=self.directory, name=free, argv=argv))


def outcomes(folder: Folder, measurements: Mapping[str, tuple[str, Options]]) -> list[Outcome]:
    """The outcome of every seed of a run, with the outputs of measurements of the trained algorithm, computed once."""
    found = list(readings.of_folder(folder))
    missing = {key: measurement for key, measurement in measurements.items() if key not in _known(folder)}
    if missing and folder.info.get("status") != "diverged":
        algorithm = session.restore(folder)
        computed = {key: _compute(algorithm, *measurement) for key, measurement in missing.items()}
        with replacing(folder.directory / MEASURED) as partial:
            partial.write_text(json.dumps({**_known(folder), **computed}))
    known = _known(folder)
    for key in measurements:
        for outcome in found:
            outcome.add({name: _restored(value) for name, value in known.get(key, {}).items()})
    return found


def across(folders: Sequence[Folder], name: str, options: Options) -> list[dict[str, Any]]:
    """The outputs, for each run, of a measurement of all runs of a condition together."""
    if any(folder.info.get("status") == "diverged" for folder in folders):
        return [{} for _ in folders]
    function: Any = library.find(name, trained=True).function
    outputs: list[dict[str, Any]] = function([session.restore(folder) for folder in folders], **options)
    return outputs


def check(condition: Condition, options: Mapping[str, Any], later: Iterable[str]) -> None:
    """Raise UserError for a task, algorithm, option or value that its command refuses, before anything is trained.

    `later` are options whose values are chosen by then.
    """
    entry = catalog.find(condition.words[0])
    check_names([*options, *later], (entry.config, Setup, Plan), f"{entry.name} of {condition.name!r}")
    try:
        names = preparation.preset_names(entry, condition.words[1])
        config, _, _ = preparation.settings_of(entry, names, options)
        refuse_unused(config, options)
        if hasattr(config, "check"):
            config.check(options)
    except UserError as error:
        raise UserError(f"{condition.name}: {error}") from None


def plain(options: Mapping[str, Any]) -> Options:
    """Options by the names of settings: `log-every` is log_every."""
    return {name.replace("-", "_"): value for name, value in options.items()}


def _train(prepared: session.Session) -> Folder:
    with suppress(Diverged):  # a result like any other
        prepared.train(quiet=True)
    return Folder(prepared.run.directory)


def _runs(directory: Path, name: str) -> list[Folder]:
    """The runs called `name`, or `name` and a number."""
    found = []
    for path in sorted(directory.glob(f"{name}*")):
        rest = path.name.removeprefix(name)
        again = rest.startswith("-") and rest[1:].isdecimal()  # seed-1-2 of seed-1, but not seed-10
        if (path / "run.json").is_file() and (not rest or again):
            found.append(Folder(path))
    return found


def _known(folder: Folder) -> dict[str, Any]:
    path = folder.directory / MEASURED
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return known


def _compute(algorithm: Any, name: str, options: Options) -> dict[str, Any]:
    outputs = library.find(name, trained=True).function(algorithm, **options)
    return {key: _stored(value) for key, value in outputs.items()}


def _stored(value: Any) -> Any:
    """As JSON: a pair of x and y as {"x", "y"}."""
    if isinstance(value, tuple):
        return {"x": np.asarray(value[0]).tolist(), "y": np.asarray(value[1]).tolist()}
    return np.asarray(value).tolist()


def _restored(value: Any) -> Any:
    if isinstance(value, dict):
        return np.array(value["x"], float), np.array(value["y"], float)
    return np.array(value, float) if isinstance(value, list) else math.nan if value is None else value
