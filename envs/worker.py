"""A worker: a copy of this process that steps some of the environments, and writes their numbers to shared memory.

It waits at a pipe for one letter, steps or resets its share of the copies as `GymEnvironments` does, and answers with
one letter, or with JSON where there is a fault or a warning. It ends with its pipe, or when its parent is killed.
"""

import ctypes
import json
import logging
import mmap
import os
import signal
import struct
import sys
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from rlgen.core.errors import EnvironmentFault, UserError
from rlgen.envs.environments import GymEnvironments
from rlgen.envs.faults import fault
from rlgen.envs.watchdog import watchdog

STEP, RESET = b"s", b"r"  # what a worker is asked for
DONE, TOLD = b"d", b"t"  # what it answers: done, or done with JSON about it
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # this process decides
PARENT_DEATH = 1  # PR_SET_PDEATHSIG of Linux
log = logging.getLogger("rlgen")


@dataclass(frozen=True)
class Worker:
    """A process with the copies in `rows`."""

    number: int  # from 0
    pid: int
    rows: slice
    asked: int  # descriptors of the two pipes
    answered: int


class Shared:
    """Arrays of all copies in memory that this process and its workers share."""

    def __init__(self, num_envs: int, workers: int, one: GymEnvironments) -> None:
        frame = one.preprocessing
        self.frames: NDArray[Any] = _array((num_envs, *frame.shape), frame.dtype)
        self.actions, self.seeds = _array((num_envs,), np.int64), _array((num_envs,), np.int64)
        self.chosen = _array((num_envs,), bool)  # to be stepped or reset
        self.reward = _array((num_envs,), np.float64)
        self.terminated, self.truncated = _array((num_envs,), bool), _array((num_envs,), bool)
        self.action_mask, self.lives = _array((num_envs, one.num_actions), bool), _array((num_envs,), np.int64)
        self.action_mask[:] = True
        self.facts = _array((workers, 2), bool)  # of each worker: whether it has action masks, and lives


def _array(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Zeros in memory that is shared with the copies of this process."""
    size = int(np.prod(shape))
    return np.frombuffer(mmap.mmap(-1, max(1, size * np.dtype(dtype).itemsize)), dtype, size).reshape(shape)


@dataclass(frozen=True)
class Share:
    """The copies `rows` of an environment, which worker `number`, from 0, makes and steps."""

    number: int
    rows: slice
    shared: Shared
    name: str
    repeat_action_probability: float | None
    step_timeout: float | None


def start(share: Share) -> Worker:
    """A new worker, which first answers whether its environments could be made."""
    asked, answered = os.pipe(), os.pipe()
    parent = os.getpid()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, IGNORED)  # until the worker ignores them
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # other threads here are none of the worker's concern
            pid = os.fork()
        if pid == 0:
            _work(share, asked[0], answered[1], parent)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os.close(asked[0])
    os.close(answered[1])
    return Worker(share.number, pid, share.rows, asked[1], answered[0])


def _work(share: Share, asked: int, answered: int, parent: int) -> NoReturn:
    """The life of a worker, without the files, the lock and the screen of `parent`, the process it is a copy of."""
    try:
        for number in IGNORED:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        _end_with(parent)
        for path in list(Path("/proc/self/fd").iterdir()):
            if (file := int(path.name)) not in (0, 1, 2, asked, answered):
                with suppress(OSError):  # that of the listing itself
                    os.close(file)
        # those of the process may be locked for ever: a thread that held the lock has no copy here
        sys.stdout = sys.stderr = os.fdopen(2, "w", 1, closefd=False)
        answers = Answers(answered)
        watchdog.last_words = answers.stuck
        _serve(share, asked, answers)
    finally:
        os._exit(0)


def _serve(share: Share, asked: int, answers: "Answers") -> None:
    """Answer until the end of the pipe."""
    method, environments, rows, shared = "make", None, share.rows, share.shared
    facts = shared.facts[share.number]
    while True:
        try:
            if environments is None:
                sticky = share.repeat_action_probability
                environments = GymEnvironments(share.name, rows.stop - rows.start, repeat_action_probability=sticky)
                if share.step_timeout is not None:
                    watchdog.watch(environments, share.step_timeout)
            elif method == "step":
                result = environments.step(shared.actions[rows], shared.chosen[rows])
                arrays = shared.frames, shared.reward, shared.terminated, shared.truncated
                for array, values in zip(arrays, result, strict=True):
                    array[rows] = values
            else:
                (indices,) = shared.chosen[rows].nonzero()
                shared.frames[rows][indices] = environments.reset(indices, shared.seeds[rows][indices].tolist())
            facts[:] = environments.action_mask.shape[1] > 1, environments.lives is not None
            shared.action_mask[rows] = environments.action_mask
            shared.lives[rows] = 0 if environments.lives is None else environments.lives
            answers.done()
        except UserError as error:
            answers.failed(error)
        except BaseException as error:
            answers.failed(fault(share.name, method, error))
        what = os.read(asked, 1)
        if not what:
            break
        method = "step" if what == STEP else "reset"
    if environments is not None:
        environments.close()


class Answers(logging.Handler):
    """The pipe to the process that asks, with the warnings since the last answer."""

    def __init__(self, pipe: int) -> None:
        super().__init__(logging.WARNING)
        self.pipe, self.warnings = pipe, list[str]()
        log.handlers, log.propagate = [self], False

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a warning."""
        self.warnings.append(record.getMessage())

    def done(self) -> None:
        """What was asked is done."""
        if self.warnings:
            self._tell({})
        else:
            os.write(self.pipe, DONE)

    def failed(self, error: UserError) -> None:
        """It failed, in a method and a copy of the worker's own, or in all."""
        where = [error.method, error.index] if isinstance(error, EnvironmentFault) else None
        self._tell({"error": str(error), "where": where})

    def stuck(self, call: FrameType, message: str) -> NoReturn:
        """The last words of a worker in which a call neither returns nor can be interrupted."""
        self.failed(EnvironmentFault(message, call.f_code.co_name, int(call.f_locals.get("index", 0))))
        os._exit(EnvironmentFault.code)

    def _tell(self, content: dict[str, Any]) -> None:
        text = json.dumps({**content, "warnings": self.warnings}).encode()
        self.warnings = []
        rest = memoryview(TOLD + struct.pack("<I", len(text)) + text)
        while rest:
            rest = rest[os.write(self.pipe, rest) :]


def _end_with(parent: int) -> None:
    """Have the system end this process with its parent, kill -9 included, a step that does not return included."""
    ctypes.CDLL(None).prctl(PARENT_DEATH, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended in the meantime
        os._exit(0)
