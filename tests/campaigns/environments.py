"""Environments that misbehave stop a run or warn as documented: `python tests/campaigns/environments.py [--count 200]`.

Each try trains an agent, by the command line, in an environment that misbehaves in one way: at a step of some episodes,
the first of which may fall into an evaluation, the training or the final scoring. Then the episode that was kept is
repeated, and the run resumed with an environment that has been mended.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg"}  # before torch is imported
sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout of this file

import matplotlib.backends.backend_agg  # these and others are imported once, not in every forked process
import matplotlib.figure  # noqa: F401
import torch

import rlgen.film
import rlgen.session  # noqa: F401
from rlgen.agents import dqn, drqn, tabular  # noqa: F401
from rlgen.cli import main as command_line
from rlgen.core.folder import Folder
from rlgen.envs import inspection, vector_env
from rlgen.report import console, event_files, plots, video  # noqa: F401
from tests.cases import AGENT, RECURRENT
from tests.envs.misbehaving import DISCRETE, WAYS

MODULE = "tests.envs.misbehaving"
PLAN = {"budget": 213, "log_every": 50, "eval_every": 100, "save_every": 50, "eval_episodes": 2, "final_episodes": 3}
TABLE = {**PLAN, "epsilon_steps": 300}
ALGORITHMS: dict[str, dict[str, Any]] = {
    "dqn": {**AGENT, **PLAN},
    "rainbow": {**{name: value for name, value in AGENT.items() if name != "epsilon_steps"}, **PLAN, "atoms": 11},
    "qrdqn": {**AGENT, **PLAN, "quantiles": 5},
    "drqn": {**AGENT, **RECURRENT, **PLAN},
    "qlearning": TABLE,
}
STUCK = {"sleeps", "spins", "swallows"}
SEEN_AT_ONCE = 7  # a warning is due in the first steps, later ones are inspected now and then
LIMIT = 120.0  # seconds, after which a process hangs


@dataclass(frozen=True)
class Case:
    """One try."""

    way: str
    algorithm: str
    at: int  # step of an episode
    share: float  # of the episodes that are bad
    num_envs: int
    seeds: int
    seed: int

    @classmethod
    def drawn(cls, way: str, draw: random.Random) -> "Case":
        """A case of this way to misbehave."""
        algorithm = draw.choice(["qlearning", "dqn"] if way in DISCRETE else ["dqn", "rainbow", "qrdqn", "drqn"])
        at, share = draw.choice([1, 2, 7, 19]), draw.choice([1.0, 0.2, 0.05, 0.02])
        if WAYS[way].startswith("warns") or way == "unseeded":
            at, share = draw.choice([1, 2, SEEN_AT_ONCE]), 1.0
        several = (1, 1) if way == "unseeded" else (draw.choice([1, 2, 3]), draw.choice([1, 2]))
        return cls(way, algorithm, at, share, *several, draw.choice([0, 1]))

    @property
    def name(self) -> str:
        """The name of the environment."""
        return f"{MODULE}:Misbehaving-{self.way}-v0"

    def words(self, runs: Path) -> list[str]:
        """The command line that trains."""
        options = {**ALGORITHMS[self.algorithm], "num_envs": self.num_envs, "seeds": self.seeds, "seed": self.seed}
        options |= {"step_timeout": 1.0} if self.way in STUCK else {}
        typed = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        return [self.algorithm, self.name, *typed, "--runs", str(runs), "--json", "--quiet"]


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int  # exit code; negative: the signal that ended it
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """The lines on stderr that are errors."""
        return [line for line in self.err.splitlines() if line.startswith("error: ")]


@dataclass
class Campaign:
    """Tries in one folder; counts how they ended."""

    folder: Path
    ends: Counter[str] = field(default_factory=Counter)
    straight: dict[Case, list[dict[str, Any]]] = field(default_factory=dict)  # rows of runs without misbehaviour

    def __post_init__(self) -> None:
        torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # imports for seconds

    def attempt(self, case: Case, number: int) -> str:
        """What is lost; empty where all is as documented."""
        place = self.folder.absolute() / f"try-{number}"
        mark, runs = place / "mark", place / "runs"
        place.mkdir(parents=True)
        settings = {"MISBEHAVE_AT": str(case.at), "MISBEHAVE_SHARE": str(case.share), "MISBEHAVE_MARK": str(mark)}
        ended = run(case.words(runs), settings, place)
        happened, expected = mark.exists(), WAYS[case.way]
        if not happened or expected == "works" or expected.startswith("warns"):
            self.ends["works" if not happened else expected.split()[0]] += 1
            lost = self._finished(case, ended, expected if happened else "works")
            return lost or (self._noticed(case, runs, settings, place) if case.way == "unseeded" and happened else "")
        self.ends["stops"] += 1
        if lost := self._stopped(case, ended, f"{case.name} {expected}"):
            return lost
        folders = Folder.all(runs)
        if not folders:  # the first episode, before there is a run
            return "no run" if list(runs.glob("*")) else ""
        return self._kept(case, folders[0], settings, place) or self._resumed(case, folders[0], place)

    def _finished(self, case: Case, ended: Ended, expected: str) -> str:
        if ended.code:
            return f"exit {ended.code}: {ended.err.strip()}"
        if json.loads(ended.out)["status"] != "finished" or ended.out.count("\n") != 1:
            return f"stdout is {ended.out!r}"
        warning = expected.removeprefix("warns ")
        if (expected.startswith("warns") and f"{case.name} " not in ended.err) or warning not in f"works {ended.err}":
            return f"no warning in {ended.err!r}"
        once = ended.err.count(warning)
        return f"told {once} times" if "space" in warning and once != 1 else ""

    def _stopped(self, case: Case, ended: Ended, expected: str) -> str:
        if ended.code != 8:
            return f"exit {ended.code}: {ended.err.strip()}"
        if len(ended.errors) != 1 or not ended.errors[0].startswith(f"error: {expected}"):
            return f"the message is {ended.err!r}"
        if " of the episode with seed " not in ended.err or "--lr" in ended.err or "Traceback" in ended.err:
            return f"the message is {ended.err!r}"
        return ""

    def _kept(self, case: Case, folder: Folder, settings: dict[str, str], place: Path) -> str:
        """The episode in the folder, and its repetition."""
        if left := [*folder.directory.rglob(".partial*")]:
            return f"{left} left"
        file, film = folder.directory / "failed_episode.json", place / "film.gif"
        if not file.is_file():
            return f"no {file.name}"
        ended = run(["play", "--episode", str(file), "--trust", "--out", str(film)], settings, place)
        if lost := self._stopped_again(ended, f"{case.name} {WAYS[case.way]}"):
            return f"repeated: {lost}"
        drawn = not case.way.startswith(("reset", "space")) and case.way != "swallows"
        return f"film {film.exists()}" if film.exists() is not drawn else ""

    def _stopped_again(self, ended: Ended, expected: str) -> str:
        if ended.code != 8 or len(ended.errors) != 1 or not ended.errors[0].startswith(f"error: {expected}"):
            return f"exit {ended.code}: {ended.err.strip()}"
        return ""

    def _resumed(self, case: Case, folder: Folder, place: Path) -> str:
        """The run, continued in an environment that has been mended, equals one in which nothing happened."""
        mended = {"MISBEHAVE_SHARE": "0"}
        words = ["resume", str(folder.directory), "--trust", "--quiet"]
        ended = run(words, mended, place)
        if ended.code:
            return f"resumed: exit {ended.code}: {ended.err.strip()}"
        same = Case(case.way, case.algorithm, 1, 0.0, case.num_envs, case.seeds, case.seed)
        if same not in self.straight:
            if (other := run(same.words(place / "straight"), mended, place)).code:
                return f"without misbehaviour: {other.err.strip()}"
            self.straight[same] = Folder.all(place / "straight")[0].rows()
        return "" if folder.rows() == self.straight[same] else "resumed: other metrics"

    def _noticed(self, case: Case, runs: Path, settings: dict[str, str], place: Path) -> str:
        """That the actions of an episode in progress lead elsewhere when they are repeated."""
        folder = Folder.all(runs)[0].directory
        ended = run(["resume", str(folder), "--trust", "--budget", "250", "--quiet"], settings, place)
        noticed = "is not deterministic given its seed and actions" in ended.err
        return "" if not ended.code and noticed else f"resumed: exit {ended.code}: {ended.err.strip()}"


def run(words: list[str], settings: dict[str, str], place: Path) -> Ended:
    """A command line in a forked process with these environment variables."""
    out, err = place / "out", place / "err"
    sys.stdout.flush()
    if (process := os.fork()) == 0:
        code = 70
        try:
            for number, path in ((1, out), (2, err)):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
            sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
            os.environ.update(settings)
            sys.argv = ["rlgen", *words]
            for cached in (inspection._warn_once, vector_env._warn_once):
                cached.cache_clear()
            command_line.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    end = time.monotonic() + LIMIT
    status = None
    while status is None:
        found, value = os.waitpid(process, os.WNOHANG)
        status = value if found else None
        if status is None and time.monotonic() > end:
            os.kill(process, signal.SIGKILL)
            end += LIMIT
        time.sleep(0.01)
    return Ended(os.waitstatus_to_exitcode(status), out.read_text(), err.read_text())


def campaign(seed: int, count: int, folder: Path, only: list[str]) -> tuple[int, int, Counter[str]]:
    """`count` tries, each way in turn; prints a line for each that lost something. Returns tries, lost, and ends."""
    draw, made, lost = random.Random(seed), Campaign(folder), 0
    ways = only or draw.sample(list(WAYS), len(WAYS))
    for number in range(count):
        case = Case.drawn(ways[number % len(ways)], draw)
        if message := made.attempt(case, number):
            lost += 1
            print(f"lost: --seed {seed}, try {number}: {case}: {message}", flush=True)
    return count, lost, made.ends


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="seed of the cases")
    parser.add_argument("--count", type=int, default=200, help="runs that are trained")
    parser.add_argument("--runs", type=Path, help="folder to work in; by default a temporary one")
    parser.add_argument("--way", action="append", default=[], choices=[*WAYS], help="a misbehaviour; by default all")
    given = parser.parse_args()
    torch.set_num_threads(1)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        tries, lost, ends = campaign(given.seed, given.count, given.runs or Path(temporary), given.way)
    print("  ".join(f"{end} {number}" for end, number in sorted(ends.items())))
    minutes = (time.monotonic() - began) / 60
    print(f"environments: {tries} tries, {tries - lost} survived, {lost} lost ({minutes:.1f} min)")
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
