"""A step or reset of an environment that takes too long is interrupted: by a thread, at no cost per step.

The thread looks now and then at the stack of the main thread. Where it finds the same call of an environment's `step`
or `reset` TICKS times in a row, the call is stuck: a signal makes the main thread raise StepTimeout within it. Where
that has no effect, for the exception is swallowed or the call is outside of the interpreter, the process ends GRACE
seconds later. Code that holds the lock of the interpreter is not noticed.
"""

import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

from rlgen.core.errors import EnvironmentFault

TICKS = 8  # looks at a call before it is stuck
GRACE = 5.0  # s, from the interruption of a call to the end of the process
LONGEST = 60.0  # s between two looks


class StepTimeout(BaseException):
    """Raised within a stuck call, with its limit in seconds. No Exception, which environments may catch."""


class Watchdog:
    """Watches the calls of `step` and `reset` in the main thread, and of nothing else.

    Its clock counts looks, not seconds, so that a process that was suspended is not taken for a stuck one.
    """

    def __init__(self) -> None:
        self.limits: weakref.WeakKeyDictionary[Any, float]
        self.codes: set[Any] = set()  # of the methods watched
        self.stuck: FrameType | None = None  # the call to be interrupted
        self.last_words: Callable[[FrameType, str], str] | None = None  # of the process: a longer message
        self.thread: threading.Thread | None = None
        self.forked()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.forked)

    def forked(self) -> None:
        """In a new process: nothing is watched, by no thread, and no thread of another process holds the lock."""
        self.limits = weakref.WeakKeyDictionary()  # environments -> seconds
        self.stuck, self.thread = None, None
        self.lock, self.changed = threading.Lock(), threading.Event()  # the lock is of `limits` and `thread`

    def watch(self, environments: Any, limit: float) -> None:
        """Watch the calls of these environments from now on; `limit` in seconds. Other threads are not watched."""
        if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_kill"):
            return
        signal.signal(_signal(), self._interrupt)
        self.codes |= {type(environments).step.__code__, type(environments).reset.__code__}
        with self.lock:
            self.limits[environments] = limit
            self.changed.set()
            if self.thread is None or not self.thread.is_alive():
                self.thread = threading.Thread(target=self._run, name="watchdog of environments", daemon=True)
                self.thread.start()

    def _run(self) -> None:
        seen, looked = None, 0.0  # the call of the latest look, and the seconds since it was first seen
        while True:
            with self.lock:
                if not self.limits:
                    self.thread = None
                    return
                shortest = min(self.limits.values(), default=LONGEST)
                period = min(shortest / TICKS, LONGEST if self.stuck is None else 1.0)
            if self.changed.wait(period):  # a shorter limit may have come
                self.changed.clear()
                continue
            call = self._call()
            looked = looked + period if call is not None and call is seen else 0.0
            seen, call = call, None
            if seen is None or seen is not self.stuck:
                self.stuck = None
            if self.stuck is not None and looked >= GRACE:
                self._end(self.stuck)
            if self.stuck is None and seen is not None and looked >= self._limit(seen):
                self.stuck, looked = seen, 0.0
                signal.pthread_kill(_main(), _signal())

    def _call(self) -> FrameType | None:
        """The call of an environment in which the main thread is; None outside of one."""
        frame = sys._current_frames().get(_main())
        while frame is not None and frame.f_code not in self.codes:
            frame = frame.f_back
        return frame

    def _limit(self, call: FrameType) -> float:
        return float(self.limits.get(call.f_locals["self"], float("inf")))

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """In the main thread: raise StepTimeout if the stuck call is still running."""
        while frame is not None and frame is not self.stuck:
            frame = frame.f_back
        if frame is not None:
            assert self.stuck is not None
            raise StepTimeout(self._limit(self.stuck))

    def _end(self, call: FrameType) -> None:
        """End a process whose main thread cannot be interrupted."""
        environments, limit = call.f_locals["self"], self._limit(call)
        message = (
            f"{getattr(environments, 'name', 'an environment')} did not return from {call.f_code.co_name}() within"
            f" {limit:g} s, the limit of --step-timeout, and could not be interrupted"
        )
        with suppress(Exception):
            if self.last_words is not None:
                message = self.last_words(call, message)
        os.write(2, f"error: {message}\n".encode())
        os._exit(EnvironmentFault.code)


def _main() -> int:
    found = threading.main_thread().ident
    assert found is not None
    return found


def _signal() -> int:
    """The signal that interrupts the main thread: one that is rarely used otherwise."""
    return int(signal.SIGRTMIN) + 3 if hasattr(signal, "SIGRTMIN") else int(signal.SIGUSR2)


watchdog = Watchdog()
