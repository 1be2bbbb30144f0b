"""Processes forked from one that has imported rlgen, which are killed at a chosen point of their work.

A point is an operation on a file below a folder (`opened`, `write`, `torn`, `rename`, ...) or the beginning of a phase
of the training. Training is deterministic, so the points of a run that is not killed are those of every run of it.
"""

import builtins
import importlib
import io
import json
import os
import re
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from rlgen.core import progress
from rlgen.core.progress import Progress

LOG = "log.txt"  # written by the clock, from the thread of a display
OPERATIONS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink")
PACKAGES = ("rlgen.", "gymnasium.", "matplotlib.", "scipy.", "sklearn.", "rich.", "PIL.", "torch.", "pydantic.")
LIMIT = 1200.0  # seconds after which a process hangs, on a busy machine as well


class Point(NamedTuple):
    """An operation on a file or the beginning of a phase, in the order in which they happen."""

    phase: str  # of the training, `preparing` before
    event: str  # name of the operation, or `phase`
    file: str  # path below the folder with # for numbers; empty for a phase
    seconds: float  # since the start of the process

    @property
    def label(self) -> str:
        """What points at different times have in common."""
        return " ".join(filter(None, (self.phase, self.event, self.file)))


@dataclass
class Ended:
    """How a process ended."""

    code: int  # exit code; negative: the signal that ended it
    points: list[Point]
    errors: str
    modules: list[str] = field(default_factory=list)  # that it imported


class Watch:
    """Counts the points of this process below a folder; at the point `fatal` the process ends by SIGKILL.

    With `torn` the file opened there is written to by half before. With `announce`, a descriptor, the process is not
    ended: a byte is written there for the process that will end it.
    """

    def __init__(self, folder: Path, fatal: int = -1, torn: bool = False, announce: int = -1) -> None:
        self.folder, self.fatal, self.torn, self.announce = f"{folder}{os.sep}", fatal, torn, announce
        self.phase, self.points, self.started = "preparing", list[Point](), time.perf_counter()

    def start(self) -> None:
        """Watch from now on, to the end of the process."""
        self.open, self.sync, self.write = io.open, os.fsync, os.write
        io.open = builtins.open = self._open  # type: ignore[assignment]
        os.fsync = self._sync
        os.write = self._write  # type: ignore[assignment]
        sys.addaudithook(self._audit)
        watch = self

        class Watched(Progress):
            def __setattr__(self, name: str, value: Any) -> None:
                object.__setattr__(self, name, value)
                if name == "phase":
                    watch.enter(value)

        from rlgen.core import run

        progress.Progress = run.Progress = Watched  # type: ignore[attr-defined,misc]

    def enter(self, phase: str) -> None:
        """The beginning of a phase; the first training is the warm-up of an agent."""
        first = phase == "training" and "training" not in {point.phase for point in self.points}
        phase = "warm-up" if phase == "training" and (first or self.phase == "warm-up") else phase
        if phase != self.phase:
            self.phase = phase
            self._point("phase")

    def _point(self, event: str, path: object = "") -> bool:
        """Count a point; whether the file opened there is to be torn."""
        file = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
        if event != "phase":
            if not file.startswith(self.folder) or file.endswith(LOG):
                return False
            file = re.sub(r"-[0-9a-f]{8}(?=/|$)|\d+", "#", file.removeprefix(self.folder))
        number = len(self.points)
        self.points.append(Point(self.phase, event, file, time.perf_counter() - self.started))
        if number != self.fatal:
            return False
        if self.announce >= 0:
            self.write(self.announce, b"!")
        elif self.torn and event == "opened":
            return True
        else:
            os.kill(os.getpid(), signal.SIGKILL)
        return False

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in OPERATIONS:
            folder = arguments[-1] if event in ("os.remove", "os.rmdir", "os.mkdir") else -1
            path = os.fsdecode(arguments[1] if event == "os.rename" else arguments[0])
            if isinstance(folder, int) and folder >= 0:
                path = f"{_path(folder)}/{path}"
            self._point(event.removeprefix("os."), path)

    def _open(self, file: Any, mode: str = "r", *more: Any, **words: Any) -> Any:
        if not isinstance(file, str | bytes | os.PathLike) or not set(mode) & set("wax+"):
            if isinstance(file, int) and set(mode) & set("wax"):
                path = _path(file)
                if self._point("opened", path):
                    return self._torn(file, mode)
            return self.open(file, mode, *more, **words)
        self._point("open", file)
        if self._point("opened", file):
            return self._torn(file, mode)
        return self.open(file, mode, *more, **words)

    def _torn(self, file: Any, mode: str) -> Any:
        raw = io.BufferedWriter(Torn(file, mode.replace("b", "").replace("t", "").replace("+", "")))
        return raw if "b" in mode else io.TextIOWrapper(raw, "utf-8")

    def _sync(self, descriptor: int) -> None:
        self._point("sync", _path(descriptor))
        self.sync(descriptor)

    def _write(self, descriptor: int, data: bytes) -> int:
        path = _path(descriptor)
        if len(self.points) == self.fatal and self.torn and path.startswith(self.folder):
            self.write(descriptor, data[: len(data) // 2])
        self._point("write", path)
        return self.write(descriptor, data)


class Torn(io.FileIO):
    """A file whose first write is cut off in the middle by the end of the process."""

    def write(self, data: Any) -> int:
        """Never returns."""
        super().write(memoryview(data)[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def run(work: Callable[[], object], watch: Watch, delay: float | None = None) -> Ended:
    """Do `work` in a process of its own; with a `delay` in seconds it is killed so long after the fatal point.

    Raises TimeoutError for a process that hangs.
    """
    announced, announce = os.pipe()
    said, say = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(announced)
        os.close(said)
        _child(work, watch, say, announce if delay is not None else -1)
    os.close(announce)
    os.close(say)
    parts: list[bytes] = []
    told = hangs = False
    until, open_ends = time.monotonic() + LIMIT, {announced, said}
    while open_ends:
        ready, _, _ = select.select(open_ends, [], [], max(0.0, until - time.monotonic()))
        if not ready:
            os.kill(child, signal.SIGKILL)
            hangs, until = not told, time.monotonic() + LIMIT
        for end in ready:
            data = os.read(end, 1 << 16)
            if not data:
                open_ends.remove(end)
            elif end == said:
                parts.append(data)
            else:
                told, until = True, time.monotonic() + (delay or 0.0)
    for end in (announced, said):
        os.close(end)
    _, status = os.waitpid(child, 0)
    if hangs:
        raise TimeoutError(f"hangs for {LIMIT:g} s")
    points, errors, modules = json.loads(b"".join(parts) or b'[[], "", []]')
    return Ended(os.waitstatus_to_exitcode(status), [Point(*point) for point in points], errors, modules)


def _path(descriptor: int) -> str:
    """The path of an open file."""
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def imported(modules: list[str]) -> None:
    """Import what a process imported, so that the next ones need not."""
    for name in modules:
        if name not in sys.modules and name.startswith(PACKAGES):
            importlib.import_module(name)


def _child(work: Callable[[], object], watch: Watch, say: int, announce: int) -> None:
    """The whole life of a process: its points and errors go to a pipe."""
    code, errors = 0, ""
    watch.announce = announce
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        watch.start()
        work()
    except BaseException:
        code, errors = 1, traceback.format_exc()
    watch.fatal = -1
    with os.fdopen(say, "w") as file:
        json.dump([watch.points, errors, list(sys.modules)], file)
    os._exit(code)
