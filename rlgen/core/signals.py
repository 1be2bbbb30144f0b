"""Ctrl-C and SIGTERM: the first stops at once what may be abandoned, other work where it is safe; the second, anything.

The default is that work may be abandoned: files are written by `replacing`, so that none is left half-written. What
must not be abandoned, such as a step of training, is within `held`, and what may be abandoned in there in `released`.
"""

import _thread
import math
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SOON = 0.005  # seconds until Stopped is raised again
IMPORT = 3.0  # seconds for which a stop waits for the end of an import
ECHO = 0.3  # seconds in which a repetition is the same signal: `timeout` sends it to a process and then to its group


class Stopped(KeyboardInterrupt):
    """A signal stops the work in hand; `again` where it is the second one."""

    def __init__(self, number: int, again: bool = False) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number, self.again = number, again


class TimeIsUp(BaseException):
    """Work within `limited` took too long."""


@dataclass
class _Signals:
    """What `handled` keeps."""

    received: int = 0  # number of the first signal
    since: float = 0.0  # seconds of the monotonic clock at the first signal
    held: bool = False  # whether the first signal waits
    lost: bool = False  # whether Stopped is to be raised a moment later: Python ignored it, or an import goes on


_present: _Signals | None = None  # within `handled`


@contextmanager
def handled() -> Iterator[None]:
    """Within it the first signal raises Stopped, after the end of `held`; the second raises it at once.

    Of nested ones the outermost counts. Outside the main thread, where Python allows no handlers, it does nothing.
    """
    global _present
    if _present is not None or not _in_main_thread():
        yield
        return
    _present = _Signals()
    former: dict[int, Any] = {number: signal.signal(number, _handle) for number in SIGNALS}
    hook, sys.unraisablehook = sys.unraisablehook, _ignored
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number, handler in former.items():
            signal.signal(number, handler)
        _present = None


@contextmanager
def held() -> Iterator[None]:
    """Within it the first signal waits: `check`, `released` and the end of `held` raise Stopped."""
    present = _own()
    if present is None:
        yield
        return
    before, present.held = present.held, True
    try:
        yield
    finally:
        present.held = before
    if not before:
        check()


@contextmanager
def released() -> Iterator[None]:
    """Work within `held` that may be abandoned: a signal raises Stopped at once, and so does one that waits."""
    present = _own()
    if present is None:
        yield
        return
    before = present.held
    try:
        present.held = False
        check()
        yield
    finally:
        present.held = before


def received() -> int:
    """The number of the first signal; 0 without one."""
    present = _own()
    return present.received if present else 0


def receive(number: int) -> None:
    """Take in a signal that another process of this training received, as the first one here."""
    present = _own()
    if present is not None and not present.received:
        present.received, present.since = number, time.monotonic()


def check() -> None:
    """Raise Stopped where a signal was received."""
    if number := received():
        raise Stopped(number)


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Work that is abandoned after so many seconds. Outside the main thread, and on Windows, it takes its time."""
    if math.isinf(seconds) or not hasattr(signal, "setitimer") or not _in_main_thread():
        yield
        return
    former = signal.signal(signal.SIGALRM, _time_is_up)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, left, interval)
    except TimeIsUp:
        pass
    finally:
        signal.signal(signal.SIGALRM, former)


def _handle(number: int, frame: FrameType | None) -> None:
    present = _present
    if present is None:
        return
    if not present.received:
        present.received, present.since = number, time.monotonic()
        _stop(present, frame)
    elif present.lost:
        present.lost = False
        _stop(present, frame)
    elif time.monotonic() - present.since >= ECHO:
        raise Stopped(number, again=True)


def _stop(present: _Signals, frame: FrameType | None) -> None:
    """Raise Stopped where the first signal does not wait: within `held`, or some seconds for the end of an import.

    Half a module would remain, so that what is done afterwards fails, and torch aborts the process.
    """
    if present.held:
        return
    if _importing(frame) and time.monotonic() - present.since < IMPORT:
        _soon(present)
    else:
        raise Stopped(present.received)


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _ignored(unraisable: Any) -> None:
    """Raise Stopped again where it came in a destructor or at the end of a generator, where Python ignores it."""
    if not isinstance(unraisable.exc_value, Stopped) or _present is None:
        sys.__unraisablehook__(unraisable)
        return
    _soon(_present)


def _soon(present: _Signals) -> None:
    """Look a moment later whether Stopped can be raised."""
    present.lost = True
    again = threading.Timer(SOON, _interrupt_main_thread)
    again.daemon = True
    again.start()


def _interrupt_main_thread() -> None:
    """Send SIGINT to the main thread, where it ends a sleep or another wait of the system as well."""
    if hasattr(signal, "pthread_kill") and (main := threading.main_thread().ident):
        signal.pthread_kill(main, signal.SIGINT)
    else:
        _thread.interrupt_main()


def _time_is_up(number: int, frame: FrameType | None) -> None:
    """Raise TimeIsUp, after the end of an import: half a module would remain, and be used afterwards."""
    if _importing(frame):
        signal.setitimer(signal.ITIMER_REAL, SOON)
    else:
        raise TimeIsUp


def _own() -> _Signals | None:
    """What concerns this thread."""
    return _present if _in_main_thread() else None


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
