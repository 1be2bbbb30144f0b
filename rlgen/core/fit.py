"""The one training loop."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from rlgen.core.algorithm import Algorithm
from rlgen.core.errors import Interrupted
from rlgen.core.run import Run
from rlgen.core.settings import Plan


def fit(algorithm: Algorithm, run: Run, plan: Plan) -> None:
    """Ask `algorithm` for steps until its time reaches the budget, or an evaluation `plan.stop_at`.

    Everything that happens depends only on (checkpoint, plan), so a run that was
    stopped and resumed writes the same metrics and weights as one that never stopped.
    Raises Interrupted once a first Ctrl-C or SIGTERM has been answered with a checkpoint.
    """
    run.resume(algorithm)
    progress = run.progress
    progress.time = algorithm.time
    ended = algorithm.time >= plan.budget or _solved(run, plan)
    with Signals() as signals:
        while not ended:
            last = algorithm.time
            progress.phase = "training"
            progress.metrics = metrics = algorithm.step()
            run.collect(metrics)
            progress.time = now = algorithm.time
            ended = now >= plan.budget
            if ended or _crossed(plan.log_every, last, now):
                run.flush(now)
            if ended or _crossed(plan.eval_every, last, now):
                progress.phase = "evaluating"
                run.record(now, algorithm.evaluate(), algorithm.score)
                ended = ended or _solved(run, plan)
            stop = signals.received  # one that comes from here on is answered after the next step
            if ended or stop or _crossed(plan.save_every, last, now) or run.best_time == now:
                progress.phase = "saving"
                run.save(algorithm, last=bool(ended or stop))
            if stop and not ended:
                raise Interrupted(stop, f"stopped at {now:,}, saved: `rlgen resume {run.directory}` goes on")


class Signals:
    """Ctrl-C and SIGTERM: the first is noted in `received`, a second one raises Interrupted at once."""

    received = 0

    def __enter__(self) -> Self:
        self._previous: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():  # elsewhere Python takes no handlers
            self._previous = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            raise Interrupted(number, "stopped at once; the last checkpoint is intact", saved=False)
        self.received = number


def _crossed(period: int, last: int, now: int) -> bool:
    """Whether a multiple of `period` lies in (last, now]."""
    return now // period > last // period


def _solved(run: Run, plan: Plan) -> bool:
    return run.score is not None and run.score >= plan.stop_at
