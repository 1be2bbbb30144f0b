"""Environments stepped in several processes: N copies shared out among W workers, their numbers in shared memory.

Episodes depend on their seeds and actions alone, so every number is that of a single process. The workers ignore Ctrl-C
and SIGTERM: this process decides what a signal ends.
"""

import json
import logging
import os
import signal
import struct
import sys
import time
import weakref
from contextlib import suppress
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgen.core.errors import EnvironmentFault, UserError
from rlgen.envs.environments import GymEnvironments, StepArrays
from rlgen.envs.worker import RESET, STEP, TOLD, Share, Shared, Worker, start

PATIENCE = 2.0  # seconds for which the end of a worker is waited for
log = logging.getLogger("rlgen")


class WorkerEnvironments:
    """N environments made by gymnasium in W processes: `Environments` of the same numbers as `GymEnvironments`.

    Raises UserError where processes cannot be copied, and as `GymEnvironments` does; EnvironmentFault also for a worker
    that ended.
    """

    def __init__(
        self,
        name: str,
        num_envs: int,
        workers: int,
        repeat_action_probability: float | None = None,
        step_timeout: float | None = None,
    ) -> None:
        if sys.platform != "linux":
            raise UserError("--env-workers needs processes that can be copied, as on Linux: leave it out")
        self.name, self.count = name, num_envs
        sticky = repeat_action_probability
        self.one = one = GymEnvironments(name, 1, repeat_action_probability=sticky)  # for its description alone
        self.envs = one.envs
        self.preprocessing, self.num_actions, self.first_action = one.preprocessing, one.num_actions, one.first_action
        self.max_episode_steps, self.fps = one.max_episode_steps, one.fps
        self.shared = Shared(num_envs, min(workers, num_envs), one)
        self.action_mask: NDArray[np.bool_] = np.ones((num_envs, 1), bool)
        self.lives: NDArray[np.int64] | None = None
        self.told: set[str] = set()  # warnings so far
        self.workers: list[Worker] = []
        self.late: list[Worker] = []  # that were asked and have not answered, of a call that a signal ended as well
        bounds = np.linspace(0, num_envs, len(self.shared.facts) + 1).round().astype(int).tolist()
        self._end = weakref.finalize(self, _end_all, self.workers, os.getpid())
        for number, (first, end) in enumerate(pairwise(bounds)):
            share = Share(number, slice(first, end), self.shared, name, sticky, step_timeout)
            self.workers.append(start(share))
        self.late = list(self.workers)
        self._answers("make")

    def reset(self, indices: NDArray[np.int64], seeds: list[int]) -> NDArray[Any]:
        """Begin an episode in the n environments at `indices`, one seed each: the first frames, (n, *frame)."""
        shared = self.shared
        shared.chosen[:] = False
        shared.chosen[indices] = True
        shared.seeds[indices] = seeds
        self._ask(RESET, "reset")
        frames: NDArray[Any] = shared.frames[indices]
        return frames

    def step(self, actions: NDArray[np.int64], running: NDArray[np.bool_]) -> StepArrays:
        """One step of the `running` (N,) environments."""
        shared = self.shared
        shared.actions[:], shared.chosen[:] = actions, running
        self._ask(STEP, "step")
        return shared.frames.copy(), shared.reward.copy(), shared.terminated.copy(), shared.truncated.copy()

    def render(self, index: int) -> NDArray[np.uint8]:
        """Raises UserError: pictures are made by environments in this process."""
        raise UserError(f"{self.name} is stepped by workers, which make no pictures")

    def close(self) -> None:
        """End the workers; their environments are closed by them."""
        self._end()
        self.one.close()

    def _ask(self, what: bytes, method: str) -> None:
        """Have the workers do it for the chosen copies, and take over what they answer."""
        for worker in self.workers:
            if self.shared.chosen[worker.rows].any():
                self.late.append(worker)
                with suppress(BrokenPipeError):  # it has ended, as the pipe of its answers will tell
                    os.write(worker.asked, what)
        self._answers(method)
        masked, lives = self.shared.facts.T
        if masked.any():
            self.action_mask = self.shared.action_mask.copy()
        if lives.any():
            self.lives = self.shared.lives.copy()

    def _answers(self, method: str) -> None:
        """Wait for all workers. Raises the first fault in the order of the copies."""
        error: UserError | None = None
        while self.late:
            worker = self.late[0]
            try:
                answer = _read(worker.answered, 1)
                found = json.loads(_read_text(worker.answered)) if answer == TOLD else {}
            except EOFError:
                ended, found = self._ended(worker, method), {}
                error = error or ended
            self.late.pop(0)
            for warning in found.get("warnings", ()):
                if warning not in self.told:
                    self.told.add(warning)
                    log.warning(warning)
            if "error" in found and error is None:
                error = _error(found, worker.rows.start)
        if error is not None:
            raise error

    def _ended(self, worker: Worker, method: str) -> EnvironmentFault:
        """The fault that stands for the end of a worker, in the first of the copies that it was to step."""
        _, status = os.waitpid(worker.pid, 0)
        self.workers.remove(worker)
        os.close(worker.asked)
        os.close(worker.answered)
        code = os.waitstatus_to_exitcode(status)
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        first, last = worker.rows.start, worker.rows.stop - 1
        copies = f"copy {first + 1}" if first == last else f"copies {first + 1} to {last + 1}"
        what = f"worker {worker.number + 1} (process {worker.pid}, {copies}) ended with {how} in {method}()"
        chosen = self.shared.chosen[worker.rows]
        return EnvironmentFault(f"{self.name}: {what}", method, first + int(chosen.argmax()))


def _error(found: dict[str, Any], first: int) -> UserError:
    """The error that a worker tells, whose first copy is `first`."""
    if found["where"] is None:
        return UserError(found["error"])
    method, index = found["where"]
    return EnvironmentFault(found["error"], method, first + index)


def _read(pipe: int, size: int) -> bytes:
    """`size` bytes. Raises EOFError where the other end is closed."""
    found = b""
    while len(found) < size:
        part = os.read(pipe, size - len(found))
        if not part:
            raise EOFError
        found += part
    return found


def _read_text(pipe: int) -> bytes:
    return _read(pipe, *struct.unpack("<I", _read(pipe, 4)))


def _end_all(workers: list[Worker], owner: int) -> None:
    """Close the pipes of the workers and wait for their end; those that are still in a step are killed."""
    if os.getpid() != owner:
        return
    for worker in workers:
        for pipe in (worker.asked, worker.answered):
            os.close(pipe)
    until = time.monotonic() + PATIENCE
    for worker in workers:
        with suppress(ChildProcessError):
            while os.waitpid(worker.pid, os.WNOHANG) == (0, 0):
                if time.monotonic() > until:
                    os.kill(worker.pid, signal.SIGKILL)
                time.sleep(0.002)
    workers.clear()
