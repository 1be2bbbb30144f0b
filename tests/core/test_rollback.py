"""`--on-divergence rollback` in the loop: what is restored, lowered, counted, said and saved."""

import math
import signal

import pytest
import torch
from torch import nn

from rlgen.core import checkpoint
from rlgen.core.errors import Diverged, Interrupted
from rlgen.core.fit import fit
from rlgen.core.optim import Optimization
from rlgen.core.optim.settings import OptimizerSettings
from rlgen.core.run import Run
from rlgen.core.settings import Plan
from rlgen.core.state import Stateful

PLAN = {"budget": 100, "log_every": 10, "eval_every": 20, "save_every": 25, "on_divergence": "rollback"}


class Descent(Stateful):
    """Gradient descent on a weight, whose gradient is not finite at some times while the rate is above a limit."""

    score = None
    state = ("weight", "optimizer", "time")

    def __init__(self, at=(), limit=0.0, call=None):
        self.weight = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.weight.weight)
        self.optimizer = Optimization(OptimizerSettings(optimizer="sgd", lr=1.0), self.weight)
        self.at, self.limit, self.call, self.time = at, limit, call or {}, 0

    def step(self):
        broken = self.time in self.at and self.optimizer.learning_rate(self.time) > self.limit
        x = torch.full((1, 1), math.nan if broken else 1.0)
        metrics = self.optimizer.step(lambda: self.weight(x).sum(), self.time, {"x": x})
        self.time += 1
        self.call.get(self.time, lambda: None)()
        return {"loss": 0.0, **metrics}

    def describe_task(self):
        return {}

    def evaluate(self):
        return {"eval_weight": self.weight.weight.item()}

    def draw(self):
        return {}


def train(run, algorithm, **plan):
    fit(algorithm, run, Plan(**{**PLAN, **plan}))
    return algorithm


@pytest.fixture
def fresh(tmp_path):
    """A new run of this name."""
    return lambda name: Run.create(tmp_path, "descent", name)


def test_the_last_checkpoint_continues_at_half_the_rate(run, caplog):
    trained = train(run, Descent(at={60}, limit=0.9))
    assert trained.weight.weight.item() == -50 - 50 * 0.5
    assert run.info["rollbacks"] == 1
    (said,) = caplog.messages
    assert said == (
        "the loss is nan and the gradient norm nan: back to the last checkpoint,"
        " all learning rates times 0.5 (rollback 1 of 3)"
    )
    assert [row["time"] for row in run.rows() if "lr" in row] == list(range(10, 101, 10))
    assert [row["lr"] for row in run.rows() if "lr" in row] == [1.0] * 5 + [0.5] * 5
    (record,) = (run.directory / "diverged").glob("*.json")
    assert record.name == "000000060-0.json"


def test_a_rollback_before_the_first_checkpoint_returns_to_the_start(run):
    trained = train(run, Descent(at={3}, limit=0.9))
    assert trained.weight.weight.item() == -100 * 0.5
    assert [row["time"] for row in run.rows() if "eval_weight" in row] == [0, 20, 40, 60, 80, 100]


def test_divergences_one_after_the_other_lower_the_rate_further(run):
    trained = train(run, Descent(at={60, 65, 90}, limit=0.2))
    assert trained.optimizer.rate_factor == 0.125
    assert trained.weight.weight.item() == -50 - 50 * 0.125  # the third, at a rate of a quarter, was at 60 as well
    assert run.info["rollbacks"] == 3


def test_after_three_rollbacks_the_training_ends(run, caplog):
    with pytest.raises(Diverged, match=r"^at 60 the loss is nan .*, after 3 rollbacks to a checkpoint; its batch:"):
        train(run, Descent(at={60}))
    assert len(caplog.messages) == 3
    assert len(list((run.directory / "diverged").glob("*.json"))) == 4
    assert checkpoint.newest_first(run.directory / "checkpoints")[0].name == "000000050"


def test_without_rollback_the_training_ends_and_resume_offers_it(run):
    with pytest.raises(Diverged, match=rf"or `rlgen resume {run.directory} --on-divergence rollback`; its batch:"):
        train(run, Descent(at={60}, limit=0.9), on_divergence="stop")
    assert "rollbacks" not in run.info
    resumed = train(Run(run.directory), Descent(at={60}, limit=0.9))
    assert resumed.weight.weight.item() == -75


@pytest.mark.parametrize("stop", [55, 61, 70, 80])
def test_a_run_stopped_anywhere_around_a_rollback_equals_an_uninterrupted_one(fresh, stop):
    straight = train(run := fresh("straight"), Descent(at={60, 88}, limit=0.4))
    stopped = fresh("stopped")
    with pytest.raises(Interrupted):
        train(stopped, Descent(at={60, 88}, limit=0.4, call={stop: lambda: signal.raise_signal(signal.SIGTERM)}))
    resumed = train(again := Run(stopped.directory), Descent(at={60, 88}, limit=0.4))
    assert again.rollbacks == run.rollbacks == 2
    assert resumed.weight.weight.item() == straight.weight.weight.item()
    assert again.rows() == run.rows()


def test_a_run_stopped_many_times_rolls_back_to_the_checkpoint_of_its_plan(fresh):
    straight = train(run := fresh("straight"), Descent(at={60}, limit=0.9))
    stopped = fresh("stopped")
    for time in (52, 55, 58):
        algorithm = Descent(at={60}, limit=0.9, call={time: lambda: signal.raise_signal(signal.SIGTERM)})
        with pytest.raises(Interrupted):
            train(stopped, algorithm)
        stopped = Run(stopped.directory)
    assert train(stopped, Descent(at={60}, limit=0.9)).weight.weight.item() == straight.weight.weight.item()
    assert stopped.rows() == run.rows()


def test_a_damaged_checkpoint_of_the_plan_is_passed_over(run):
    stopped = run
    with pytest.raises(Interrupted):
        train(stopped, Descent(at={60}, limit=0.9, call={55: lambda: signal.raise_signal(signal.SIGTERM)}))
    (run.directory / "checkpoints" / "000000050" / "state.json").write_text("{}")
    resumed = train(Run(stopped.directory), Descent(at={60}, limit=0.9))
    assert resumed.weight.weight.item() == -55 - 45 * 0.5


def test_a_run_killed_after_a_rollback_equals_an_uninterrupted_one(fresh):
    """Before the next checkpoint: the divergence and its rollback are repeated."""
    straight = train(run := fresh("straight"), Descent(at={60}, limit=0.9))

    def kill():
        raise MemoryError

    killed, calls = fresh("killed"), iter([lambda: None, kill])
    with pytest.raises(MemoryError):
        train(killed, Descent(at={60}, limit=0.9, call={55: lambda: next(calls)()}))
    resumed = train(again := Run(killed.directory), Descent(at={60}, limit=0.9))
    assert resumed.weight.weight.item() == straight.weight.weight.item()
    assert again.rows() == run.rows()


def test_nothing_differs_where_nothing_diverges(fresh):
    weights = [
        train(run := fresh(way), Descent(), on_divergence=way).weight.weight.item() for way in ("stop", "rollback")
    ]
    assert weights == [-100, -100]
    assert run.rows() == Run(run.directory.parent / "stop").rows()


def test_the_message_names_the_seeds_that_are_not_finite():
    from rlgen.core.algorithm import not_finite

    error = not_finite(math.nan, [1.0, math.nan, math.inf], "try a smaller --lr")
    assert str(error) == "the loss is nan and the gradient norm of seed 1, 2 nan: try a smaller --lr"
    assert error.facts["seeds"] == [1, 2]
