"""The gradient by hand of multilayer Q-networks, against autograd in float64."""

import copy
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rlgen.agents.networks import QNetwork
from rlgen.agents.noise import draw_noise, zero_noise
from rlgen.agents.perceptron import Perceptron
from rlgen.core.seeds import Seeds


def build(
    count=1, obs=(4,), actions=3, k=5, scale=1.0, width=16, depth=2, dueling=False, noisy=False, layer_norm=False
):
    shape = SimpleNamespace(width=width, depth=depth, dueling=dueling, noisy=noisy, layer_norm=layer_norm, encoder=None)
    q = Seeds(lambda: QNetwork(obs, actions, k, shape, scale), count)
    draw_noise(q, torch.Generator().manual_seed(1))
    return q


def precise(q, obs, gradient):
    """Outputs and gradients in float64, by autograd."""
    q = copy.deepcopy(q).double()
    for parameter in q.parameters():
        parameter.grad = None
    out = q(obs.double())
    out[:, : gradient.shape[1]].backward(gradient.double())
    return out.detach(), {name: parameter.grad for name, parameter in q.named_parameters()}


def agree(q, fast, obs, gradient):
    expected, gradients = precise(q, obs, gradient)
    kept = obs.clone()
    out = fast.forward(obs.numpy())
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, expected.numpy(), rtol=1e-4, atol=1e-5)
    given = gradient.clone()
    fast.backward(gradient.numpy())
    for name, parameter in q.named_parameters():
        torch.testing.assert_close(parameter.grad.double(), gradients[name], rtol=1e-4, atol=1e-5)
    assert torch.equal(obs, kept)
    assert torch.equal(gradient, given)


@pytest.mark.parametrize(("dueling", "noisy", "layer_norm"), list(product([False, True], repeat=3)))
@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("count", [1, 3])
def test_outputs_and_gradients_are_those_of_autograd(count, depth, dueling, noisy, layer_norm):
    q = build(count, (2, 3), depth=depth, dueling=dueling, noisy=noisy, layer_norm=layer_norm)
    fast = Perceptron(q)
    agree(q, fast, torch.randn(count, 7, 2, 3), torch.randn(count, 7, 3, 5))
    agree(q, fast, torch.randn(count, 9, 2, 3), torch.randn(count, 4, 3, 5))  # of the first four alone


def test_one_number_per_action():
    q = build(k=1, dueling=True)
    agree(q, Perceptron(q), torch.randn(1, 7, 4), torch.randn(1, 7, 3, 1))


@pytest.mark.parametrize("count", [1, 2])
def test_the_weights_and_the_noise_are_those_of_the_network(count):
    """T14: steps of an optimizer, new noise and loaded weights are seen at once."""
    q, other = (build(count, dueling=True, noisy=True) for _ in range(2))
    fast, x, g = Perceptron(q), torch.randn(count, 7, 4), torch.randn(count, 7, 3, 5)
    agree(q, fast, x, g)
    with torch.no_grad():
        for parameter in q.parameters():
            parameter.sub_(0.1 * parameter.grad)
    agree(q, fast, x, g)
    draw_noise(q, torch.Generator().manual_seed(2))
    agree(q, fast, x, g)
    q.load_state_dict(other.state_dict())
    agree(q, fast, x, g)
    zero_noise(q)
    agree(q, fast, x, g)
    assert not any(p.grad.any() for name, p in q.named_parameters() if "sigma" in name)


def test_bytes_are_divided_by_their_scale():
    q = build(scale=255.0)
    obs = np.random.default_rng(0).integers(0, 256, (1, 7, 4), np.uint8)
    expected = q(torch.from_numpy(obs)).detach().numpy()
    np.testing.assert_allclose(Perceptron(q).forward(obs), expected, rtol=1e-4, atol=1e-6)


def test_outputs_of_former_calls_stay():
    q = build(dueling=True, layer_norm=True)
    fast, x = Perceptron(q), torch.randn(1, 7, 4).numpy()
    first = fast.forward(x)
    kept = first.copy()
    fast.forward(2 * x)
    np.testing.assert_array_equal(first, kept)
    fast.backward(np.ones((1, 7, 3, 5), np.float32))
    np.testing.assert_array_equal(first, kept)


def test_an_overflow_in_layer_norm_is_not_finite():
    """As in torch: zeros in its place would hide a divergence."""
    fast = Perceptron(build(layer_norm=True))
    assert np.isnan(fast.forward(np.full((1, 2, 4), 1e30, np.float32))).all()
