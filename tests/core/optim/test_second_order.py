import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rlgen import data
from rlgen.core import checkpoint
from rlgen.core.errors import Diverged, UserError
from rlgen.core.optim import Optimization, optimization
from rlgen.core.optim.settings import OptimizerSettings


class Quadratic(nn.Module):
    """wᵀ A w / 2 - b w, with curvatures from 1 to 1,000."""

    def __init__(self, size=12):
        super().__init__()
        stream = torch.Generator().manual_seed(0)
        q, _ = torch.linalg.qr(torch.randn(size, size, generator=stream, dtype=torch.float64))
        self.a = q @ torch.diag(torch.logspace(0, 3, size, dtype=torch.float64)) @ q.T
        self.b = torch.randn(size, generator=stream, dtype=torch.float64)
        self.w = nn.Parameter(torch.zeros(1, size, dtype=torch.float64))

    def forward(self):
        return self.w[0] @ self.a @ self.w[0] / 2 - self.b @ self.w[0]

    def solution(self, damping=0.0):
        return torch.linalg.solve(self.a + damping * torch.eye(len(self.b)), self.b)


def digits(count=200):
    dataset = data.load("digits", "train")
    return dataset.images[:count].flatten(1).double() / 255, dataset.labels[:count]


def softmax(count=200):
    torch.manual_seed(0)
    module, (x, y) = nn.Linear(64, 10).double(), digits(count)
    return module, [lambda: F.cross_entropy(module(x), y)]


def flat(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def test_newton_ends_in_one_step_on_a_quadratic():
    module = Quadratic()
    newton = Optimization(OptimizerSettings(optimizer="newton"), module)
    assert newton.step(module, 0)["lr"] == 1.0
    torch.testing.assert_close(module.w.detach()[0], module.solution(), rtol=1e-4, atol=1e-6)


def test_damping_is_added_to_the_curvature():
    module = Quadratic()
    newton = Optimization(OptimizerSettings(optimizer="newton", damping=5.0), module)
    newton.step(module, 0)
    torch.testing.assert_close(module.w.detach()[0], module.solution(5.0), rtol=1e-4, atol=1e-6)


def test_newton_leaves_a_direction_of_negative_curvature():
    """On w⁴ / 4 - w² / 2 from near its maximum at 0, to the minimum at 1."""
    module = nn.Module()
    module.w = nn.Parameter(torch.full((1, 1), 0.01, dtype=torch.float64))
    newton = Optimization(OptimizerSettings(optimizer="newton"), module)
    for _ in range(40):
        newton.step(lambda: (module.w**4 / 4 - module.w**2 / 2).sum(), 0)
    assert module.w.item() == pytest.approx(1.0)
    assert newton.converged


@pytest.mark.parametrize("optimizer", ["lbfgs", "newton"])
def test_the_end_is_that_of_the_penalised_loss(optimizer):
    """The gradient of the loss is -λ w at the end, and 0 for the biases."""
    module, chunks = softmax()
    optimization = Optimization(OptimizerSettings(optimizer=optimizer, weight_decay=0.01), module)
    for _ in range(120):
        optimization.step(chunks, 0)
        if optimization.converged:
            break
    assert optimization.converged
    weight, bias = torch.autograd.grad(chunks[0](), [module.weight, module.bias])
    torch.testing.assert_close(weight, -0.01 * module.weight.detach(), rtol=0, atol=1e-4)
    torch.testing.assert_close(bias, torch.zeros(10).double(), rtol=0, atol=1e-4)
    before = flat(module)
    assert optimization.step(chunks, 0)["lr"] == 0.0
    assert torch.equal(flat(module), before)


def test_lbfgs_is_as_good_as_that_of_torch():
    module, chunks = softmax()
    optimization = Optimization(OptimizerSettings(optimizer="lbfgs"), module)
    for _ in range(30):
        optimization.step(chunks, 0)
    reference, (loss,) = softmax()[0], chunks
    theirs = torch.optim.LBFGS(reference.parameters(), max_iter=30, history_size=20, line_search_fn="strong_wolfe")
    x, y = digits()

    def closure():
        theirs.zero_grad()
        value = F.cross_entropy(reference(x), y)
        value.backward()
        return value

    theirs.step(closure)
    assert loss().item() == pytest.approx(closure().item(), rel=0.05)
    assert loss().item() < 0.3


@pytest.mark.parametrize("optimizer", ["lbfgs", "newton"])
def test_a_stop_between_two_steps_changes_nothing(optimizer, tmp_path):
    settings = OptimizerSettings(optimizer=optimizer, weight_decay=1e-3)
    module, chunks = softmax(100)
    original = Optimization(settings, module)
    for _ in range(4):
        original.step(chunks, 0)
    checkpoint.save(tmp_path / "1", {"module": module.state_dict(), "optimizer": original.state_dict()})
    saved = checkpoint.load(tmp_path / "1")
    other, other_chunks = softmax(100)
    other.load_state_dict(saved["module"])
    resumed = Optimization(settings, other)
    resumed.load_state_dict(saved["optimizer"])
    for _ in range(4):
        first, second = original.step(chunks, 0), resumed.step(other_chunks, 0)
        assert first["lr"] == second["lr"]
    assert torch.equal(flat(other), flat(module))


@pytest.mark.parametrize("optimizer", ["lbfgs", "newton"])
def test_a_loss_in_chunks_is_the_loss(optimizer):
    whole, chunks = softmax(100)
    parts, (x, y) = softmax(100)[0], digits(100)

    def part(i):
        return F.cross_entropy(parts(x[i : i + 40]), y[i : i + 40], reduction="sum") / len(x)

    settings = OptimizerSettings(optimizer=optimizer, weight_decay=0.1)
    first, second = Optimization(settings, whole), Optimization(settings, parts)
    for _ in range(3):
        first.step(chunks, 0)
        second.step([lambda i=i: part(i) for i in (0, 40, 80)], 0)
    torch.testing.assert_close(flat(parts), flat(whole), rtol=1e-5, atol=1e-7)
    assert second.evaluations == pytest.approx(first.evaluations, abs=2)


def test_newton_refuses_a_large_network_by_name(monkeypatch):
    monkeypatch.setattr(optimization, "MAX_WEIGHTS", 100)
    with pytest.raises(UserError, match="newton: 650 weights, and it takes at most 100: take lbfgs or adam"):
        Optimization(OptimizerSettings(optimizer="newton"), nn.Linear(64, 10))
    Optimization(OptimizerSettings(optimizer="lbfgs"), nn.Linear(64, 10))


@pytest.mark.parametrize("optimizer", ["lbfgs", "newton"])
def test_several_seeds_are_refused(optimizer):
    with pytest.raises(UserError, match="one length for all seeds: take --seeds 1"):
        Optimization(OptimizerSettings(optimizer=optimizer), nn.Linear(2, 2), seeds=2)


@pytest.mark.parametrize("optimizer", ["lbfgs", "newton"])
def test_a_loss_that_is_not_finite_changes_no_weight(optimizer):
    module, _ = softmax(100)
    before = flat(module)
    solver = Optimization(OptimizerSettings(optimizer=optimizer), module)
    with pytest.raises(Diverged, match="the loss is inf"):
        solver.step(lambda: module.weight.sum() * math.nan, 0)
    assert torch.equal(flat(module), before)


def test_frozen_weights_keep_their_values():
    module, chunks = softmax(100)
    module.bias.requires_grad_(False)
    before = module.bias.clone()
    solver = Optimization(OptimizerSettings(optimizer="lbfgs"), module)
    for _ in range(3):
        solver.step(chunks, 0)
    assert torch.equal(module.bias, before)
    assert chunks[0]().item() < 2.2


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"optimizer": "lbfgs", "l1": 0.1}, "second derivative"),
        ({"optimizer": "newton", "weight_decay": 0.1, "decoupled": True}, "minimises the penalised loss"),
        ({"optimizer": "adamw", "decoupled": False}, "take --optimizer adam"),
        ({"schedule": "exponential", "lr_end": 0.0}, "never arrives at 0"),
    ],
)
def test_settings_that_contradict_each_other(settings, reason):
    with pytest.raises(ValueError, match=reason):
        OptimizerSettings(**settings)
