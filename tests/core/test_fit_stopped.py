import signal
import threading
from typing import ClassVar

import pytest
import torch

from rlgen.core import signals
from rlgen.core.errors import Interrupted
from rlgen.core.fit import fit
from rlgen.core.run import Run
from rlgen.core.seeds import torch_stream
from rlgen.core.settings import Plan
from rlgen.core.state import Stateful
from tests.core.recorded import Recorded, raise_


@pytest.fixture
def recorded(tmp_path):
    return Recorded.create(tmp_path, "walk")


PLAN = Plan(budget=100, log_every=10, eval_every=25, save_every=30)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("time", [1, 47, 50, 60])
def test_the_first_signal_saves_a_checkpoint(recorded, walk, number, code, time):
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    algorithm = walk(at={time: lambda: signal.raise_signal(number)})
    with pytest.raises(Interrupted, match=rf"stopped at {time}, saved: `rlgen resume .*walk-1` continues") as caught:
        fit(algorithm, recorded, PLAN)
    assert caught.value.code == code
    assert (algorithm.time, algorithm.steps) == (time, time)  # the step is complete, and no other began
    assert recorded.events[-1] == ("last", time)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers

    resumed = walk()
    fit(resumed, Run(recorded.directory), PLAN)
    straight = Run.create(recorded.directory.parent, "straight")
    fit(algorithm := walk(), straight, PLAN)
    assert torch.equal(resumed.weights, algorithm.weights)
    assert (recorded.directory / "metrics.jsonl").read_text() == (straight.directory / "metrics.jsonl").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_stops_at_once(recorded, walk, number, monkeypatch):
    monkeypatch.setattr(signals, "ECHO", 0.0)
    handlers, after = (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)), []

    def insist():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(number)
        after.append("reached")

    with pytest.raises(Interrupted, match="stopped at once") as caught:
        fit(walk(at={40: insist}), recorded, PLAN)
    assert caught.value.code == 128 + number
    assert after == []
    assert recorded.events[-1] == ("step", 39)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    fit(resumed := walk(), Run(recorded.directory), PLAN)
    assert resumed.steps == 70  # from the checkpoint at 30


def stopping(call, when=lambda algorithm: True):
    """Wraps a method so that it is stopped in the middle, the first time that the condition holds."""

    def stopped(algorithm):
        if when(algorithm) and not vars(algorithm).setdefault("was_stopped", False):
            algorithm.was_stopped = True
            torch.rand(5)  # drawn in the part that is abandoned
            signal.raise_signal(signal.SIGTERM)
        return call(algorithm)

    return stopped


def drawing(walk):
    """A class of algorithms whose pictures have numbers of the global random stream."""

    class Drawing(walk):
        drawn: ClassVar = []

        def step(self):
            self.weights += torch.rand(4)  # of the global stream
            return super().step()

        def evaluate(self):
            torch.rand(3)
            return super().evaluate()

        def draw(self):
            torch.rand(3)
            self.drawn.append((self.time, self.weights.sum().item()))
            return {}

    return Drawing


@pytest.mark.parametrize("method", ["evaluate", "draw"])
@pytest.mark.parametrize("time", [0, 25, 100])
def test_an_abandoned_evaluation_is_repeated_by_the_resumed_run(recorded, walk, monkeypatch, method, time):
    kind = drawing(walk)
    straight = Run.create(recorded.directory.parent, "straight")
    torch.manual_seed(0)
    fit(expected := kind(), straight, PLAN)
    monkeypatch.setattr(kind, method, stopping(getattr(kind, method), lambda algorithm: algorithm.time == time))
    torch.manual_seed(0)
    with pytest.raises(Interrupted, match=rf"stopped at {time}, saved"):
        fit(kind(), recorded, PLAN)
    monkeypatch.undo()
    kind.drawn.clear()
    again = Run(recorded.directory)
    fit(resumed := kind(), again, PLAN)
    assert torch.equal(resumed.weights, expected.weights)
    assert kind.drawn[0][0] == time
    assert (again.score, again.best, again.best_time, again.waited) == (
        straight.score, straight.best, straight.best_time, straight.waited,
    )  # fmt: skip
    assert again.portraits == straight.portraits
    assert again.rows() == straight.rows()
    rows = again.rows()
    fit(kind(), Run(recorded.directory), PLAN)  # killed after its evaluation, before a checkpoint
    assert again.rows() == rows


def test_a_killed_run_does_not_log_a_repeated_evaluation_twice(recorded, walk, monkeypatch):
    monkeypatch.setattr(walk, "evaluate", stopping(walk.evaluate, lambda algorithm: algorithm.time == 25))
    with pytest.raises(Interrupted):
        fit(walk(), recorded, PLAN)
    monkeypatch.undo()
    with pytest.raises(ZeroDivisionError):
        fit(walk(at={26: raise_(ZeroDivisionError)}), Run(recorded.directory), PLAN)
    fit(walk(), Run(recorded.directory), PLAN)
    assert [row["time"] for row in recorded.rows() if "eval_score" in row] == [0, 25, 50, 75, 100]


def test_a_signal_in_a_checkpoint_takes_effect_after_it(recorded, walk, monkeypatch):
    save = Recorded.save

    def interrupted(run, algorithm, last=False):
        save(run, algorithm, last)
        if algorithm.time == 30 and not last:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Recorded, "save", interrupted)
    with pytest.raises(Interrupted, match="stopped at 30"):
        fit(walk(), recorded, PLAN)
    assert recorded.events[-2:] == [("save", 30), ("last", 30)]


def test_a_signal_in_the_last_step_leaves_the_evaluation_to_the_resumed_run(recorded, walk):
    with pytest.raises(Interrupted, match="stopped at 100"):
        fit(walk(at={100: lambda: signal.raise_signal(signal.SIGINT)}), recorded, PLAN)
    assert recorded.events[-1] == ("last", 100)
    again = Recorded(recorded.directory)
    fit(walk(), again, PLAN)
    assert again.events == [("evaluate", 100), ("last", 100)]


class Restartable(Stateful):
    """An algorithm with slow steps, half of which change the state before they are done."""

    restartable = True
    score = None
    state = ("weights", "rng", "time")

    def __init__(self, stop_at=None):
        self.weights, self.rng, self.time, self.stop_at = torch.zeros(4), torch_stream(0, "slow"), 0, stop_at

    def step(self):
        self.time += 1
        self.weights += torch.randn(4, generator=self.rng)
        if self.time == self.stop_at:
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("the step goes on")
        self.weights += torch.rand(4)
        return {"loss": self.weights.sum()}

    def describe_task(self):
        return {}

    def evaluate(self):
        return {}

    def draw(self):
        return {}


@pytest.mark.parametrize("stop", [1, 3])
def test_a_slow_step_is_abandoned_and_repeated(run, tmp_path, monkeypatch, stop):
    monkeypatch.setattr("rlgen.core.fit.SLOW", 0.0)
    plan = Plan(budget=5, log_every=1, eval_every=9, save_every=9, portraits=False)
    torch.manual_seed(0)
    fit(straight := Restartable(), Run.create(tmp_path, "straight"), plan)
    torch.manual_seed(0)
    with pytest.raises(Interrupted, match=f"stopped at {stop - 1}"):
        fit(Restartable(stop), run, plan)
    fit(resumed := Restartable(), Run(run.directory), plan)
    assert torch.equal(resumed.weights, straight.weights)
    assert torch.equal(resumed.rng.get_state(), straight.rng.get_state())


def test_a_run_outside_the_main_thread_sets_no_handlers(recorded, walk):
    algorithm, before = walk(), signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=fit, args=(algorithm, recorded, PLAN))
    thread.start()
    thread.join()
    assert algorithm.time == 100
    assert signal.getsignal(signal.SIGINT) == before


def test_handlers_are_restored_after_an_error(recorded, walk):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError):
        fit(walk(at={5: lambda: 1 / 0}), recorded, PLAN)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
