"""The runs of a file in processes side by side: each an ordinary command, all of them stopped together."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryDirectory

from rlgen.core import children, signals
from rlgen.core.errors import Interrupted
from rlgen.core.signals import Stopped
from rlgen.queue.job import Job

WORKER = "rlgen.queue.worker"
POLL = 0.2  # seconds


def train(jobs: Sequence[Job], workers: int, again: str, tick: Callable[[Job | None], object]) -> None:
    """Train what is left of `jobs` in their order, so many at a time; one that fails leaves the others alone.

    `tick` is called several times a second, and with each job that has ended. Raises Interrupted after Ctrl-C, once all
    have saved their runs; its message names the command `again`, which continues.
    """
    waiting = deque(job for job in jobs if job.left)
    running: dict[Popen[bytes], tuple[Job, Path]] = {}
    with TemporaryDirectory(prefix="rlgen-") as folder:
        try:
            with signals.handled(), signals.held():
                while waiting or running:
                    while waiting and len(running) < workers:
                        job = waiting.popleft()
                        log = Path(folder) / f"{len(waiting)}.txt"
                        running[children.start(WORKER, [*job.words, "--quiet"], workers, log)] = job, log
                        job.started = True
                    with signals.released():
                        time.sleep(POLL)
                        tick(None)
                    for process in [process for process in running if process.poll() is not None]:
                        job, log = running.pop(process)
                        _end(process, job, log)
                        tick(job)
        except Stopped as stopped:
            raise Interrupted(stopped.number, f"stopped: `{again}` continues", not stopped.again) from None
        finally:
            children.stop(running)
            for process, (job, log) in running.items():
                _end(process, job, log)


def _end(process: "Popen[bytes]", job: Job, log: Path) -> None:
    job.end(children.close(process), children.last_line(log))
