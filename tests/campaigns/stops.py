"""Work in a process of its own, and the signal that stops it where or when a try says."""

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from rlgen import session
from rlgen.core.progress import Progress

LIMIT = 5.0  # seconds from the signal to the end of the process
LONGEST = 300.0  # seconds after which a process that nobody stops hangs
MARK = "RLGEN_STOPPED"  # environment variable by which processes left behind are found
METHODS = {"evaluating": "evaluate", "drawing": "draw", "scoring": "report"}


@dataclass
class Try:
    """One process and its stop: what is done, by which signal, where or when."""

    name: str  # of the case or of the command
    number: int = signal.SIGINT
    phase: str = ""  # of a training
    times: int = 1  # entries of the phase until the signal
    delay: float = 0.0  # seconds, from the entry of the phase or from the start
    slow: bool = False  # whether the phase lasts for minutes
    twice: bool = False  # whether a second signal follows

    def __str__(self) -> str:
        parts = [self.name, signal.Signals(self.number).name, *([f"{self.phase} {self.times}"] if self.phase else [])]
        more = [word for word, is_so in (("slow", self.slow), ("twice", self.twice)) if is_so]
        return ", ".join([*parts, f"after {self.delay:.4f} s", *more])


@dataclass
class Ended:
    """How a process ended."""

    code: int
    seconds: float  # from the signal to the end, 0 without one
    text: str  # on stdout and stderr
    left: list[str] = field(default_factory=list)  # processes


def run(work: Callable[[], object], folder: Path, tried: Try | None = None) -> Ended:
    """Do `work` in a process of its own with `folder` as its working directory, and stop it as `tried` says."""
    folder.mkdir(parents=True, exist_ok=True)
    announced, announce = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(announced)
        _child(work, folder, announce, tried)
    os.close(announce)
    sent = 0.0
    try:
        if tried is not None:
            if tried.phase:
                os.read(announced, 1)  # nothing where the process ends before
            time.sleep(tried.delay)
            sent = _send(child, tried.number)
            if tried.twice:
                time.sleep(0.6)
                sent = _send(child, signal.SIGINT)
        code, ended = _wait(child, LONGEST if tried is None else 10 * LIMIT)
    finally:
        os.close(announced)
    output = folder / "output.txt"
    text = output.read_text(errors="replace") if output.exists() else ""  # a process may end before it has made it
    return Ended(code, ended - sent if sent else 0.0, text, processes(child))


def _send(child: int, number: int) -> float:
    os.kill(child, number)
    return time.monotonic()


def _wait(child: int, limit: float) -> tuple[int, float]:
    """The exit code of a process, that of SIGKILL where it hangs, and when it ended."""
    began = time.monotonic()
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status), time.monotonic()
        if time.monotonic() - began > limit:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.005)


def _child(work: Callable[[], object], folder: Path, announce: int, tried: Try | None) -> None:
    """The whole life of a process."""
    code = 1
    try:
        os.setsid()
        os.environ[MARK] = str(os.getpid())
        output = os.open(folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
        os.chdir(folder)
        if tried is not None and tried.phase:
            _watch(tried, announce)
        work()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as the interpreter does at its end
        sys.stdout.flush()
        os._exit(code)


def _watch(tried: Try, announce: int) -> None:
    """Announce that this process enters a phase of a training, which then lasts for minutes where it is to be slow."""
    entered = 0

    def enter(phase: str) -> None:
        nonlocal entered
        entered += phase == tried.phase
        if phase == tried.phase and entered == tried.times:
            os.write(announce, b"!")
            if tried.twice:
                _last()

    class Watched(Progress):
        def __setattr__(self, name: str, value: Any) -> None:
            object.__setattr__(self, name, value)
            if name == "phase":
                enter(value)

    from rlgen.core import run as room

    room.Progress = Watched  # type: ignore[misc]
    if tried.slow:
        train = session.Session.train

        def slowly(self: session.Session, **words: Any) -> Any:
            method = METHODS[tried.phase]
            former = getattr(self.algorithm, method)

            def slow(*arguments: Any) -> Any:
                if entered >= tried.times:
                    _last()
                return former(*arguments)

            setattr(self.algorithm, method, slow)
            return train(self, **words)

        session.Session.train = slowly  # type: ignore[method-assign]


def _last() -> None:
    """Work of five minutes, unless it is stopped."""
    until = time.monotonic() + LONGEST
    while time.monotonic() < until:
        torch.rand(1_000).sum()


def processes(child: int) -> list[str]:
    """Processes that a process left behind: of its session, or with its mark in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            its_session = int((path / "stat").read_text().rpartition(")")[2].split()[3])
            marked = f"{MARK}={child}\0".encode() in (path / "environ").read_bytes()
            if its_session == child or marked:
                found.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return found
