import pytest
import torch

from rlgen.core.run import Run
from rlgen.core.seeds import torch_stream
from rlgen.core.state import Stateful


class Walk(Stateful):
    """The smallest algorithm: every step takes the next of `strides` and moves some weights at random."""

    score = "eval_score"
    state = ("weights", "rng", "time")

    def __init__(self, strides=(1,), at=None):
        self.strides, self.at = strides, at or {}  # time -> what happens inside the step that gets there
        self.weights, self.rng, self.time, self.steps = torch.zeros(4), torch_stream(0, "walk"), 0, 0

    def step(self):
        self.weights += torch.randn(4, generator=self.rng)
        self.time += self.strides[self.time % len(self.strides)]
        self.steps += 1
        self.at.get(self.time, lambda: None)()
        return {"loss": self.weights.square().mean(), "time_squared": float(self.time**2)}

    def evaluate(self):
        return {"eval_score": float(self.time)}


@pytest.fixture
def walk():
    return Walk


@pytest.fixture
def run(tmp_path):
    return Run.create(tmp_path / "runs", "walk")
