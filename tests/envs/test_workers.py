"""Environments stepped in several processes: the numbers of one process, faults with their place, no orphans."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from rlgen.core.errors import EnvironmentFault, UserError
from rlgen.envs import VectorEnv, inspection
from rlgen.envs.workers import WorkerEnvironments
from tests.agents import tasks  # noqa: F401  # registers its environments
from tests.envs.misbehaving import AT, LENGTH, WAYS
from tests.envs.playing import steps_of

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are copies of a process")


def pids(env):
    return [worker.pid for worker in env.environments.workers]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except OSError:
        return False


def wait_for_end(pid, seconds=10):
    end = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.01)
    return not alive(pid)


def numbers(env, steps):
    """Everything that an agent sees of `steps` steps with random allowed actions."""
    rng, found = np.random.default_rng(0), []
    for _ in range(steps):
        mask = np.broadcast_to(env.action_mask, (len(env.obs), env.num_actions))
        step = env.step((rng.random(mask.shape) * mask).argmax(1))
        found += [*step, env.obs, env.action_mask, env.is_first]
    return found


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("FrozenLake", {}),
        ("TestLegal", {}),  # with action masks
        ("TestLives", {"life_loss": True}),
        ("TestSmallImage", {"frame_stack": 2}),
        ("TestTruncated", {"restart": False}),
        pytest.param("MinAtar/Breakout-v1", {"repeat_action_probability": 0.25}, marks=pytest.mark.slow),
    ],
)
def test_every_number_is_that_of_one_process(name, options):
    if name.startswith("MinAtar"):
        pytest.importorskip("minatar")
    one, two = (VectorEnv(name, 5, seed=3, workers=workers, **options) for workers in (0, 2))
    assert isinstance(two.environments, WorkerEnvironments)
    for a, b in zip(numbers(one, 30), numbers(two, 30), strict=True):
        assert a.dtype == b.dtype
        assert np.array_equal(a, b)
    again = VectorEnv(name, 5, seed=3, workers=3, **options)
    if options.get("restart", True):
        again.load_state_dict(one.state_dict())  # exact resume, with another number of workers
        assert not again.restarted.any()
        assert all(map(np.array_equal, numbers(one, 3), numbers(again, 3)))
    for env in (one, two, again):
        env.close()


def test_shares_are_even_and_there_are_no_more_workers_than_environments():
    env = VectorEnv("FrozenLake", 5, seed=0, workers=2)
    assert [(worker.rows.start, worker.rows.stop) for worker in env.environments.workers] == [(0, 2), (2, 5)]
    env.close()
    env = VectorEnv("FrozenLake", 3, seed=0, workers=8)
    assert len(set(pids(env))) == 3
    assert os.getpid() not in pids(env)
    env.close()


def test_workers_end_with_the_environments():
    env = VectorEnv("FrozenLake", 2, seed=0, workers=2)
    first = pids(env)
    assert all(map(alive, first))
    env.close()
    assert not any(map(alive, first))
    env.close()  # twice is no error
    env = VectorEnv("FrozenLake", 2, seed=0, workers=2)
    second = pids(env)
    del env
    assert not any(map(alive, second))


@pytest.mark.parametrize(
    "way", ["raises", "raises-exit", "observation-nan", "reward-none", "four-values", "reset-raises"]
)
def test_a_fault_in_a_worker_is_that_of_one_process(way, monkeypatch):
    monkeypatch.setenv("MISBEHAVE_SHARE", "0.4")  # of the episodes: those of the first two copies are in order
    faults = []
    for workers in (0, 2):
        with pytest.raises(EnvironmentFault) as caught:
            steps_of(VectorEnv(f"Misbehaving-{way}", 4, seed=10, workers=workers), 9 * LENGTH)
        faults.append((str(caught.value), caught.value.episode, caught.value.method, caught.value.index))
    assert faults[0] == faults[1]
    assert faults[0][3] == 2
    assert faults[0][0].startswith(f"Misbehaving-{way}-v0 {WAYS[way]}")


def test_a_step_that_does_not_return_is_interrupted_in_its_worker():
    start = time.perf_counter()
    with pytest.raises(EnvironmentFault, match=r"did not return from step\(\) within 0.4 s.* in copy 1 of 2"):
        steps_of(VectorEnv("Misbehaving-sleeps", 2, seed=0, step_timeout=0.4, workers=2), LENGTH)
    assert time.perf_counter() - start < 10


def test_a_step_that_cannot_be_interrupted_ends_its_worker_alone(monkeypatch):
    monkeypatch.setattr("rlgen.envs.watchdog.GRACE", 0.2)
    with pytest.raises(
        EnvironmentFault, match=r"within 0.3 s, the limit of --step-timeout, and could not be"
    ) as caught:
        steps_of(VectorEnv("Misbehaving-swallows", 2, seed=0, step_timeout=0.3, workers=2), LENGTH)
    assert len(caught.value.episode["actions"]) == AT


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_a_worker_that_dies_is_named(how):
    env = VectorEnv("FrozenLake", 4, seed=0, workers=2)
    steps_of(env, 3)
    pid = pids(env)[1]
    os.kill(pid, how)
    assert wait_for_end(pid)
    expected = rf"FrozenLake-v1: worker 2 \(process {pid}, copies 3 to 4\) ended with signal {how.name} in step\(\)"
    with pytest.raises(EnvironmentFault, match=expected) as caught:
        steps_of(env, 1)
    assert caught.value.code == 8
    assert caught.value.index == 2
    env.close()


def test_warnings_of_workers_are_told_once(caplog):
    inspection._warn_once.cache_clear()
    caplog.set_level(logging.WARNING, "rlgen")
    env = VectorEnv("Misbehaving-observation-outside", 4, seed=0, workers=2)
    steps_of(env, LENGTH - 1)
    env.close()
    assert len([record for record in caplog.records if "outside" in record.message]) == 1


def test_signals_of_the_terminal_leave_workers_alone():
    env = VectorEnv("FrozenLake", 2, seed=0, workers=2)
    for pid in pids(env):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, number)
    steps_of(env, 3)
    assert all(map(alive, pids(env)))
    env.close()


def test_an_answer_that_came_too_late_is_no_answer_to_the_next_question(monkeypatch):
    """A signal that ends a wait leaves an answer in the pipe."""
    env = VectorEnv("FrozenLake", 2, seed=0, workers=2)
    answers = WorkerEnvironments._answers

    def interrupted(self, method):
        monkeypatch.setattr(WorkerEnvironments, "_answers", answers)
        raise KeyboardInterrupt

    monkeypatch.setattr(WorkerEnvironments, "_answers", interrupted)
    with pytest.raises(KeyboardInterrupt):
        env.step(np.zeros(2, np.int64))
    steps_of(env, 5)
    env.close()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("CartPole", "--env-workers 2: CartPole-v1 is stepped as arrays, faster than by processes: leave it out"),
        ("no-such-env", "no environment"),
    ],
)
def test_environments_without_workers_are_refused(name, message):
    with pytest.raises(UserError) as caught:
        VectorEnv(name, 4, seed=0, workers=2)
    assert str(caught.value).startswith(message)


def test_one_environment_and_pictures_need_no_worker():
    assert not hasattr(VectorEnv("FrozenLake", 1, seed=0, workers=2).environments, "workers")
    env = VectorEnv("FrozenLake", 2, seed=0, workers=2, render_mode="rgb_array")
    assert env.render().ndim == 3


def test_a_thread_steps_its_environments_itself():
    """The system ends a worker with the thread that made it; the page makes environments in threads."""
    made = []
    thread = threading.Thread(target=lambda: made.append(VectorEnv("FrozenLake", 3, seed=0, workers=2)))
    thread.start()
    thread.join()
    assert not hasattr(made[0].environments, "workers")


KILLED = """
import sys, time
from rlgen.envs import VectorEnv
from tests.envs import misbehaving
env = VectorEnv("Misbehaving-spins", 2, seed=0, workers=2, step_timeout=600)
print(*[worker.pid for worker in env.environments.workers], flush=True)
import numpy as np
while True:
    env.step(np.zeros(2, np.int64))
"""


@pytest.mark.slow  # a process that imports torch
def test_kill_9_of_the_process_ends_its_workers_even_in_an_endless_step():
    process = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    workers = list(map(int, process.stdout.readline().split()))
    time.sleep(0.3)
    process.kill()
    process.wait()
    process.stdout.close()
    assert len(workers) == 2
    assert all(wait_for_end(pid) for pid in workers)
