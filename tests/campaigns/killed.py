"""Runs killed at any point and resumed equal runs that were not: `python tests/campaigns/killed.py [--count 200]`.

Every entry of the catalog, ensembles, several seeds, points, stacks, transfer, a lesson, and the command line.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg"}  # before torch is imported
sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout of this file

import torch

from rlgen.core.folder import Folder
from tests.campaigns import outcomes, victims
from tests.campaigns.outcomes import Outcome
from tests.campaigns.trainings import OF_RUNS, QUICK, Case, all_cases, sources
from tests.campaigns.victims import Watch
from tests.cases import CASES

ROOT = Path(__file__).parents[2]
MOST_DELAY = 2.0  # seconds after the beginning of a phase
CHAIN = 3  # further kills of resumed runs, at most


@dataclass(frozen=True)
class Kill:
    """Where a training is killed: `57`; `57 torn`, after half of what is written; `57 +0.2`, so many seconds later."""

    number: int  # of the point
    torn: bool = False
    delay: float | None = None  # seconds

    @classmethod
    def parse(cls, text: str) -> "Kill":
        """The inverse of `str`."""
        number, *more = text.split()
        delays = [float(word) for word in more if word != "torn"]
        return cls(int(number), "torn" in more, delays[0] if delays else None)

    def __str__(self) -> str:
        return f"{self.number}{' torn' * self.torn}{'' if self.delay is None else f' +{self.delay:.4f}'}"


@dataclass
class Campaign:
    """Trainings in one folder, which are killed and continued; counts which points were hit."""

    folder: Path
    draw: random.Random
    only: list[str] = field(default_factory=list)  # names of cases; none: all
    cases: dict[str, Case] = field(init=False)
    hits: Counter[str] = field(default_factory=Counter)  # by what points have in common

    def __post_init__(self) -> None:
        before = self.folder / "before"
        before.mkdir()
        every = all_cases(before)
        self.cases = {name: case for name, case in every.items() if not self.only or name in self.only}
        if self.cases.keys() & OF_RUNS:
            prepared = victims.run(lambda: sources(before), Watch(self.folder))
            assert prepared.code == 0, prepared.errors
            victims.imported(prepared.modules)

    def straight(self, case: Case) -> str:
        """Train without a kill, once; returns an error or nothing."""
        if not case.points:
            ended = self._train(case, Watch(self._new()))
            if ended.code:
                return f"without a kill: {ended.errors.strip()}"
            victims.imported(ended.modules)
            case.points, case.straight = ended.points, outcomes.outcome(self.runs)
        return ""

    def kills(self, case: Case) -> list[Kill]:
        """The next kills of a training: at a point of a sort that was hit least, now and then further ones."""
        draw, count = self.draw, len(case.points)
        if draw.random() < 0.7:
            options = [
                (f"{point.label}{' torn' * torn}", Kill(number, torn))
                for number, point in enumerate(case.points)
                for torn in ((False, True) if point.event in ("opened", "write") else (False,))
                if point.event != "phase"
            ]
        else:
            options = [
                (point.label, Kill(number, False, draw.random() * min(seconds, MOST_DELAY)))
                for number, point, seconds in case.phases()
            ]
        least = min(self.hits[label] for label, _ in options)
        label, first = draw.choice([option for option in options if self.hits[option[0]] == least])
        self.hits[label] += 1
        chain = draw.randrange(1, CHAIN + 1) if draw.random() < 0.3 else 0
        return [first, *(Kill(draw.randrange(draw.choice([min(count, 40), count]))) for _ in range(chain))]

    def attempt(self, case: Case, kills: list[Kill]) -> str:
        """Kill a training, continue it to its end and compare; returns what was lost, or nothing."""
        runs = self._new()
        for kill in kills:
            ended = self._train(case, Watch(runs, kill.number, kill.torn), kill.delay)
            if ended.code not in (0, -signal.SIGKILL):
                return f"after a kill: {ended.errors.strip()}"
            if (runs / "lessons").exists():
                continue
            for run in Folder.all(runs):
                if run.status not in ("stale", "finished"):
                    return f"has the status {run.status} after a kill"
        ended = self._train(case, Watch(runs))
        if ended.code:
            return f"does not continue: {ended.errors.strip()}"
        if lost := outcomes.differences(case.straight, outcomes.outcome(runs)):
            return f"differs in {', '.join(lost[:6])}{f' and {len(lost) - 6} more' if len(lost) > 6 else ''}"
        return ""

    @property
    def runs(self) -> Path:
        """The folder of all trainings, one after another."""
        return self.folder / "runs"

    def _new(self) -> Path:
        shutil.rmtree(self.runs, ignore_errors=True)
        return self.runs

    def _train(self, case: Case, watch: Watch, delay: float | None = None) -> victims.Ended:
        try:
            return victims.run(lambda: case.work(self.runs), watch, delay)
        except TimeoutError as error:
            return victims.Ended(1, [], str(error))


def command_line(folder: Path, delay: float | None, expected: Outcome | None = None) -> tuple[str, Outcome]:
    """`rlgen dqn CartPole` as a process of its own, killed after a delay in seconds and continued: the same ending."""
    algorithm, task, options = CASES["dqn"]
    runs = folder / "runs"
    shutil.rmtree(runs, ignore_errors=True)
    settings = [word for name, value in {**options, **QUICK}.items() for word in (f"--{name}".replace("_", "-"), value)]
    begin = ["-m", "rlgen", algorithm, task, *map(str, settings), "--runs", str(runs), "--quiet"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if delay is not None:
        with subprocess.Popen([sys.executable, *begin], env=environment, stdout=subprocess.DEVNULL) as process:
            time.sleep(delay)
            process.kill()
    found = Folder.all(runs)
    if not (found and found[-1].status == "finished"):
        words = ["-m", "rlgen", "resume", "--runs", str(runs), "--quiet"] if found else begin
        done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True)
        if done.returncode:
            return f"does not continue: {done.stderr.strip()}", {}
    reached = outcomes.outcome(runs)
    lost = outcomes.differences(expected, reached) if expected is not None else []
    return f"differs in {', '.join(lost[:6])}" if lost else "", reached


def campaign(seed: int, count: int, folder: Path, only: list[str], commands: int) -> tuple[int, int]:
    """Kill `count` trainings; prints a line for each that lost something. Returns how many tries and how many lost."""
    made, tries, lost = Campaign(folder, random.Random(seed), only), 0, 0
    names = list(made.cases)
    made.draw.shuffle(names)
    for number in range(count - commands):
        case = made.cases[names[number % len(names)]]
        tries += 1
        if message := made.straight(case):
            lost += 1
            print(f"lost: {case.name}: {message}", flush=True)
            continue
        kills = made.kills(case)
        if message := made.attempt(case, kills):
            lost += 1
            label = case.points[kills[0].number].label
            again = f'--case "{case.name}" --kill "{", ".join(map(str, kills))}"'
            print(f"lost: {again} ({label}): {message}", flush=True)
    if commands:
        began = time.monotonic()
        message, expected = command_line(folder, None)
        seconds = time.monotonic() - began
        for _ in range(commands):
            tries += 1
            delay = made.draw.random() * seconds
            message = message or command_line(folder, delay, expected)[0]
            if message:
                lost += 1
                print(f"lost: the command line, killed after {delay:.2f} s: {message}", flush=True)
    print(f"killed: at {len(made.hits)} different points of {len(names)} cases")
    return tries, lost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="seed of the cases and the points")
    parser.add_argument("--count", type=int, default=200, help="trainings that are killed")
    parser.add_argument("--commands", type=int, default=4, help="processes of the command line among them")
    parser.add_argument("--runs", type=Path, help="folder to work in; by default a temporary one")
    parser.add_argument("--case", action="append", default=[], help="a case; by default all")
    parser.add_argument("--kill", help="points at which the case is killed, with commas; as printed for one that lost")
    given = parser.parse_args()
    torch.set_num_threads(1)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.runs or Path(temporary)
        if given.kill:
            made = Campaign(folder, random.Random(given.seed), given.case)
            case = made.cases[given.case[0]]
            kills = [Kill.parse(text) for text in given.kill.split(",")]
            message = made.straight(case) or made.attempt(case, kills)
            tries, lost = 1, int(bool(message))
            print(json.dumps([case.points[kill.number].label for kill in kills]), message or "the same", sep="\n")
        else:
            tries, lost = campaign(given.seed, given.count, folder, given.case, given.commands)
    minutes = (time.monotonic() - began) / 60
    print(f"killed: {tries} tries, {tries - lost} survived, {lost} lost ({minutes:.1f} min)")
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
