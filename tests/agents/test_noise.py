"""Noisy linear layers."""

from types import SimpleNamespace

import pytest
import torch

from rlgen.agents.networks import QNetwork
from rlgen.agents.noise import NoisyLinear, draw_noise, zero_noise
from rlgen.core.seeds import Seeds


def shape(width=8, depth=2, *, dueling=False, noisy=False, layer_norm=False, encoder=None):
    return SimpleNamespace(
        width=width, depth=depth, dueling=dueling, noisy=noisy, layer_norm=layer_norm, encoder=encoder
    )


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def noise_of(layer):
    """The noisy part of a layer's weights and biases, (outputs, inputs) and (outputs,), from its outputs."""
    nothing, eye = torch.zeros(1, layer.noise_in.numel()), torch.eye(layer.noise_in.numel())
    with torch.no_grad():
        bias = layer(nothing)[0]
        weight = (layer(eye) - bias).T
    return weight - layer.weight.detach(), bias - layer.bias.detach()


def test_noise_is_factorised():
    """T14, Fortunato et al. 2018, section 3.1 (b): f(ε_i) f(ε_j), of rank one, with the biases' noise f(ε_j)."""
    layer = NoisyLinear(9, 6)
    draw_noise(layer, stream())
    weight, bias = noise_of(layer)
    weight, bias = weight / layer.weight_sigma.detach(), bias / layer.bias_sigma.detach()
    torch.testing.assert_close(weight, torch.outer(layer.noise_out, layer.noise_in), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(bias, layer.noise_out, rtol=1e-4, atol=1e-5)
    singular = torch.linalg.svdvals(weight)
    assert singular[0] > 1
    assert singular[1] < 1e-4


def test_the_initial_noise_is_that_of_the_paper():
    """σ₀ / √p with σ₀ = 1/2, and means within 1 / √p; f(ε) = sgn(ε) √|ε|."""
    layer = NoisyLinear(16, 1000)
    assert torch.equal(layer.weight_sigma, torch.full((1000, 16), 0.125))
    assert torch.equal(layer.bias_sigma, torch.full((1000,), 0.125))
    assert 0.24 < layer.weight.abs().max() <= 0.25
    assert 0.24 < layer.bias.abs().max() <= 0.25
    draw_noise(layer, stream())
    drawn = layer.noise_out.sign() * layer.noise_out.square()  # normal again
    assert drawn.mean().item() == pytest.approx(0, abs=0.13)
    assert drawn.std().item() == pytest.approx(1, abs=0.1)
    assert drawn.abs().max() < 5


def test_without_noise_the_layer_is_linear():
    layer, x = NoisyLinear(9, 6), torch.randn(4, 9)
    calm = x @ layer.weight.T + layer.bias
    torch.testing.assert_close(layer(x), calm)
    draw_noise(layer, stream())
    assert (layer(x) - calm).abs().min() > 1e-6
    zero_noise(layer)
    torch.testing.assert_close(layer(x), calm)


def test_the_scale_of_noise_is_learned():
    layer = NoisyLinear(9, 6)
    draw_noise(layer, stream())
    x = torch.randn(4, 9)
    layer(x).sum().backward()
    torch.testing.assert_close(layer.weight_sigma.grad, torch.outer(layer.noise_out, layer.noise_in * x.sum(0)))
    torch.testing.assert_close(layer.bias_sigma.grad, 4 * layer.noise_out)


@pytest.mark.parametrize("count", [1, 3])
def test_noise_is_drawn_for_every_layer_and_seed_and_never_saved(count):
    seeds = Seeds(lambda: QNetwork((4,), 3, 2, shape(noisy=True, dueling=True)), count)
    noise = {name: x for name, x in seeds.named_buffers() if "noise" in name}
    assert len(noise) == 8  # two layers of two streams, two vectors each
    assert not any("noise" in name for name in seeds.state_dict())
    draw_noise(seeds, stream())
    first = {name: x.clone() for name, x in noise.items()}
    for x in first.values():
        assert (x != 0).all()
        for s in range(1, count):
            assert not torch.equal(x[0], x[s])
    calm = torch.randn(count, 5, 4)
    noisy = seeds(calm)
    draw_noise(seeds, stream(1))
    assert not any(torch.equal(first[name], x) for name, x in noise.items())
    assert not torch.allclose(noisy, seeds(calm))
    draw_noise(seeds, stream())
    assert torch.equal(noisy, seeds(calm))
    zero_noise(seeds)
    assert not any(x.any() for x in noise.values())
