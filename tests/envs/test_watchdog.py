"""Steps of environments that do not return."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from rlgen.core.errors import EnvironmentFault, Interrupted
from rlgen.envs import VectorEnv, watchdog
from tests.envs.misbehaving import AT
from tests.envs.playing import steps_of

LIMIT = 0.4  # s


@pytest.mark.parametrize("way", ["sleeps", "spins"])
def test_a_step_that_does_not_return_is_interrupted(way):
    """In copy 2 of 3, with its actions up to this one."""
    env = VectorEnv(f"Misbehaving-{way}", 3, seed=0, step_timeout=LIMIT)
    for copy in env.environments.envs:
        copy.unwrapped.at = AT if copy is env.environments.envs[1] else 10**6
    steps_of(env, AT - 1)
    start = time.perf_counter()
    message = rf"did not return from step\(\) within {LIMIT} s.* in copy 2 of 3"
    with pytest.raises(EnvironmentFault, match=message) as caught:
        env.step(np.ones(3, np.int64))
    assert LIMIT <= time.perf_counter() - start < LIMIT + 5
    assert caught.value.episode["actions"][-1] == 1
    assert len(caught.value.episode["actions"]) == AT
    assert "misbehaving.py, line" in str(caught.value)


def test_long_pauses_between_steps_and_many_short_steps_are_no_timeout():
    env = VectorEnv("CartPole", 1, seed=0, step_timeout=0.2)
    time.sleep(0.5)
    end = time.perf_counter() + 0.5
    while time.perf_counter() < end:
        env.step(np.zeros(1, np.int64))


def test_the_thread_ends_with_the_last_environment_and_no_other_thread_is_watched(monkeypatch):
    dog = watchdog.Watchdog()
    monkeypatch.setattr("rlgen.envs.factory.watchdog", dog)
    env = VectorEnv("CartPole", 1, seed=0, step_timeout=0.1)
    thread = dog.thread
    assert thread.daemon
    del env
    thread.join(10)
    assert not thread.is_alive()
    assert dog.thread is None
    other = threading.Thread(target=lambda: VectorEnv("CartPole", 1, seed=0, step_timeout=0.1))
    other.start()
    other.join()
    assert dog.thread is None


class Call:
    """A call of `step` that takes the signal, if it is the stuck one."""

    def step(self, dog, stuck=None):
        dog.stuck = stuck or sys._getframe()
        dog._interrupt(0, sys._getframe())
        return sys._getframe()


def test_a_signal_is_for_the_stuck_call_alone():
    """The stuck call may have returned when the main thread comes to handle the signal."""
    dog, call = watchdog.Watchdog(), Call()
    dog.limits[call] = 7.0
    over = call.step(dog, stuck=(lambda: sys._getframe())())
    call.step(dog, stuck=over)
    with pytest.raises(watchdog.StepTimeout, match="7"):
        call.step(dog)


class Stopped(KeyboardInterrupt):
    """As a handler of rlgen's own raises it."""

    __module__ = "rlgen.core.signals"


@pytest.mark.parametrize("error", [Interrupted(2, "stopped at once", saved=False), KeyboardInterrupt(), Stopped()])
def test_a_signal_of_the_run_passes_through_an_environment(error):
    """It is no failure of the environment in which it strikes."""
    env = VectorEnv("CartPole", 1, seed=0)
    strikes = signal.default_int_handler if type(error) is KeyboardInterrupt else _handler(error)
    former = signal.signal(signal.SIGUSR1, strikes)

    def step(action):
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(1)

    env.environments.envs[0].step = step
    try:
        with pytest.raises(type(error)):
            env.step(np.zeros(1, np.int64))
    finally:
        signal.signal(signal.SIGUSR1, former)


def _handler(error):
    def strike(number, frame):
        raise error

    return strike


def test_a_copy_of_the_process_made_in_a_step_ends():
    """The original goes on, and both write nothing twice. In a process of its own: pytest has threads."""
    code = (
        "import numpy as np, os\n"
        "from rlgen.envs import VectorEnv\n"
        "from tests.envs import misbehaving\n"
        "from tests.envs.playing import steps_of\n"
        "env, here = VectorEnv('Misbehaving-forks', 1, seed=0), os.getpid()\n"
        f"steps_of(env, {AT})\n"
        "print('after', os.getpid() == here)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.stdout.split("\n") == ["after True", ""]
    assert "Misbehaving-forks-v0 made a copy of the process in step(): the copy ends here" in done.stderr
