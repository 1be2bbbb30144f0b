"""Workers as processes side by side: started, watched, replaced where one dies, and stopped together."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

from rlgen.core import children, signals
from rlgen.core.errors import Interrupted, UserError
from rlgen.core.signals import Stopped
from rlgen.sweep import trials
from rlgen.sweep.study import Study

LOGS = "workers"  # folder of a study: what its workers print
POLL = 0.2  # seconds
DEATHS = 3  # of processes at one run without a checkpoint between them, which make it a failed one
INTERRUPTED = (130, 143)  # exit codes


def work(study: Study, workers: int, trust: bool, tick: Callable[[], object]) -> None:
    """Train what is left of a study with so many processes; `tick` is called several times a second.

    Raises Interrupted after Ctrl-C, once all have saved their runs, and the error of a worker that cannot go on.
    """
    (study.folder / LOGS).mkdir(exist_ok=True)
    running = {number: _start(study, number, workers, trust) for number in range(1, workers + 1)}
    try:
        with _stoppable(study):
            while running:
                time.sleep(POLL)
                tick()
                for number, process in list(running.items()):
                    if (code := process.poll()) is None:
                        continue
                    children.close(running.pop(number))
                    if code and _may_continue(study, number, process.pid, code):
                        running[number] = _start(study, number, workers, trust)
    finally:
        children.stop(running.values())


def _start(study: Study, number: int, workers: int, trust: bool) -> "Popen[bytes]":
    words = [str(study.folder), *(["--trust"] if trust else [])]
    return children.start("rlgen.sweep.worker", words, workers, _log(study, number))


def _may_continue(study: Study, number: int, pid: int, code: int) -> bool:
    """Whether a worker that has ended is to be replaced. Raises the error of one that was refused."""
    if code in INTERRUPTED:  # by somebody else
        raise Interrupted(code - 128, f"a worker was stopped: `rlgen sweep --join {study.folder}` continues")
    last = children.last_line(_log(study, number))
    if 1 < code < 128:
        error = UserError(last.removeprefix("error: "))
        error.code = code
        raise error
    how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
    with study.locked():
        run = next((run for run in trials.runs(study.folder) if run.info.get("pid") == pid), None)
        if run is None:
            raise UserError(f"a worker died {how} before it began: {last or 'it printed nothing'}")
        if run.state == "running":
            _note_death(run, how)
    return True


def _note_death(run: trials.Run, how: str) -> None:
    """Count the death of a process at a run; the run is a failed one after several at the same checkpoint."""
    at = run.info.get("time", 0)
    deaths = 1 + (run.kept.get("deaths", 0) if run.kept.get("died_at") == at else 0)
    failed = {"state": "failed", "reason": f"its process died {deaths} times {how}, at {at:,}"}
    trials.keep(run.folder, deaths=deaths, died_at=at, **(failed if deaths >= DEATHS else {}))


@contextmanager
def _stoppable(study: Study) -> Iterator[None]:
    try:
        with signals.handled():
            yield
    except Stopped as stopped:
        raise Interrupted(stopped.number, f"stopped: `rlgen sweep --join {study.folder}` continues") from None


def _log(study: Study, number: int) -> Path:
    return study.folder / LOGS / f"{number}.txt"
