"""Processes side by side, with a stand-in for the training."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rlgen import catalog
from rlgen.core import cores
from rlgen.core.errors import Interrupted
from rlgen.core.settings import Plan
from rlgen.queue import processes
from rlgen.queue.job import Job

ROOT = Path(__file__).parents[2]


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "WORKER", "tests.queue.stand_in")
    monkeypatch.setattr(processes, "POLL", 0.02)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(cores, "available", lambda: 4)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    def make(*names):
        return [Job(name, "a.toml:1", catalog.find("dqn"), "CartPole", {}, Plan(), tmp_path) for name in names]

    return make


def notes(tmp_path):
    return (tmp_path / "notes").read_text().splitlines()


def test_so_many_runs_at_a_time_share_the_cores(jobs, tmp_path):
    made, ended = jobs("a", "b", "c", "d", "e"), []
    processes.train(made, 2, "again", ended.append)
    assert [job.code for job in made] == [0] * 5
    assert {job.name for job in ended if job} == {*"abcde"}
    lines, running = notes(tmp_path), set()
    assert {line for line in lines if "begins" in line} == {f"{name} begins with 2" for name in "abcde"}
    for line in lines:
        (running.add if "begins" in line else running.discard)(line[0])
        assert len(running) <= 2
    assert {line[0] for line in [line for line in lines if "begins" in line][:2]} == {"a", "b"}


def test_a_run_that_fails_or_dies_leaves_the_others_alone(jobs, tmp_path):
    made = jobs("dies", "fails", "works")
    processes.train(made, 1, "again", lambda job: None)
    assert [job.code for job in made] == [137, 5, 0]
    assert made[0].error.startswith("its process was killed by signal 9; the system kills processes")
    assert made[1].error == "no such thing"
    assert notes(tmp_path)[-1] == "works ends"


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
def test_ctrl_c_stops_all_once_they_have_saved(jobs, tmp_path):
    made = jobs("sleeps-1", "sleeps-2", "waits")

    def stop():
        while len(notes(tmp_path)) < 2 if (tmp_path / "notes").exists() else True:
            time.sleep(0.02)
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(Interrupted, match=r"stopped: `rlgen train a\.toml` continues") as error:
        processes.train(made, 2, "rlgen train a.toml", lambda job: None)
    thread.join()
    assert error.value.code == 130
    assert [(job.code, job.error) for job in made] == [(143, "stopped at 5, saved")] * 2 + [(None, "")]
    assert not any("waits" in line for line in notes(tmp_path))


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
def test_runs_end_with_the_process_that_started_them(jobs, tmp_path):
    """Also where that is killed and can stop nothing: a run is not trained beside its continuation."""
    code = (
        "import sys; from pathlib import Path; from rlgen.core import children\n"
        "process = children.start('tests.queue.stand_in', sys.argv[1:], 1, Path(sys.argv[4]) / 'log')\n"
        "print(process.pid, flush=True); input()"
    )
    words = [sys.executable, "-c", code, "--name", "sleeps", "--runs", str(tmp_path)]
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        while not (tmp_path / "asleep").exists():
            time.sleep(0.02)
        parent.kill()
    deadline = time.monotonic() + 30
    while "stopped at 5" not in (tmp_path / "log").read_text():
        assert time.monotonic() < deadline, f"{child} is alive"
        time.sleep(0.02)
