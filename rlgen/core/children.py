"""Processes that train on behalf of this one: they take their share of the cores, and end with this process."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from rlgen.core import cores

SAVING = 60.0  # seconds for the checkpoints of processes that are stopped


def start(module: str, words: Sequence[str], workers: int, log: Path) -> "subprocess.Popen[bytes]":
    """`python -m module words`, one of so many `workers`; what it prints is written to `log`.

    The module calls `end_with_parent`. Ctrl-C in the terminal is that of this process alone, which calls `stop`.
    """
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", module, *words],
            stdin=subprocess.PIPE,  # its end is that of this process
            stdout=file,
            stderr=file,
            env=cores.environment(workers),
            start_new_session=True,
        )


def stop(processes: "Iterable[subprocess.Popen[bytes]]") -> None:
    """End the processes, once they have saved their runs; at once where this is interrupted by a second signal."""
    left = list(processes)
    try:
        for process in left:
            process.terminate()
        deadline = time.monotonic() + SAVING
        for process in left:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
    finally:
        for process in left:
            if process.poll() is None:
                process.kill()
            close(process)


def close(process: "subprocess.Popen[bytes]") -> int:
    """The exit code of a process that ends, negative for the signal that killed it."""
    with process:  # closes its stdin
        return process.wait()


def last_line(log: Path) -> str:
    """The last line that a process has printed: the message of its error. Empty without any."""
    with suppress(OSError):
        lines = log.read_bytes().decode(errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "")
    return ""


def end_with_parent() -> None:
    """From here on this process is stopped, as by SIGTERM, when the one that started it ends, kill -9 included."""
    threading.Thread(target=_wait_for_end, daemon=True).start()


def _wait_for_end() -> None:
    while os.read(0, 1):  # not by sys.stdin, whose lock a thread may not hold at the end of the interpreter
        pass
    os.kill(os.getpid(), signal.SIGTERM)
