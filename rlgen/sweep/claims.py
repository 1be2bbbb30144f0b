"""What a worker does next: the runs of a study are given out one by one, and none of them is lost or doubled.

A claim is a file, claims/NAME.json, with all that the run is to be, and a lock beside it, which the process that trains
the run holds. The system frees the lock when its holder dies; then the claim is taken up by the next worker.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rlgen.core import seal
from rlgen.core.files import replacing
from rlgen.sweep import ledger, samplers, trials
from rlgen.sweep.study import Study
from rlgen.sweep.trials import Role, Settings, Trial

if TYPE_CHECKING:
    from filelock import BaseFileLock


@dataclass(frozen=True)
class Claim:
    """A run of a study and what it is to be."""

    name: str  # of its folder
    number: int  # of the trial
    role: Role
    settings: Settings  # of the search space
    seeds: tuple[int, ...]  # of the run
    run: int  # of the trial, from 1 on
    runs: int  # of the trial
    trials: tuple[dict[str, Any], ...] = ()  # number, settings and seeds of each where several are members of the run

    @property
    def facts(self) -> dict[str, Any]:
        """What run.json says of it."""
        several = {"trials": list(self.trials)} if self.trials else {}
        found = {name: value for name, value in asdict(self).items() if name not in ("name", "trials")}
        return {**found, "seeds": list(self.seeds), **several}


class Taken:
    """A claim whose lock is held, until the end of `with`."""

    def __init__(self, claim: Claim, lock: "BaseFileLock") -> None:
        self.claim, self._lock = claim, lock

    def __enter__(self) -> Claim:
        return self.claim

    def __exit__(self, *error: object) -> None:
        self._lock.release()


def following(study: Study) -> Taken | Literal["wait", "done"]:
    """The next run to train, with its lock; or whether runs of others are to be waited for, or all is done.

    First what nobody works on any more, then a new trial, then, with all trials at their end, the tests of the best.
    """
    with ledger.opened(study) as (journal, found):
        unfinished = [run for run in trials.runs(study.folder) if run.state == "running"]
        for run in unfinished:
            if (lock := _acquire(study.folder, run.folder.name)) is not None:
                return Taken(_of(run), lock)
        tuned = [trial for trial in found if trial.role == "tuning"]
        if claim := _further(study, tuned, "tuning"):
            return _begin(study, claim)
        first, count = len(tuned) + 1, min(study.together, study.total - len(tuned))
        if count > 0:
            drawn = {number: samplers.draw(study, journal, number) for number in range(first, first + count)}
            if study.together > 1:
                return _begin(study, _members(study, drawn))
            return _begin(study, _first(study, first, "tuning", drawn[first]))
        if unfinished:
            return "wait"
        for trial in best(tuned, study):
            tested = [each for each in found if each.role == "test" and each.number == trial.number]
            if claim := _further(study, tested, "test"):
                return _begin(study, claim)
            if not tested:
                return _begin(study, _first(study, trial.number, "test", trial.settings))
        return "done"


def best(tuned: Sequence[Trial], study: Study) -> list[Trial]:
    """The trials to be trained again: the best complete ones, the earlier of equal ones first."""
    sign = 1 if trials.better(study.folder) == "lower" else -1
    complete = sorted((trial for trial in tuned if trial.state == "complete"), key=lambda t: (sign * t.score, t.number))
    return complete[: study.finalists] if study.test_seeds else []


def waiting(folder: Path) -> Iterator[str]:
    """Names of the runs of a study that are not at their end, and that no process trains."""
    for run in trials.runs(folder):
        if run.state == "running" and (lock := _acquire(folder, run.folder.name)) is not None:
            lock.release()
            yield run.folder.name


def _further(study: Study, group: Sequence[Trial], role: Role) -> Claim | None:
    """The next run of a trial that has several, if one is missing."""
    count = _runs(study, role)
    for trial in group if count > 1 else ():
        have = len(trial.seeds)
        if trial.state == "running" and have < count:
            return _claim(study, trial.number, role, trial.settings, have + 1)
    return None


def _first(study: Study, number: int, role: Role, settings: Settings) -> Claim:
    return _claim(study, number, role, settings, 1)


def _claim(study: Study, number: int, role: Role, settings: Settings, run: int) -> Claim:
    runs = _runs(study, role)
    stem = f"{'trial' if role == 'tuning' else 'test'}-{number:04d}"
    name = stem if runs == 1 and role == "tuning" else f"{stem}-{run}"
    return Claim(name, number, role, settings, (samplers.seed_of(study, role, number, run),), run, runs)


def _members(study: Study, drawn: Mapping[int, Settings]) -> Claim:
    """One run of several trials, each with as many members as it has seeds."""
    seeds = {n: [samplers.seed_of(study, "tuning", n, run) for run in range(1, study.seeds + 1)] for n in drawn}
    found = tuple({"number": n, "settings": settings, "seeds": seeds[n]} for n, settings in drawn.items())
    every = tuple(seed for own in seeds.values() for seed in own)
    return Claim(f"trials-{min(drawn):04d}-{max(drawn):04d}", min(drawn), "tuning", {}, every, 1, 1, found)


def _runs(study: Study, role: Role) -> int:
    """Runs of a trial: one for all seeds where a run trains several."""
    return 1 if study.seeds_in_one_run else study.seeds if role == "tuning" else study.test_seeds


def _begin(study: Study, claim: Claim) -> Taken:
    """Write the claim and take its lock."""
    folder = study.folder / trials.CLAIMS
    folder.mkdir(exist_ok=True)
    with replacing(folder / f"{claim.name}.json") as partial:
        partial.write_bytes(seal.dump(claim.facts))
    lock = _acquire(study.folder, claim.name)
    assert lock is not None  # the name is new
    return Taken(claim, lock)


def _of(run: trials.Run) -> Claim:
    """The claim of a run that is to be continued."""
    facts = run.facts
    return Claim(
        run.folder.name, facts["number"], facts["role"], dict(facts["settings"]), tuple(facts["seeds"]),
        int(facts.get("run", 1)), int(facts.get("runs", 1)), tuple(facts.get("trials", ())),
    )  # fmt: skip


def _acquire(study: Path, name: str) -> "BaseFileLock | None":
    from filelock import FileLock, Timeout

    folder = study / trials.CLAIMS
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / f"{name}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return None
    return lock
