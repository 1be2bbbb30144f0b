import pytest
import torch
from torch import nn

from rlgen.core.optim import Optimization
from rlgen.core.optim.flat import LARGEST, flat
from rlgen.core.optim.settings import OptimizerSettings
from rlgen.core.seeds import Linear, Seeds


def build(seeds=1):
    torch.manual_seed(0)
    return Seeds(lambda: nn.Sequential(Linear(3, 5), nn.Tanh(), Linear(5, 2)), seeds)


@pytest.mark.parametrize("seeds", [1, 3])
def test_weights_and_gradients_are_views_of_the_buffers(seeds):
    module, same = build(seeds), build(seeds)
    buffers = flat(list(module.parameters()), seeds)
    assert buffers.weights.shape == buffers.gradients.shape == (seeds, 3 * 5 + 5 + 5 * 2 + 2)
    x = torch.randn(seeds, 4, 3)
    for copy in (module, same):
        copy.zero_grad()
        copy(x).square().sum().backward()
    buffers.gather()
    pairs = list(zip(module.parameters(), same.parameters(), strict=True))
    for own, other in pairs:
        assert torch.equal(own, other)
        assert torch.equal(own.grad, other.grad)
    row = torch.cat([other[-1:].flatten() if seeds > 1 else other.flatten() for _, other in pairs])
    assert torch.equal(buffers.weights[-1], row)
    buffers.weights.zero_()
    buffers.gradients.fill_(2)
    assert all(not own.any() and (own.grad == 2).all() for own, _ in pairs)


def test_a_weight_without_a_gradient_has_one_of_zeros():
    module = build()
    buffers = flat(list(module.parameters()), 1)
    module.zero_grad()
    module.network[2].bias.sum().backward()
    buffers.gather()
    assert buffers.gradients[0].tolist() == [0] * 30 + [1, 1]


def test_frozen_weights_other_layouts_and_large_networks_stay_as_they_are():
    convolution = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    frozen = nn.Linear(2, 2).requires_grad_(False)
    mixed = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2).double()])
    large = nn.Linear(LARGEST, 1, bias=False)
    assert flat(list(large.parameters()), 1) is not None
    for module in (convolution, frozen, mixed, nn.Linear(LARGEST, 1)):
        before = [(weight.data_ptr(), weight.stride()) for weight in module.parameters()]
        assert flat(list(module.parameters()), 1) is None
        assert [(weight.data_ptr(), weight.stride()) for weight in module.parameters()] == before


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("clip", [0.1, 1e9])
def test_steps_in_one_buffer_are_those_weight_by_weight(seeds, clip, monkeypatch):
    together, apart = build(seeds), build(seeds)
    settings = OptimizerSettings(optimizer="adam", lr=0.01, max_grad_norm=clip, beta1=0.8)
    one = Optimization(settings, together, seeds=seeds)
    monkeypatch.setattr("rlgen.core.optim.flat.LARGEST", 0)
    other = Optimization(settings, apart, seeds=seeds)
    assert one.flat is not None
    assert other.flat is None
    scales = torch.tensor([1.0, 1e-3, 1e2])[:seeds]
    for _ in range(5):
        x = torch.randn(seeds, 4, 3)
        losses = [lambda m=m, x=x: (m(x).square().sum((1, 2)) * scales).sum() for m in (together, apart)]
        norm, expected = (each.step(loss, 0)["grad_norm"] for each, loss in zip((one, other), losses, strict=True))
        torch.testing.assert_close(norm, expected)
    for own, weight in zip(together.parameters(), apart.parameters(), strict=True):
        torch.testing.assert_close(own, weight)
