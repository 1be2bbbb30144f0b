"""The training loop of all algorithms."""

import copy
import logging
import time as clock
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from rlgen.core import divergence, followers, processes, signals
from rlgen.core.algorithm import Algorithm, StepMetrics
from rlgen.core.errors import Diverged, Interrupted
from rlgen.core.run import Run
from rlgen.core.settings import Plan
from rlgen.core.signals import Stopped

EVALUATION, PICTURES = "evaluation", "pictures"  # what is due
SLOW = 0.5  # seconds of a step from which on the next one can be abandoned, at the price of a copy of the state
log = logging.getLogger("rlgen")


def fit(algorithm: Algorithm, run: Run, plan: Plan) -> None:
    """Train until the time of `algorithm` reaches `plan.budget`, or an evaluation scores `plan.stop_at`.

    Also ended by `plan.patience` evaluations without a better score, and by an algorithm that is `finished`: at a
    minimum of its loss. After each evaluation with a score `algorithm.scored`, if there is one, receives it.

    The result depends on the checkpoint and the plan alone, so a run that was stopped and resumed has the same metrics
    and weights as an uninterrupted one. Raises Interrupted after Ctrl-C or SIGTERM, once a checkpoint is saved: a step
    is completed first, an evaluation and its pictures are abandoned, and repeated by the resumed run.
    Raises Diverged where a number of the training is not finite, once its batch is kept; with `plan.on_divergence`
    "rollback" the last checkpoint continues at a lower learning rate instead, `divergence.ROLLBACKS` times at most.
    """
    try:
        with signals.handled(), signals.held(), followers.leading(run, algorithm):
            _fit(algorithm, run, plan)
    except Stopped as stopped:
        how = "at once: the last checkpoint is intact" if stopped.again else f"while {run.progress.phase}"
        message = f"stopped {how}; `rlgen resume {run.directory}` continues"
        raise Interrupted(stopped.number, message, saved=not stopped.again) from None


def _fit(algorithm: Algorithm, run: Run, plan: Plan) -> None:
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
    with signals.released():
        run.resume(algorithm)
    run.rollbacks = max(run.rollbacks, rollbacks)
    divergence.lower_rates(algorithm, run.rollbacks)
    followers.share_state(algorithm, run.rollbacks)
    progress, slow = run.progress, True
    progress.time = last = now = algorithm.time
    ended = now >= plan.budget or _solved(run, plan) or _finished(algorithm)
    if run.due is None:  # not begun, or not known of the checkpoint of an earlier version
        run.due = "" if now or ended else EVALUATION  # curves and pictures begin with the untrained algorithm
        if run.due and plan.on_divergence == "rollback":  # the first checkpoint to return to
            _save(run, algorithm, planned=True)
    try:
        while run.due or not ended:
            if not run.due:
                progress.phase = "training"
                began = clock.perf_counter()
                progress.metrics = metrics = _abandonable_step(algorithm) if slow else algorithm.step()
                slow = clock.perf_counter() - began > SLOW
                run.collect(metrics)
                last, now = now, algorithm.time
                progress.time = now
                ended = now >= plan.budget or _finished(algorithm)
                if ended or _crossed(plan.log_every, last, now):
                    run.flush(now)
                if ended or _crossed(plan.eval_every, last, now):
                    run.due = EVALUATION
                signals.check()
            if run.due:
                _evaluate(algorithm, run, plan)
                ended = ended or _solved(run, plan)
            planned = _crossed(plan.save_every, last, now) or run.best_time == now
            if ended or planned:
                progress.phase = "saving"
                _save(run, algorithm, planned, last=ended)
            signals.check()
    except Stopped as stopped:
        if stopped.again:
            raise
        progress.phase = "saving"
        _save(run, algorithm, planned=_crossed(plan.save_every, last, now), last=True)
        message = f"stopped at {now:,}, saved: `rlgen resume {run.directory}` continues"
        raise Interrupted(stopped.number, message) from None


def _evaluate(algorithm: Algorithm, run: Run, plan: Plan) -> None:
    """The evaluation and the pictures that are due. Raises Stopped, with `run.due` for what a resumed run repeats."""
    now, progress = algorithm.time, run.progress
    if run.due == EVALUATION:
        progress.phase = "evaluating"
        with _abandonable():
            metrics = algorithm.evaluate()
        run.record(now, metrics, algorithm.score if now else None)
        if now and algorithm.score is not None and hasattr(algorithm, "scored"):
            algorithm.scored(run.score)
            followers.share_state(algorithm, run.rollbacks)
        if plan.portraits:
            run.portray(algorithm)
        run.due = PICTURES
    progress.phase = "drawing"
    with _abandonable():
        run.draw(now, algorithm.draw())
    run.due = ""


def _save(run: Run, algorithm: Algorithm, planned: bool, last: bool = False) -> None:
    """Write a checkpoint; a `planned` one is not due to a stop, so an uninterrupted run rolls back to it as well."""
    before = run.planned
    try:
        run.planned = algorithm.time if planned else before
        run.save(algorithm, last)
    except Diverged:
        run.planned = before
        raise


def _abandonable_step(algorithm: Algorithm) -> StepMetrics:
    """A step that a signal ends at once, if `algorithm.restartable`: then the state is the one before the step.

    A step of several processes is completed: the others are within it.
    """
    if not getattr(algorithm, "restartable", False) or processes.joined():
        return algorithm.step()
    before = copy.deepcopy(algorithm.state_dict())
    try:
        with _abandonable():
            return algorithm.step()
    except Stopped:
        algorithm.load_state_dict(before)
        raise


@contextmanager
def _abandonable() -> Iterator[None]:
    """What a signal ends at once; torch's random stream and its recording of gradients are then as before."""
    stream, recording = torch.get_rng_state(), torch.is_grad_enabled()
    try:
        with signals.released():
            yield
    except Stopped:
        torch.set_rng_state(stream)
        torch.set_grad_enabled(recording)
        raise


def ended_early(run: Run, plan: Plan) -> str:
    """Why a training ended before its budget."""
    if run.score is not None and run.score >= plan.stop_at:
        return f"solved: an evaluation scored {run.score:,.1f}"
    if plan.patience and run.best is not None and run.waited >= plan.patience:
        return f"ended by {run.waited} evaluations without a better score than {run.best:.4g}, at {run.best_time:,}"
    return "at a minimum of the loss"


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
