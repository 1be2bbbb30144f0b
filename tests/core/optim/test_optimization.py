import copy
import math

import pytest
import torch
from torch import nn

from rlgen.core import checkpoint
from rlgen.core.errors import Diverged
from rlgen.core.optim import Optimization
from rlgen.core.optim.settings import OptimizerSettings
from rlgen.core.seeds import Linear, Seeds

MINIBATCH = ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"]


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(Linear(3, 5), nn.LayerNorm(5), nn.Tanh(), Linear(5, 2))


def perceptron(seed):
    torch.manual_seed(seed)
    return nn.Sequential(Linear(3, 5), nn.Tanh(), Linear(5, 2))


def batches(count, size=8):
    stream = torch.Generator().manual_seed(1)
    return [torch.randn(size, 3, generator=stream) for _ in range(count)]


def train(module, xs, optimization=None, **settings):
    optimization = optimization or Optimization(OptimizerSettings(**settings), module)
    for x in xs:
        optimization.step(lambda x=x: (module(x) - 1).square().mean(), 0)
    return optimization


def flat(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def zero_gradient(module):
    """A loss with a gradient of zeros in every weight."""
    return sum(p.sum() for p in module.parameters()) * 0


@pytest.mark.parametrize("optimizer", MINIBATCH)
@pytest.mark.parametrize("decoupled", [False, True])
def test_only_matrices_decay(optimizer, decoupled):
    if optimizer == "adamw" and not decoupled:
        pytest.skip("adamw is decoupled")
    module = network()
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    settings = OptimizerSettings(optimizer=optimizer, lr=0.1, weight_decay=0.2, decoupled=decoupled)
    Optimization(settings, module).step(lambda: zero_gradient(module), 0)
    for name, p in module.named_parameters():
        if p.dim() == 1:
            assert torch.equal(p, before[name]), name
        elif decoupled:
            torch.testing.assert_close(p.detach(), before[name] * (1 - 0.1 * 0.2))
        else:
            assert ((before[name] - p) * before[name] >= 0).all()  # towards 0
            assert not torch.equal(p, before[name])


def test_biases_of_several_seeds_do_not_decay():
    """Stacks of S biases are matrices in shape, but not per seed."""
    stack = Seeds(lambda: perceptron(0), 3)
    before = {name: p.detach().clone() for name, p in stack.named_parameters()}
    settings = OptimizerSettings(optimizer="adamw", lr=0.1, weight_decay=0.2)
    Optimization(settings, stack, seeds=3).step(lambda: zero_gradient(stack), 0)
    shrunk = {name for name, p in stack.named_parameters() if not torch.equal(p, before[name])}
    assert shrunk == {"network.0.weight", "network.2.weight"}


def test_gains_of_several_seeds_do_not_decay():
    def build():
        module = nn.Module()
        module.gain, module.weight = nn.Parameter(torch.ones(5)), nn.Parameter(torch.ones(2, 5))
        return module

    stack = Seeds(build, 3)
    settings = OptimizerSettings(optimizer="sgd", lr=0.1, weight_decay=0.2)
    Optimization(settings, stack, seeds=3).step(lambda: zero_gradient(stack), 0)
    assert torch.equal(stack.network.gain, torch.ones(3, 5))
    torch.testing.assert_close(stack.network.weight.detach(), torch.full((3, 2, 5), 0.98))


def test_a_bias_of_several_dimensions_does_not_decay():
    module = nn.Module()
    module.position_bias, module.weight = nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.ones(2, 3))
    settings = OptimizerSettings(optimizer="sgd", lr=0.1, weight_decay=0.2)
    Optimization(settings, module).step(lambda: zero_gradient(module), 0)
    assert torch.equal(module.position_bias, torch.ones(2, 3))
    torch.testing.assert_close(module.weight.detach(), torch.full((2, 3), 0.98))


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "nesterov"])
def test_the_gradient_of_the_l2_penalty_is_lambda_w(optimizer):
    """λ/2 |w|², and not λ |w|²."""
    module, w = nn.Linear(3, 2, bias=False), torch.tensor([[1.0, -2.0, 3.0], [0.5, 0.0, -1.0]])
    module.weight.data = w.clone()
    settings = OptimizerSettings(optimizer=optimizer, lr=0.1, weight_decay=0.3, momentum=0.0)
    Optimization(settings, module).step(lambda: zero_gradient(module), 0)
    torch.testing.assert_close(module.weight.detach(), w - 0.1 * 0.3 * w)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "nesterov"])
def test_the_gradient_of_the_l1_penalty_is_its_sign(optimizer):
    module, w = nn.Linear(3, 1), torch.tensor([[1.0, -2.0, 0.0]])
    module.weight.data, bias = w.clone(), module.bias.detach().clone()
    settings = OptimizerSettings(optimizer=optimizer, lr=0.1, l1=0.3, momentum=0.0)
    Optimization(settings, module).step(lambda: zero_gradient(module), 0)
    torch.testing.assert_close(module.weight.detach(), w - 0.03 * w.sign())
    assert torch.equal(module.bias, bias)


@pytest.mark.parametrize("via", [{"optimizer": "adamw"}, {"optimizer": "adam", "decoupled": True}])
def test_decoupled_decay_is_the_step_without_decay_minus_a_share_of_the_weights(via):
    plain, decayed = network(), network()
    without = Optimization(OptimizerSettings(optimizer="adam", lr=0.05), plain)
    with_decay = Optimization(OptimizerSettings(**via, lr=0.05, weight_decay=0.1), decayed)
    for x in batches(4):
        w = plain[0].weight.detach().clone()
        decayed.load_state_dict(plain.state_dict())
        train(plain, [x], without)
        train(decayed, [x], with_decay)
        torch.testing.assert_close(decayed[0].weight.detach(), plain[0].weight.detach() - 0.05 * 0.1 * w)
        assert torch.equal(decayed[0].bias, plain[0].bias)


def test_l2_inside_adam_is_not_decoupled():
    first, second = network(), network()
    train(first, batches(3), optimizer="adam", lr=0.05, weight_decay=0.1)
    train(second, batches(3), optimizer="adamw", lr=0.05, weight_decay=0.1)
    assert not torch.allclose(flat(first), flat(second), rtol=1e-3)


def test_biases_and_norms_have_a_learning_rate_of_their_own():
    module = network()
    before = copy.deepcopy(module)
    train(module, batches(1), optimizer="adam", lr=0.01, bias_lr=4.0, optimizer_eps=1e-12)
    moved = {
        name: (p - q).abs().max().item()
        for (name, p), q in zip(module.named_parameters(), before.parameters(), strict=True)
    }
    assert moved == pytest.approx(
        {"0.weight": 0.01, "0.bias": 0.04, "1.weight": 0.04, "1.bias": 0.04, "3.weight": 0.01, "3.bias": 0.04}, rel=1e-2
    )


@pytest.mark.parametrize("optimizer", MINIBATCH)
@pytest.mark.parametrize("clip", [0.3, math.inf])
@pytest.mark.parametrize("penalty", [{}, {"weight_decay": 0.1, "l1": 0.01}])
def test_seeds_side_by_side_are_seeds_alone(optimizer, clip, penalty):
    settings = OptimizerSettings(optimizer=optimizer, lr=0.02, max_grad_norm=clip, **penalty)
    scales, seeds = torch.tensor([1e-2, 1.0, 1e2]), iter(range(3))
    stack = Seeds(lambda: perceptron(next(seeds)), 3)
    alone = [Seeds(lambda s=s: perceptron(s), 1) for s in range(3)]
    together = Optimization(settings, stack, seeds=3)
    single = [Optimization(settings, module) for module in alone]
    for x in batches(5):
        out = together.step(lambda x=x: (stack(x.expand(3, 8, 3)).square().mean((1, 2)) * scales).sum(), 0)
        norms = [
            one.step(lambda x=x, m=m, s=s: m(x[None]).square().mean() * scales[s], 0)["grad_norm"]
            for s, (m, one) in enumerate(zip(alone, single, strict=True))
        ]
        torch.testing.assert_close(out["grad_norm"], torch.cat(norms), rtol=1e-3, atol=1e-6)
    for s, m in enumerate(alone):
        for name, _ in stack.network.named_parameters():
            torch.testing.assert_close(stack.weight(name)[s], m.weight(name)[0], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("optimizer", MINIBATCH)
def test_accumulated_minibatches_are_one_batch(optimizer):
    split, whole = network(), network()
    first, second = batches(6), batches(6)
    optimization = train(split, first, optimizer=optimizer, lr=0.05, accumulate=3)
    train(whole, [torch.cat(second[:3]), torch.cat(second[3:])], optimizer=optimizer, lr=0.05)
    torch.testing.assert_close(flat(split), flat(whole), rtol=1e-4, atol=1e-6)
    assert optimization.steps == 2
    before = flat(split)
    assert set(optimization.step(lambda: split(first[0]).square().mean(), 0)) == {"lr"}
    assert not optimization.updated
    assert torch.equal(flat(split), before)


def test_a_loss_in_chunks_is_the_loss():
    chunked, whole = network(), network()
    x = torch.cat(batches(3))
    settings = OptimizerSettings(optimizer="gd", lr=0.1)
    chunks = [lambda part=part: (chunked(part) - 1).square().sum() / (2 * len(x)) for part in x.split(7)]
    Optimization(settings, chunked).step(chunks, 0)
    Optimization(settings, whole).step(lambda: (whole(x) - 1).square().mean(), 0)
    torch.testing.assert_close(flat(chunked), flat(whole))


@pytest.mark.parametrize("optimizer", MINIBATCH)
@pytest.mark.parametrize("settings", [{}, {"weight_decay": 0.1, "bias_lr": 2.0}, {"accumulate": 3, "warmup": 9}])
def test_a_resumed_optimization_continues_like_the_original(optimizer, settings, tmp_path):
    config = OptimizerSettings(optimizer=optimizer, lr=0.05, **settings)
    module, xs = network(), batches(13)
    original = train(module, xs[:7], Optimization(config, module))
    state = {"module": module.state_dict(), "optimizer": original.state_dict()}
    checkpoint.save(tmp_path / "1", state)
    saved = checkpoint.load(tmp_path / "1")
    other = network(1)
    resumed = Optimization(config, other)
    other.load_state_dict(saved["module"])
    resumed.load_state_dict(saved["optimizer"])
    train(module, xs[7:], original)
    train(other, xs[7:], resumed)
    assert torch.equal(flat(other), flat(module))
    assert resumed.steps == original.steps


def test_the_state_of_a_torch_optimiser_is_accepted():
    """Earlier versions saved it."""
    module, reference = network(), network()
    adam = torch.optim.Adam(reference.parameters(), 0.05, fused=True)
    for x in batches(5):
        adam.zero_grad()
        (reference(x) - 1).square().mean().backward()
        adam.step()
    optimization = Optimization(OptimizerSettings(lr=0.05), module)
    optimization.load_state_dict(copy.deepcopy(adam.state_dict()))
    assert optimization.steps == 5
    for mine, theirs in zip(optimization.rule.state.values(), adam.state.values(), strict=True):
        assert torch.equal(mine["exp_avg"], theirs["exp_avg"])


@pytest.mark.parametrize("optimizer", MINIBATCH)
def test_a_loss_that_is_not_finite_changes_no_weight(optimizer):
    module = network()
    optimization = train(module, batches(2), optimizer=optimizer, weight_decay=0.1, l1=0.1)
    before = flat(module)
    with pytest.raises(Diverged, match="try a smaller --lr"):
        optimization.step(lambda: module(batches(1)[0]).sum() * math.nan, 0)
    assert torch.equal(flat(module), before)


def test_the_rate_follows_schedule_warm_up_and_plateau():
    module, x = network(), batches(1)[0]
    settings = OptimizerSettings(lr=1.0, schedule="linear", lr_end=0.0, warmup=4)
    optimization = Optimization(settings, module, budget=100)
    rates = [optimization.step(lambda: module(x).mean(), time)["lr"] for time in (0, 20, 40, 100)]
    assert rates == pytest.approx([0.5, 0.75 * 0.8, 0.6, 0.0])
    settings = OptimizerSettings(lr=1.0, schedule="plateau", lr_patience=1, lr_factor=0.1)
    optimization = Optimization(settings, module)
    for score in (0.5, 0.4, 0.4):
        optimization.plateau(score)
    assert optimization.step(lambda: module(x).mean(), 0)["lr"] == pytest.approx(0.01)
    optimization = Optimization(OptimizerSettings(lr=1.0), module)
    for score in (0.5, 0.4, 0.4, 0.4, 0.4, 0.4):
        optimization.plateau(score)
    assert optimization.learning_rate(0) == 1.0


def test_frozen_weights_keep_their_values():
    module = network()
    before = module[0].weight.detach().clone()
    module[0].weight.requires_grad_(False)
    train(module, batches(3), optimizer="nesterov", lr=0.1, weight_decay=0.1, decoupled=True, l1=0.1)
    assert torch.equal(module[0].weight, before)


def test_the_description_says_how_weights_decay():
    module = network()
    described = Optimization(OptimizerSettings(optimizer="momentum", weight_decay=5e-4), module).describe()
    assert "weight decay 0.0005, L2, of 2 of 6 weight tensors (none of norms and biases)" in described
    described = Optimization(OptimizerSettings(optimizer="adamw", weight_decay=0.01, l1=0.1), module).describe()
    assert "weight decay 0.01, decoupled" in described
    assert "L1 0.1" in described
