"""Processes that are killed or interrupted and resumed: the result equals that of an uninterrupted run."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from rlgen.core import checkpoint
from rlgen.core.fit import fit
from rlgen.core.folder import Folder
from rlgen.session import prepare, reopen

ROOT = Path(__file__).parents[1]
BUDGET = 4_000
OPTIONS = {
    "budget": BUDGET, "log-every": 50, "eval-every": 1_000, "save-every": 200, "learning-starts": 100, "width": 16,
    "buffer-size": 1_000, "batch": 16, "train-freq": 4,
    "gradient-steps": 1,
}  # fmt: skip
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def rlgen(*words):
    """A process of the command line, running."""
    command = [sys.executable, "-m", "rlgen", *map(str, words), "--quiet"]
    return subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)


def begin(runs, name):
    options = [word for key, value in OPTIONS.items() for word in (f"--{key}", value)]
    return rlgen("dqn", "CartPole", "--runs", runs, "--name", name, *options)


def wait(process, happened):
    """Wait until the condition holds or the process has ended."""
    while process.poll() is None and not happened():
        time.sleep(0.002)


def lines(run):
    path = run / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def saving(run):
    return any((run / "checkpoints").glob(".partial-*")) if (run / "checkpoints").exists() else False


def stop(process, number):
    process.send_signal(number)
    _, errors = process.communicate()
    return process.returncode, errors


def outcome(run):
    saved = checkpoint.load(checkpoint.newest_first(run / "checkpoints")[0])
    weights = torch.cat([saved[name][key].reshape(-1) for name in ("q", "target") for key in saved[name]])
    logs = tuple((run / name).read_text() for name in ("metrics.jsonl", "episodes.jsonl"))
    return logs, saved["time"], weights


def same(one, other):
    return one[:2] == other[:2] and torch.equal(one[2], other[2])


def finish(session):
    """Train to the end in this process, which is faster than starting another."""
    with session.run as run:
        fit(session.algorithm, run, session.plan)
    return outcome(session.run.directory)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    given = {name.replace("-", "_"): value for name, value in OPTIONS.items()}
    return finish(prepare("dqn", "CartPole", given, runs=tmp_path_factory.mktemp("straight")))


@pytest.mark.parametrize(
    "numbers",
    [
        [signal.SIGKILL, signal.SIGTERM],
        [signal.SIGKILL] * 3 + [signal.SIGTERM, signal.SIGINT],
    ],
    ids=["two", "five"],
)
@pytest.mark.slow
def test_a_run_stopped_in_every_way_equals_an_uninterrupted_one(tmp_path, straight, numbers):
    """Killed during a checkpoint, before and after one, then SIGTERM and SIGINT, resumed each time."""
    run, draw = tmp_path / "run", random.Random(0)
    process = begin(tmp_path, "run")
    for i, number in enumerate(numbers):
        before = lines(run)
        more = before + draw.randrange(1, 10)
        wait(process, (lambda: saving(run)) if i == 0 else lambda more=more: lines(run) >= more)
        code, errors = stop(process, number)
        if number == signal.SIGKILL:
            assert (code, errors) == (-signal.SIGKILL, "")
            assert Folder(run).status == "stale"
        else:
            assert (code, errors.count("\n")) == (128 + number, 1), errors
            assert f"saved: `rlgen resume {run}` continues" in errors
            assert Folder(run).status == "interrupted"
            newest = checkpoint.newest_first(run / "checkpoints")[0]
            checkpoint.verify(newest)
            assert int(newest.name) == Folder(run).info["time"] < BUDGET
        if i + 1 < len(numbers):
            process = rlgen("resume", "run", "--runs", tmp_path)
    assert same(finish(reopen(Folder(run), {})), straight)
    assert Folder(run).status == "finished"
    assert not list(run.rglob(".*"))


def contents(run):
    return {path.relative_to(run): path.read_bytes() for path in run.rglob("*") if path.is_file()}


@pytest.mark.slow  # within one process: tests/test_session.py
def test_a_refused_resume_writes_nothing_into_the_folder_of_a_run_in_training(tmp_path):
    given = {name.replace("-", "_"): value for name, value in OPTIONS.items()}
    run = prepare("dqn", "CartPole", given, runs=tmp_path, name="run").run
    (run.directory / "log.txt").write_text("a line of the training\n")
    with run:
        before = contents(run.directory)
        process = rlgen("resume", "run", "--runs", tmp_path, "--budget", 10 * BUDGET)
        _, errors = process.communicate()
        assert process.returncode == 2
        assert errors.endswith(f"run is being trained by process {os.getpid()}: wait for its end, or stop it\n")
        assert contents(run.directory) == before
    assert Folder(run.directory).info["plan"]["budget"] == BUDGET


@pytest.mark.slow
def test_killed_twenty_times(tmp_path, straight):
    run, draw, kills = tmp_path / "run", random.Random(1), 0
    process = begin(tmp_path, "run")
    while process.poll() is None and kills < 20:
        more = lines(run) + draw.randrange(1, 4)
        wait(process, lambda more=more: lines(run) >= more)
        time.sleep(draw.random() / 50)  # at any moment between two rows
        if process.poll() is None:
            assert stop(process, signal.SIGKILL)[0] == -signal.SIGKILL
            kills += 1
            process = rlgen("resume", "run", "--runs", tmp_path)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    assert kills > 5
    assert same(outcome(run), straight)
