"""The training loop of all algorithms."""

import logging
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from rlgen.core import divergence
from rlgen.core.algorithm import Algorithm
from rlgen.core.errors import Diverged, Interrupted
from rlgen.core.run import Run
from rlgen.core.settings import Plan

log = logging.getLogger("rlgen")


def fit(algorithm: Algorithm, run: Run, plan: Plan) -> None:
    """Train until the time of `algorithm` reaches `plan.budget`, or an evaluation scores `plan.stop_at`.

    Also ended by `plan.patience` evaluations without a better score, and by an algorithm that is `finished`: at a
    minimum of its loss. After each evaluation with a score `algorithm.scored`, if there is one, receives it.

    The result depends on the checkpoint and the plan alone, so a run that was stopped and resumed has the same metrics
    and weights as an uninterrupted one. Raises Interrupted after Ctrl-C or SIGTERM, once a checkpoint is saved.
    Raises Diverged where a number of the training is not finite, once its batch is kept; with `plan.on_divergence`
    "rollback" the last checkpoint continues at a lower learning rate instead, `divergence.ROLLBACKS` times at most.
    """
    rollbacks = 0
    while True:
        try:
            return _train(algorithm, run, plan, rollbacks)
        except Diverged as error:
            kept = divergence.record(run.directory, algorithm, error, run.rollbacks)
            if plan.on_divergence == "stop" or run.rollbacks == divergence.ROLLBACKS:
                raise Diverged(divergence.explained(error, algorithm, run.directory, run.rollbacks, kept)) from None
            rollbacks = run.rollbacks + 1
            divergence.discard_after(run.directory / "checkpoints", run.planned)
            run.describe(rollbacks=rollbacks)
            log.warning(divergence.announced(error, rollbacks))


def _train(algorithm: Algorithm, run: Run, plan: Plan, rollbacks: int) -> None:
    """Train from the newest checkpoint, after so many rollbacks, to the end of the plan."""
    run.resume(algorithm)
    run.rollbacks = max(run.rollbacks, rollbacks)
    divergence.lower_rates(algorithm, run.rollbacks)
    progress = run.progress
    progress.time = algorithm.time
    ended = algorithm.time >= plan.budget or _solved(run, plan) or _finished(algorithm)
    with Signals() as signals:
        if not algorithm.time and not ended:  # curves and pictures begin with the untrained algorithm
            if plan.on_divergence == "rollback":  # the first checkpoint to return to
                _save(run, algorithm, planned=True)
            progress.phase = "evaluating"
            run.record(0, algorithm.evaluate())
            if plan.portraits:
                run.portray(algorithm)
            progress.phase = "drawing"
            run.draw(0, algorithm.draw())
        while not ended:
            last = algorithm.time
            progress.phase = "training"
            progress.metrics = metrics = algorithm.step()
            run.collect(metrics)
            progress.time = now = algorithm.time
            ended = now >= plan.budget or _finished(algorithm)
            if ended or _crossed(plan.log_every, last, now):
                run.flush(now)
            if ended or _crossed(plan.eval_every, last, now):
                progress.phase = "evaluating"
                run.record(now, algorithm.evaluate(), algorithm.score)
                if algorithm.score is not None and hasattr(algorithm, "scored"):
                    algorithm.scored(run.score)
                if plan.portraits:
                    run.portray(algorithm)
                ended = ended or _solved(run, plan)
                progress.phase = "drawing"
                run.draw(now, algorithm.draw())
            stop = signals.received  # a signal after this line takes effect after the next step
            planned = _crossed(plan.save_every, last, now) or run.best_time == now
            if ended or stop or planned:
                progress.phase = "saving"
                _save(run, algorithm, planned, last=bool(ended or stop))
            if stop and not ended:
                raise Interrupted(stop, f"stopped at {now:,}, saved: `rlgen resume {run.directory}` continues")


def _save(run: Run, algorithm: Algorithm, planned: bool, last: bool = False) -> None:
    """Write a checkpoint; a `planned` one is not due to a stop, so an uninterrupted run rolls back to it as well."""
    before = run.planned
    try:
        run.planned = algorithm.time if planned else before
        run.save(algorithm, last)
    except Diverged:
        run.planned = before
        raise


def ended_early(run: Run, plan: Plan) -> str:
    """Why a training ended before its budget."""
    if run.score is not None and run.score >= plan.stop_at:
        return f"solved: an evaluation scored {run.score:,.1f}"
    if plan.patience and run.best is not None and run.waited >= plan.patience:
        return f"ended by {run.waited} evaluations without a better score than {run.best:.4g}, at {run.best_time:,}"
    return "at a minimum of the loss"


class Signals:
    """Handlers of Ctrl-C and SIGTERM: the first sets `received`, the second raises Interrupted at once."""

    received = 0  # number of the first signal

    def __enter__(self) -> Self:
        self._previous: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():  # Python allows handlers in the main thread only
            self._previous = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            raise Interrupted(
                number, "stopped at once: the last checkpoint is intact, `rlgen resume` continues from it", saved=False
            )
        self.received = number


def _crossed(period: int, last: int, now: int) -> bool:
    """Whether a multiple of `period` lies in (last, now]."""
    return now // period > last // period


def _solved(run: Run, plan: Plan) -> bool:
    """Whether a score ends the training: a high one, or the last of many that are no better than an earlier one."""
    if run.score is not None and run.score >= plan.stop_at:
        return True
    return plan.patience > 0 and run.waited >= plan.patience


def _finished(algorithm: Algorithm) -> bool:
    """Whether further steps change nothing: L-BFGS at its minimum."""
    return bool(getattr(algorithm, "finished", False))
