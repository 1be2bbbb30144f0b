"""Command lines in forked processes with limits: what they print, how long they take, and how much memory."""

import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ADDRESSES = 6 << 30  # bytes of addresses beyond those of this process; more ends in exit code 6
POLL = 0.005  # seconds


@dataclass(frozen=True)
class Ended:
    """A command line that ended, or was ended."""

    code: int  # exit code; negative: the signal that ended it
    out: str
    err: str
    seconds: float  # of the processor
    waited: float  # seconds by the clock
    memory: int  # bytes beyond those of this process when it was forked
    late: bool = False  # whether it was ended because it took too long


def run(words: list[str], folder: Path, limit: float, environment: Mapping[str, str] | None = None) -> Ended:
    """`rlgen words` within `folder`, ended after `limit` seconds by the clock."""
    out, err = folder / "stdout", folder / "stderr"
    before, began = _resident(), time.monotonic()
    if (process := os.fork()) == 0:
        _child(words, folder, out, err, environment or {})
    late = False
    while True:
        ended, status, usage = os.wait4(process, os.WNOHANG)
        if ended:
            break
        if not late and time.monotonic() - began > limit:
            late = True
            os.killpg(process, signal.SIGKILL)
        time.sleep(POLL)
    texts = [path.read_bytes().decode(errors="replace") if path.exists() else "" for path in (out, err)]
    for path in (out, err):
        path.unlink(missing_ok=True)
    code = os.waitstatus_to_exitcode(status)
    waited = time.monotonic() - began
    memory = max(0, usage.ru_maxrss * 1024 - before)
    return Ended(code, *texts, usage.ru_utime + usage.ru_stime, waited, memory, late)


def _child(words: list[str], folder: Path, out: Path, err: Path, environment: Mapping[str, str]) -> None:
    """Replace this process by a command line; never returns."""
    code = 99
    try:
        os.setpgid(0, 0)
        os.chdir(folder)
        os.environ.update({"COLUMNS": "120", "RLGEN_OFFLINE": "1", **environment})
        for descriptor, path in ((1, out), (2, err)):
            target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(target, descriptor)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
        size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (size + ADDRESSES, size + ADDRESSES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        code = page(words[1]) if words[0] == "page" else command(words)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def command(words: list[str]) -> int:
    """The exit code of a command line in this process."""
    if words[0] == "complete":
        from rlgen.completion import main as complete

        os.environ["RLGEN_COMPLETE"] = "bash"
        sys.argv = ["rlgen", *words[1:]]
        complete()
        return 0
    from rlgen.cli.main import main

    sys.argv = ["rlgen", *words]
    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))


def page(name: str) -> int:
    """Everything that the page of `rlgen ui` reads of the runs in `runs`; 2 where it refuses the run `name`."""
    from rlgen.core.errors import UserError
    from rlgen.ui import logs
    from rlgen.ui.runs import Runs

    runs = Runs(Path("runs"))
    json.dumps(runs.summaries(), allow_nan=False)
    try:
        found = runs.details(name)
        json.dumps(found, allow_nan=False)
        for log in ("metrics.jsonl", "timing.jsonl"):
            logs.names(runs.root, runs.directory(name) / log)
        for picture, times in found["pictures"].items():
            for at in times or [""]:
                runs.picture(name, picture, str(at)).stat()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.code
    return 0


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
