import pytest
import torch

from rlgen.core.run import Run
from rlgen.core.seeds import torch_stream
from rlgen.core.state import Stateful


class Walk(Stateful):
    """A minimal algorithm: a step takes the time of the next of `strides` and adds noise to the weights."""

    score = "eval_score"
    state = ("weights", "rng", "time")

    def __init__(self, strides=(1,), at=None, facts=None):
        self.strides, self.at, self.facts = strides, at or {}, facts or {}  # `at`: time -> call within the step
        self.weights, self.rng, self.time, self.steps = torch.zeros(4), torch_stream(0, "walk"), 0, 0

    def step(self):
        self.weights += torch.randn(4, generator=self.rng)
        self.time += self.strides[self.time % len(self.strides)]
        self.steps += 1
        self.at.get(self.time, lambda: None)()
        return {"loss": self.weights.square().mean(), "time_squared": float(self.time**2)}

    def describe_task(self):
        return self.facts

    def evaluate(self):
        return {"eval_score": float(self.time)}

    def draw(self):
        return {}


@pytest.fixture
def walk():
    return Walk


@pytest.fixture
def run(tmp_path):
    return Run.create(tmp_path / "runs", "walk")
