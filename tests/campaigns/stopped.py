"""Ctrl-C and SIGTERM in every phase and every command: `python tests/campaigns/stopped.py --seed 0 --count 200`.

A stop ends the process within 5 seconds with 130 or 143, leaves no partial file and no process; a run that is resumed
equals one that was not stopped. A second Ctrl-C ends what a first one waits for.
"""

import argparse
import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg", "CI": "1"}
sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout of this file


from rlgen import __main__ as command_line
from rlgen import session
from rlgen.core import checkpoint
from rlgen.core.folder import Folder
from tests.campaigns import outcomes
from tests.campaigns.stops import LIMIT, Ended, Try, _send, processes, run
from tests.cases import CASES

ROOT = Path(__file__).parents[2]
SIGNALS = (signal.SIGINT, signal.SIGTERM)
PHASES = ("training", "evaluating", "drawing", "saving", "scoring")
SLOW = ("evaluating", "drawing", "scoring")  # phases that are also made to last for minutes
QUICK = {"final_episodes": 3}
TRAINED = {  # runs that the commands are given
    "agent": ("dqn", "CartPole", {"final_episodes": 3}),
    "coder": ("ae", "digits", {}),
    "model": ("pixelcnn", "digits", {}),
    "classifier": ("classify", "digits", {}),
    "other": ("classify", "digits", {"seed": 1}),
}
COMMANDS: dict[str, tuple[str, ...]] = {
    "train an agent": ("dqn", "CartPole", "--budget", "2000", "--eval-every", "500", "--final-episodes", "20"),
    "train a classifier": ("classify", "digits", "--size", "12", "--optimizer", "lbfgs", "--budget", "20000"),
    "train neighbours": ("knn", "digits"),
    "resume": ("resume", "agent", "--budget", "1500"),
    "eval an agent": ("eval", "agent", "--episodes", "300"),
    "eval a model": ("eval", "model", "--samples", "256"),
    "eval a classifier": ("eval", "classifier"),
    "sample": ("sample", "model", "--count", "300", "--npy", "many.npy", "--out", "many.png"),
    "sample reconstructions": ("sample", "coder", "--what", "reconstructions", "--out", "grid.png"),
    "probe": ("probe", "coder", "--images", "400"),
    "play": ("play", "agent", "--episodes", "5", "--out", "film.gif"),
    "play with values": ("play", "agent", "--thinking", "--at", "all", "--out", "film.gif"),
    "plot": ("plot", "classifier", "other", "--out", "curves.png"),
    "compare": ("compare", "classifier", "other", "--out", "compared.png"),
    "report": ("report", "agent", "model", "classifier", "--out", "page.html"),
    "export": ("export", "agent", "--csv"),
    "explain": ("explain", "classifier"),
    "predict": ("predict", "classifier", "runs/classifier/first_batch.png"),
    "stack": ("stack", "classifier", "other"),
    "find-lr": ("find-lr", "classify", "digits", "--steps", "300", "--out", "rates.png"),
    "summary": ("summary", "classify", "--task", "digits"),
    "doctor": ("doctor",),
    "lesson": ("lesson", "depth", "--quick"),
    "runs": ("runs",),
    "list": ("list",),
    "ui": ("ui", "--port", "0"),
    "watch": ("watch", "agent"),
}
Words = tuple[str, ...]


def typed(words: Words) -> Callable[[], object]:
    """The command line with these words."""

    def work() -> None:
        sys.argv = ["rlgen", *words]
        command_line.main()

    return work


def training(name: str, runs: Path) -> Callable[[], object]:
    """The command line's training of a case, or its resumption where there is a run."""

    def work() -> None:
        folders = Folder.all(runs) if runs.exists() else []
        if folders:
            sys.argv = ["rlgen", "resume", str(folders[0].directory), "--quiet", "--trust"]
            command_line.main()
        algorithm, task, options = CASES[name]
        given = {**options, **(QUICK if session.catalog.find(algorithm).kind.name == "agent" else {})}

        def begin(*words: Any, **more: Any) -> None:
            session.prepare(algorithm, task, given, runs=runs, name="run").train(quiet=True)

        import rlgen.cli.main as room

        room.app = begin  # type: ignore[assignment]
        command_line.main()

    return work


def outcome(directory: Path) -> dict[str, str]:
    """Digests of what a training leaves behind, but for what depends on the clock and on the times of checkpoints."""
    found = {}
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        if path.suffix in (".png", ".gif") or name in ("metrics.jsonl", "episodes.jsonl", "report.json"):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    saved = checkpoint.load(checkpoint.newest_first(directory / "checkpoints")[0])
    del saved["run"]
    outcomes.digests("state", saved, found)
    found["result"] = json.dumps(Folder(directory).info.get("result"))
    return found


class Campaign:
    """Tries in one folder."""

    def __init__(self, folder: Path, draw: random.Random, commands: bool = True) -> None:
        self.folder, self.draw, self.count = folder, draw, 0
        self.straight: dict[str, dict[str, str]] = {}  # outcomes of trainings that are not stopped
        self.seconds: dict[str, float] = {}  # of commands that are not stopped
        self.slowest = 0.0  # seconds from a signal to the end of a process
        self.hits = 0  # tries whose process was stopped before its end
        self.before = folder / "before" / "runs"
        for name, (algorithm, task, options) in TRAINED.items() if commands else ():
            given = {**CASES[algorithm][2], **options}

            def work(name: str = name, algorithm: str = algorithm, task: str = task, given: Any = given) -> None:
                session.prepare(algorithm, task, given, runs=self.before, name=name).train(quiet=True)

            ended = run(work, folder / "prepared")
            assert not ended.code, ended.text

    def tries(self, count: int) -> Iterator[Try]:
        """Half of them trainings, most of the others commands, a few of the interpreter's start and second signals."""
        for i in range(count):
            number = SIGNALS[i % 2]
            sort = i // 2 % 10
            if sort < 5:
                phase = PHASES[i // 2 % len(PHASES)]
                case = self.draw.choice(list(CASES))
                slow = phase in SLOW and self.draw.random() < 0.5
                times = self.draw.randint(1, {"training": 3, "scoring": 1}.get(phase, 2))
                yield Try(case, number, phase, times, self.draw.random() * self.draw.choice((0.002, 0.1)), slow)
            elif sort < 8:
                yield Try(self.draw.choice(list(COMMANDS)), number, delay=self.draw.random())
            elif sort == 8:
                yield Try("start", number, delay=0.05 + 3 * self.draw.random())
            else:
                yield Try("dqn", number, "training", self.draw.randint(2, 40), 0.1, twice=True)

    def attempt(self, tried: Try) -> str:
        """What is wrong after a stop; nothing where all is well."""
        self.count += 1
        folder = self.folder / f"try-{self.count}"
        if tried.name == "start":
            return self._start(tried, folder)
        return self._training(tried, folder) if tried.phase else self._command(tried, folder)

    def _training(self, tried: Try, folder: Path) -> str:
        runs = folder / "runs"
        if tried.name not in self.straight:
            straight = self.folder / f"straight {len(self.straight)}"
            ended = run(training(tried.name, straight / "runs"), straight)
            if ended.code:
                return f"without a stop: {ended.text.strip()}"
            self.straight[tried.name] = outcome(straight / "runs" / "run")
        ended = run(training(tried.name, runs), folder, tried)
        if wrong := self._ended(ended, folder, tried):
            return wrong
        status = Folder(runs / "run").status
        if status not in ("interrupted", "finished") and not tried.twice:
            return f"the run has the status {status}"
        if status == "interrupted":
            ended = run(training(tried.name, runs), folder)
            if ended.code:
                return f"does not continue: {ended.text.strip()}"
        now = outcome(runs / "run")
        straight_one = self.straight[tried.name]
        lost = sorted(key for key in now.keys() | straight_one.keys() if now.get(key) != straight_one.get(key))
        return f"differs in {', '.join(lost[:6])}" if lost else ""

    def _command(self, tried: Try, folder: Path) -> str:
        words = COMMANDS[tried.name]
        endless = words[0] in ("ui", "watch", "lesson", "doctor")
        work = typed(words)
        if tried.name not in self.seconds and not endless:
            whole = self.folder / f"whole {tried.name}"
            shutil.copytree(self.before, whole / "runs")
            began = time.monotonic()
            ended = run(work, whole)
            if ended.code:
                return f"without a stop: {ended.text.strip()}"
            self.seconds[tried.name] = time.monotonic() - began
        tried.delay *= self.seconds.get(tried.name, 1.5)
        shutil.copytree(self.before, folder / "runs")
        return self._ended(run(work, folder, tried), folder, tried)

    def _start(self, tried: Try, folder: Path) -> str:
        """A stop from the start of the interpreter on."""
        folder.mkdir()
        words = [sys.executable, "-m", "rlgen", "dqn", "CartPole", "--quiet", "--runs", str(folder / "runs")]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with (folder / "output.txt").open("w") as output:
            process = subprocess.Popen(
                words, stdout=output, stderr=output, cwd=folder, env=environment, start_new_session=True
            )
            time.sleep(tried.delay)
            sent = _send(process.pid, tried.number)
            try:
                code = process.wait(10 * LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
        text = (folder / "output.txt").read_text()
        ended = Ended(code, time.monotonic() - sent, text, processes(process.pid))
        return self._ended(ended, folder, tried)

    def _ended(self, ended: Ended, folder: Path, tried: Try) -> str:
        """What is wrong about the end of a process."""
        expected = {128 + tried.number, -tried.number, *([130, -2] if tried.twice else [])}
        self.slowest = max(self.slowest, ended.seconds)
        self.hits += ended.code in expected
        if ended.code not in {0, *expected}:
            return f"exit code {ended.code}: {ended.text.strip()}"
        if ended.code == 0 and (tried.slow or tried.twice):
            return f"is not stopped: {ended.text.strip()}"
        if ended.seconds > LIMIT:
            return f"ends {ended.seconds:.1f} s after the signal"
        if "Traceback" in ended.text or "fault of rlgen" in ended.text:
            return f"says: {ended.text.strip()}"
        if partial := [str(path.relative_to(folder)) for path in folder.rglob(".partial*")]:
            return f"leaves {', '.join(partial)}"
        if ended.left:
            return f"leaves the processes {'; '.join(ended.left)}"
        return ""


def main() -> None:
    """The command line of the campaign."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="number of the first try, to continue after those before")
    given = parser.parse_args()
    draw, lost = random.Random(given.seed), 0
    with tempfile.TemporaryDirectory(prefix="rlgen-stopped-") as folder:
        campaign = Campaign(Path(folder), draw)
        for number, tried in itertools.islice(enumerate(campaign.tries(given.count)), given.first, None):
            if wrong := campaign.attempt(tried):
                lost += 1
                print(f"--seed {given.seed}, try {number} ({tried}): {wrong}", flush=True)
    print(
        f"stopped: {given.count - given.first} tries, {given.count - given.first - lost} survived, {lost} lost;"
        f" {campaign.hits} before their end, the slowest {campaign.slowest:.1f} s after the signal"
    )
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
