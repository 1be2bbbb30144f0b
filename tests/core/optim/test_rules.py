"""Every update rule against the formula of its paper, in numpy."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from rlgen.core.optim import Optimization
from rlgen.core.optim.settings import OptimizerSettings

G = np.array([0.5, -2.0, 3e-3])


class Weights(nn.Module):
    def __init__(self, values, shape=(1, -1)):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(values, dtype=torch.float64).reshape(shape))


def run(gradients, start=(0.0, 0.0, 0.0), **settings):
    """Weights after each step along given gradients."""
    module = Weights(start)
    optimization = Optimization(OptimizerSettings(**settings), module)
    path = []
    for g in gradients:
        optimization.step(lambda g=g: (module.w * torch.tensor(g)).sum(), 0)
        path.append(module.w.detach().flatten().numpy().copy())
    return np.array(path)


@pytest.mark.parametrize("rule", ["gd", "sgd"])
def test_plain_descent(rule):
    assert run([G] * 3, optimizer=rule, lr=0.1) == pytest.approx(np.outer([1, 2, 3], -0.1 * G))


def test_momentum_under_a_constant_gradient():
    """w_t = -lr g Σ_{s ≤ t} (1 - μ^s) / (1 - μ)."""
    mu, lr = 0.9, 0.1
    expected = [-lr * G * sum((1 - mu**s) / (1 - mu) for s in range(1, t + 1)) for t in range(1, 6)]
    assert run([G] * 5, optimizer="momentum", momentum=mu, lr=lr) == pytest.approx(np.array(expected))


def test_nesterov_is_the_form_of_the_course():
    """v ← μ v - lr g, w ← w - μ v_before + (1 + μ) v."""
    gradients, w, v, expected = np.random.default_rng(0).normal(size=(6, 3)), np.zeros(3), np.zeros(3), []
    for g in gradients:
        before, v = v, 0.8 * v - 0.05 * g
        w = w - 0.8 * before + 1.8 * v
        expected.append(w)
    assert run(gradients, optimizer="nesterov", momentum=0.8, lr=0.05) == pytest.approx(np.array(expected))


@pytest.mark.parametrize("rule", ["momentum", "nesterov"])
def test_torch_has_the_learning_rate_outside_of_the_velocity(rule):
    """The same at a constant rate; after a drop of the rate the steps differ."""
    gradients = np.random.default_rng(1).normal(size=(6, 3))

    def paths(drop):
        ours, theirs = Weights([0.0] * 3), Weights([0.0] * 3)
        settings = {"schedule": "step", "milestones": "0.5", "lr_factor": 0.1} if drop else {}
        mine = Optimization(OptimizerSettings(optimizer=rule, lr=0.1, **settings), ours, budget=6)
        torchs = torch.optim.SGD(theirs.parameters(), 0.1, momentum=0.9, nesterov=rule == "nesterov")
        for time, g in enumerate(gradients):
            mine.step(lambda g=g: (ours.w * torch.tensor(g)).sum(), time)
            torchs.param_groups[0]["lr"] = 0.01 if drop and time >= 3 else 0.1
            torchs.zero_grad()
            (theirs.w * torch.tensor(g)).sum().backward()
            torchs.step()
        return ours.w.detach().numpy(), theirs.w.detach().numpy()

    ours, theirs = paths(drop=False)
    assert ours == pytest.approx(theirs)
    ours, theirs = paths(drop=True)
    assert ours != pytest.approx(theirs, rel=1e-2)


def test_adagrad_under_a_constant_gradient():
    """The t-th step is lr / √t, whatever the gradient."""
    path = run([G] * 5, optimizer="adagrad", lr=0.1, optimizer_eps=1e-12)
    steps = np.diff(path, axis=0, prepend=0)
    expected = [-0.1 / math.sqrt(t) * np.sign(G) for t in range(1, 6)]
    assert steps == pytest.approx(np.array(expected), rel=1e-6)


@pytest.mark.parametrize("alpha", [None, 0.9])
def test_rmsprop_has_no_bias_correction(alpha):
    """The first step is lr / √(1 - α): 10 lr for α = 0.99."""
    first = run([G], optimizer="rmsprop", lr=0.01, beta2=alpha, optimizer_eps=1e-12)[0]
    assert first == pytest.approx(-0.01 / math.sqrt(1 - (alpha or 0.99)) * np.sign(G), rel=1e-6)


@pytest.mark.parametrize("rule", ["adam", "adamw"])
def test_adam_begins_with_the_sign_of_the_gradient(rule):
    assert run([G], optimizer=rule, lr=0.01, optimizer_eps=1e-12)[0] == pytest.approx(-0.01 * np.sign(G), rel=1e-6)


def test_adam_is_that_of_the_paper():
    gradients = np.random.default_rng(2).normal(size=(8, 3))
    m = v = w = np.zeros(3)
    expected = []
    for t, g in enumerate(gradients, 1):
        m, v = 0.7 * m + 0.3 * g, 0.95 * v + 0.05 * g**2
        w = w - 0.02 * (m / (1 - 0.7**t)) / (np.sqrt(v / (1 - 0.95**t)) + 1e-3)
        expected.append(w)
    path = run(gradients, optimizer="adam", lr=0.02, beta1=0.7, beta2=0.95, optimizer_eps=1e-3)
    assert path == pytest.approx(np.array(expected))


@pytest.mark.parametrize(("rule", "lr"), [("sgd", 0.1), ("nesterov", 0.01), ("adam", 1e-3), ("rmsprop", 1e-3)])
def test_without_a_learning_rate_the_usual_one_is_taken(rule, lr):
    module = Weights([1.0])
    assert Optimization(OptimizerSettings(optimizer=rule), module).learning_rate(0) == lr
    assert Optimization(OptimizerSettings(optimizer=rule, lr=0.3), module).learning_rate(0) == 0.3


def test_gradient_descent_finds_the_normal_equations_below_two_over_the_curvature():
    """Linear regression: the error of mode i falls as (1 - lr λᵢ)^t, and grows for lr > 2 / λ_max."""
    rng = np.random.default_rng(3)
    x, y = torch.tensor(rng.normal(size=(40, 3)) * [1, 2, 4]), torch.tensor(rng.normal(size=40))
    hessian = (x.T @ x / 40).numpy()
    solution = np.linalg.solve(hessian, (x.T @ y / 40).numpy())
    values, modes = np.linalg.eigh(hessian)

    def after(steps, lr):
        module = Weights([0.0] * 3)
        optimization = Optimization(OptimizerSettings(optimizer="gd", lr=lr), module)
        for _ in range(steps):
            optimization.step(lambda: (x @ module.w[0] - y).square().mean() / 2, 0)
        return modes.T @ (module.w.detach().numpy()[0] - solution)

    start, lr = modes.T @ -solution, 1.9 / values.max()
    assert after(7, lr) == pytest.approx((1 - lr * values) ** 7 * start)
    assert after(3_000, lr) == pytest.approx(0, abs=1e-8)
    assert abs(after(100, 2.1 / values.max())).max() > 1_000 * abs(start).max()
