"""Campaign: many processes in one folder of runs: starts at once, two on one run, readers of a busy run, 1,000 runs."""

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from rlgen.core import trash
from rlgen.core.errors import Interrupted, UserError
from rlgen.core.folder import Folder
from rlgen.core.run import Run
from rlgen.core.tail import Tail
from rlgen.session import prepare
from rlgen.ui.api import Api
from tests.campaigns.readers import READERS, Reader, rlgen
from tests.cases import CASES

FORK = multiprocessing.get_context("fork")
ROOT = Path(__file__).parents[2]
SHARES = {
    "starts": 50,
    "commands": 4,
    "names": 10,
    "seconds": 10,
    "removals": 10,
    "readings": 100,
    "latest": 60,
    "runs": 6,
}
FULL = sum(SHARES.values())
LIMIT = 1.0  # seconds of CPU of `rlgen runs` for 1,000 runs, its start-up included
BUSY = {"budget": 10**9, "log_every": 10, "eval_every": 20, "save_every": 10}


def start(runs: Path, case: str = "dqn", name: str | None = None, **given: object) -> Run:
    """A new run, not yet trained."""
    algorithm, task, settings = CASES[case]
    return prepare(algorithm, task, {**settings, **given}, runs=runs, name=name).run


def at_once(count: int, work: Callable[[int], str]) -> list[str]:
    """What `count` forked processes answer that begin at the same moment, in any order."""
    with tempfile.TemporaryDirectory() as folder:
        start(Path(folder))  # the forked processes need not import what it takes
    barrier, answers = FORK.Barrier(count), FORK.Queue()

    def run(number: int) -> None:
        barrier.wait(120)
        try:
            answers.put(work(number))
        except UserError as error:
            answers.put(f"error {error.code}: {error}")
        except BaseException as error:
            answers.put(f"fault {type(error).__name__}: {error}")

    processes = [FORK.Process(target=run, args=(number,)) for number in range(count)]
    for process in processes:
        process.start()
    found = [answers.get(timeout=300) for _ in processes]
    for process in processes:
        process.join(60)
    return found


def starts(runs: Path, count: int) -> Iterator[str]:
    """So many starts at once make so many folders, whole and numbered without a gap."""
    names = at_once(count, lambda number: start(runs, seed=number).name)
    wanted = {f"dqn-CartPole-{i}" for i in range(1, count + 1)}
    for name in wanted:
        described = (runs / name / "run.json").is_file() and Folder(runs / name).info["name"] == name
        yield "" if names.count(name) == 1 and described else f"{name} is made {names.count(name)} times"
    if hidden := [path.name for path in runs.iterdir() if path.name not in wanted]:
        yield f"left behind: {hidden}"


def commands(runs: Path, count: int) -> Iterator[str]:
    """The same of whole processes that are trained to their end."""
    words = ["qlearning", "GridWorld", "--budget", "300", "--quiet", "--runs", str(runs)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "rlgen", *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(count)
    ]
    outputs = [process.communicate(timeout=300) for process in processes]
    folders = {Path(out.decode().strip()).name for out, _ in outputs}
    for process, (_, err) in zip(processes, outputs, strict=True):
        yield "" if process.returncode == 0 else f"exit {process.returncode}: {err.decode()}"
    if len(folders) != count or any(Folder(runs / name).status != "finished" for name in folders):
        yield f"{count} processes trained {sorted(folders)}"


def names(runs: Path, count: int) -> Iterator[str]:
    """Of two starts with one name the second is refused in one line, and the first is whole."""
    for number in range(count):
        answers = sorted(at_once(2, lambda each, n=number: start(runs, name=f"n{n}", seed=each).name))
        refused = answers[0].startswith("error 2: ") and "exists: choose another --name" in answers[0]
        whole = Folder(runs / f"n{number}").info["name"] == f"n{number}"
        yield "" if refused and whole and answers[1] == f"n{number}" and "\n" not in answers[0] else str(answers)


def seconds(runs: Path, count: int) -> Iterator[str]:
    """A second process on a run is refused in one line and writes nothing."""
    run = start(runs, name="held")
    with run:
        before = contents(run.directory)
        for answer in at_once(count, lambda _: json.dumps(rlgen("resume", "held", "--runs", runs, "--budget", 9_999))):
            code, out, err = json.loads(answer) if answer.startswith("[") else (None, "", answer)
            told = f"is being trained by process {os.getpid()}" in err and err.count("\n") == 1
            yield "" if code == 2 and told and not out else f"exit {code}: {err}"
        if contents(run.directory) != before:
            yield "the folder of the run was changed"


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@contextlib.contextmanager
def busy(runs: Path, case: str, name: str) -> Iterator[Path]:
    """A run in training by another process, which writes checkpoints, rows and pictures all the time."""

    def train() -> None:
        algorithm, task, settings = CASES[case]
        unit = settings.get("batch", 1) if algorithm == "ae" else 1
        plan = {**BUSY, **{n: unit * BUSY[n] for n in ("log_every", "eval_every", "save_every")}}
        with contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(Interrupted):
            prepare(algorithm, task, {**settings, **plan}, runs=runs, name=name).train(quiet=True)

    process = FORK.Process(target=train)
    process.start()
    try:
        directory, limit = runs / name, time.monotonic() + 120
        while len(list(directory.glob("checkpoints/0*"))) < 2 or not Folder(directory).rows():
            if not process.is_alive() or time.monotonic() > limit:
                raise RuntimeError(f"{name} was not trained")
            time.sleep(0.01)
        yield directory
        if not process.is_alive():
            raise RuntimeError(f"the training of {name} ended beside its readers")
    finally:
        if process.pid and process.is_alive():
            os.kill(process.pid, signal.SIGTERM)
        process.join(60)
        if process.is_alive():
            process.kill()


def removals(runs: Path, count: int) -> Iterator[str]:
    """A run in training is not removed."""
    with busy(runs, "dqn", "busy") as directory:
        for _ in range(count):
            code, _, err = rlgen("rm", "busy", "--runs", runs)
            told = "busy is being trained by process" in err and err.count("\n") == 1
            yield "" if code == 2 and told and directory.is_dir() else f"exit {code}: {err}"


def readings(
    runs: Path,
    count: int,
    draw: random.Random,
    readers: Mapping[str, Reader] | None = None,
    names: Sequence[str] = ("agent", "model"),
) -> Iterator[str]:
    """Whatever reads runs in training reads whole files: no failure, no warning, nothing lost."""
    start(runs, "dqn", "other").record(10, {"eval_return": 20.0}, "eval_return")
    readers, cases = readers or READERS, {"agent": "dqn", "model": "ae of convolutions"}
    with contextlib.ExitStack() as stack:
        for name in names:
            stack.enter_context(busy(runs, cases[name], name))
        order = list(readers) * (count // len(readers) + 1)
        draw.shuffle(order)
        api, tails = Api(runs), {name: Tail(runs / name / "metrics.jsonl") for name in names}
        for reader in order[:count]:
            name = draw.choice(names)
            try:
                yield readers[reader](runs, name, api, tails[name])
            except Exception as error:
                yield f"{reader} of {name}: {type(error).__name__}: {error}"


def latest(runs: Path, count: int) -> Iterator[str]:
    """`latest` names a run that was there, while others are made and removed."""
    start(runs, name="first")
    stop = FORK.Event()

    def churn() -> None:
        number = 0
        while not stop.is_set():
            made = Folder.create(runs, "x", f"x{number}", algorithm="dqn", time=0)
            trash.remove([made])
            number += 1

    process = FORK.Process(target=churn)
    process.start()
    try:
        for _ in range(count):
            try:
                found = Folder.find(runs).name
                yield "" if found == "first" or found.startswith("x") else f"latest is {found}"
            except Exception as error:
                yield f"{type(error).__name__}: {error}"
    finally:
        stop.set()
        process.join(60)


def thousand(runs: Path, count: int) -> Iterator[str]:
    """`rlgen runs` lists 1,000 runs within a second of CPU time, its start-up included."""
    made = start(runs, name="run-0000").directory
    (made / "metrics.jsonl").write_text('{"time": 1, "eval_return": 2.0}\n' * 100)
    facts = Folder(made).info
    for number in range(1, 1_000):
        shutil.copytree(made, runs / f"run-{number:04d}")
        Folder(runs / f"run-{number:04d}").describe(**facts | {"name": f"run-{number:04d}"})
    for _ in range(count):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "rlgen", "runs", "--runs", str(runs)], cwd=ROOT, capture_output=True, text=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"rlgen runs of 1,000: {cpu:.2f} s of CPU, {time.perf_counter() - began:.2f} s", flush=True)
        whole = done.returncode == 0 and done.stdout.count("run-") >= 1_000
        yield "" if whole and cpu <= LIMIT else f"{cpu:.2f} s of CPU, exit {done.returncode}: {done.stderr[-200:]}"


def campaign(seed: int, counts: dict[str, int], work: Path) -> tuple[int, list[str]]:
    """The number of tries, and what was lost."""
    draw, tries, lost = random.Random(seed), 0, []
    parts: dict[str, Callable[..., Iterator[str]]] = {
        "starts": starts, "commands": commands, "names": names, "seconds": seconds, "removals": removals,
        "readings": lambda runs, count: readings(runs, count, draw), "latest": latest, "runs": thousand,
    }  # fmt: skip
    for name, count in counts.items():
        runs = work / name
        runs.mkdir(parents=True)
        for wrong in parts[name](runs, count) if count else ():
            tries += 1
            if wrong:
                lost.append(f"seed {seed} {name} {count}: {wrong}")
                print(lost[-1], flush=True)
    return tries, lost


def main() -> int:
    """Run the campaign; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=FULL)
    parser.add_argument("--runs", type=Path, default=None)
    options = parser.parse_args()
    counts = {name: max(1, round(share * options.count / FULL)) for name, share in SHARES.items()}
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        tries, lost = campaign(options.seed, counts, options.runs or Path(folder))
    seconds = time.perf_counter() - began
    print(f"side_by_side: {tries} tries, {tries - len(lost)} survived, {len(lost)} lost ({seconds:.0f} s)")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
