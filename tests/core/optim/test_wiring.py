"""Every setting of an optimization has its effect in it; that it arrives there is tested in each family."""

import pytest
import torch
from torch import nn

from rlgen.core.optim import Optimization
from rlgen.core.optim.settings import OptimizerSettings
from tests.wiring import Effect, check_effect, every_field


class Built:
    """An optimization of a module whose loss is given by hand."""

    def __init__(self, **settings):
        self.module = nn.Linear(2, 2)
        nn.init.ones_(self.module.weight)
        nn.init.ones_(self.module.bias)
        self.optimization = Optimization(OptimizerSettings(**settings), self.module)

    def step(self, slope=1.0):
        """A step with a gradient of `slope` in every weight; how far weights and biases moved."""
        before = [p.detach().clone() for p in self.module.parameters()]
        self.optimization.step(lambda: slope * sum(p.sum() for p in self.module.parameters()), 0)
        return [(old - new).mean().item() for old, new in zip(before, self.module.parameters(), strict=True)]


def group(name):
    return lambda built: built.optimization.rule.param_groups[0][name]


def rate_at(time):
    return lambda built: built.optimization.learning_rate(time)


def second_step(built):
    built.step()
    return built.step()[0]


def norm_of_gradients(built):
    built.step()
    return torch.cat([p.grad.flatten() for p in built.module.parameters()]).norm().item()


def minibatches(built):
    """Number of minibatches up to the first update."""
    count = 1
    while built.step()[0] == 0.0:
        count += 1
    return count


def evaluations(built):
    """Number of equal scores up to the first drop."""
    count = 0
    while built.optimization.learning_rate(0) == 0.1:
        built.optimization.plateau(0.5)
        count += 1
    return count


def kind(built):
    return type(built.optimization.rule).__name__


SGD = {"optimizer": "sgd", "lr": 0.1}
EFFECTS = {
    "optimizer": Effect("rmsprop", kind, "RMSprop"),
    "lr": Effect(0.25, lambda built: built.step()[0], 0.25),
    "momentum": Effect(0.5, second_step, 0.15, {"optimizer": "momentum", "lr": 0.1}),
    "beta1": Effect(0.5, lambda built: group("betas")(built)[0], 0.5),
    "beta2": Effect(0.5, lambda built: group("betas")(built)[1], 0.5),
    "optimizer_eps": Effect(1.0, lambda built: built.step()[0], 0.05, {"lr": 0.1}),
    "damping": Effect(0.5, lambda built: built.optimization.rule.damping, 0.5, {"optimizer": "newton"}),
    "weight_decay": Effect(0.5, lambda built: built.step(0.0), [0.05, 0.0], SGD),
    "decoupled": Effect(True, lambda built: built.step(0.0)[0], 0.05, {"weight_decay": 0.5, "lr": 0.1}),
    "l1": Effect(0.5, lambda built: built.step(0.0), [0.05, 0.0], SGD),
    "bias_lr": Effect(3.0, lambda built: built.step(), [0.1, 0.3], SGD),
    "max_grad_norm": Effect(0.5, norm_of_gradients, 0.5),
    "accumulate": Effect(3, minibatches, 3),
    "schedule": Effect("linear", rate_at(50_000), 0.0505, {"lr": 0.1}),
    "warmup": Effect(10, lambda built: built.step()[0], 0.02, SGD),
    "lr_end": Effect(0.05, rate_at(10**9), 0.05, {"lr": 0.1, "schedule": "linear"}),
    "lr_steps": Effect(50_000, rate_at(25_000), 0.0505, {"lr": 0.1, "schedule": "linear"}),
    "peak": Effect(0.5, rate_at(50_000), 0.1, {"lr": 0.1, "schedule": "one-cycle"}),
    "milestones": Effect("0.2,0.4", rate_at(45_000), 0.001, {"lr": 0.1, "schedule": "step"}),
    "lr_factor": Effect(0.5, rate_at(60_000), 0.05, {"lr": 0.1, "schedule": "step"}),
    "lr_patience": Effect(5, evaluations, 6, {"lr": 0.1, "schedule": "plateau"}),
}


@pytest.mark.parametrize("name", every_field(OptimizerSettings, EFFECTS))
def test_the_setting_has_its_effect(name):
    check_effect(Built, name, EFFECTS)


def test_a_setting_without_an_effect_is_named_with_the_reason():
    idle = OptimizerSettings(optimizer="lbfgs").unused()
    assert idle["lr"] == "lbfgs finds the length of its steps itself"
    assert {"momentum", "beta1", "beta2", "optimizer_eps", "damping", "schedule", "lr_end", "accumulate"} <= set(idle)
    used = {
        "momentum": {"optimizer": "nesterov"},
        "beta2": {"optimizer": "rmsprop"},
        "damping": {"optimizer": "newton"},
        "decoupled": {"weight_decay": 0.1},
        "lr_end": {"schedule": "one-cycle"},
        "lr_steps": {"schedule": "step"},
        "lr_factor": {"schedule": "plateau"},
    }
    for name, settings in used.items():
        assert name in OptimizerSettings(optimizer="sgd").unused()
        assert name not in OptimizerSettings(**{"optimizer": "sgd", **settings}).unused()
