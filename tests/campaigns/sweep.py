"""Studies whose workers are killed lose and double no trial: `python tests/campaigns/sweep.py [--count 20]`.

A worker is killed at an operation on a file, torn writes of the journal included, or after a while beside another one;
then the study is joined, killed again perhaps, and at its end equals to the bit a study that was not killed.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg"}  # before torch is imported
sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout of this file

import torch

from rlgen.session import Session
from rlgen.sweep import ledger, worker
from rlgen.sweep import study as studies
from rlgen.sweep.study import Study
from tests.campaigns import outcomes, victims
from tests.campaigns.outcomes import Outcome
from tests.campaigns.victims import Point, Watch
from tests.sweep.tiny import TINY

NAME = "study"
TRIALS = 4
CHAIN = 3  # kills of one study, at most
OWN = ("claims/", "journal.log", "study.lock", "trial.json", "study.json", ".partial-")  # compared by the table


def made(runs: Path, sampler: str) -> Study:
    """A small study, new in the folder `runs` or the one that is there."""
    folder = runs / NAME
    if folder.exists():
        return studies.load(folder)
    search = {"lr": "0.01..1:log", "gamma": "0.9,0.99"}
    settings = {**TINY, "budget": 300, "save_every": 100}
    study = Study(folder, "qlearning", "GridWorld", search, settings, trials=TRIALS, seeds=2, finalists=1,
                  test_seeds=2, sampler=sampler)  # type: ignore[arg-type]  # fmt: skip
    studies.create(study)
    return study


def outcome(study: Study) -> Outcome:
    """The table of trials, what optuna knows of them, and every file of their runs."""
    found = {name: digest for name, digest in outcomes.outcome(study.folder).items() if not any(x in name for x in OWN)}
    with ledger.opened(study) as (journal, table):
        for trial in table:
            facts = [trial.settings, trial.state, trial.scores, trial.seeds, trial.folder.name]
            found[f"{trial.role} {trial.number}"] = json.dumps(facts)
        for each in journal.get_trials():
            found[f"optuna's {each.number + 1}"] = json.dumps([each.state.name, each.values, each.params])
    return found


class Campaign:
    """Studies in one folder, which are killed and joined."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.draw = folder, random.Random(seed)
        self.straight: dict[str, tuple[Outcome, list[Point]]] = {}

    @property
    def runs(self) -> Path:
        """The folder of the studies, one after another."""
        return self.folder / "runs"

    def work(self, sampler: str) -> None:
        """Make the study, or join it, and train what is left."""
        worker.work(made(self.runs, sampler))

    def of(self, sampler: str) -> tuple[Outcome, list[Point]]:
        """The outcome and the points of a study that is not killed."""
        if sampler not in self.straight:
            self._clear()
            ended = victims.run(lambda: self.work(sampler), Watch(self.runs))
            assert not ended.code, ended.errors
            victims.imported(ended.modules)
            self.straight[sampler] = outcome(made(self.runs, sampler)), ended.points
        return self.straight[sampler]

    def attempt(self, sampler: str, kills: list[tuple[int, bool]], beside: float | None) -> str:
        """Kill at these points, one after the other, and join; `beside` is when a worker beside another is killed."""
        expected, _ = self.of(sampler)
        self._clear()
        for number, torn in kills:
            ended = victims.run(lambda: self.work(sampler), Watch(self.runs, number, torn))
            if ended.code not in (0, -signal.SIGKILL):
                return f"after a kill: {ended.errors.strip()}"
        if beside is not None and (lost := self._beside(sampler, beside)):
            return lost
        ended = victims.run(lambda: self.work(sampler), Watch(self.runs))
        if ended.code:
            return f"is not joined: {ended.errors.strip()}"
        lost = outcomes.differences(expected, outcome(made(self.runs, sampler)))
        return (
            f"differs in {', '.join(lost[:6])}{f' and {len(lost) - 6} more' if len(lost) > 6 else ''}" if lost else ""
        )

    def _beside(self, sampler: str, delay: float) -> str:
        """Two workers at one study, one of which is killed after a delay in seconds; the other one ends it."""
        made(self.runs, sampler)
        processes = [os.fork(), 0]
        if not processes[0]:
            _child(lambda: self.work(sampler))
        processes[1] = os.fork()
        if not processes[1]:
            _child(lambda: self.work(sampler))
        time.sleep(delay)
        os.kill(processes[0], signal.SIGKILL)
        codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
        return "" if codes[1] == 0 else f"the worker beside a killed one ended with {codes[1]}"

    def kills(self, points: list[Point]) -> list[tuple[int, bool]]:
        """One to three points, those of the study's own files as often as those of its runs; torn where it is one."""
        own = [n for n, point in enumerate(points) if any(name in point.file for name in OWN)]
        found = []
        for _ in range(self.draw.randrange(1, CHAIN + 1)):
            number = self.draw.choice(own) if self.draw.random() < 0.5 else self.draw.randrange(len(points))
            found.append((number, points[number].event in ("opened", "write") and self.draw.random() < 0.5))
        return found

    def _clear(self) -> None:
        shutil.rmtree(self.runs, ignore_errors=True)


def _child(work: object) -> None:
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        work()  # type: ignore[operator]
        code = 0
    finally:
        os._exit(code)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="seed of the points")
    parser.add_argument("--count", type=int, default=20, help="studies that are killed")
    parser.add_argument("--runs", type=Path, help="folder to work in; by default a temporary one")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for drawing in ("draw", "draw_curves"):  # takes most of the time; the campaign `killed` has it
        setattr(Session, drawing, lambda session: None)
    began, lost, struck = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory() as temporary:
        campaign = Campaign(given.runs or Path(temporary), given.seed)
        for number in range(given.count):
            two = number % 4 == 3  # the order of two workers is that of the clock: random draws do not depend on it
            sampler = "random" if two else "tpe"
            _, points = campaign.of(sampler)
            kills = campaign.kills(points)
            beside = campaign.draw.random() * points[-1].seconds if two else None
            struck += len(kills) + two
            if message := campaign.attempt(sampler, kills, beside):
                lost += 1
                where = ", ".join(f"{points[n].label}{' torn' * torn}" for n, torn in kills)
                print(f"lost: {sampler}, {kills} ({where}), beside {beside}: {message}", flush=True)
    minutes = (time.monotonic() - began) / 60
    print(
        f"sweep: {given.count} studies, {struck} kills, {given.count - lost} survived, {lost} lost ({minutes:.1f} min)"
    )
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
