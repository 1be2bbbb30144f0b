"""The Q-network in numpy."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rlgen.agents.networks import QNetwork
from rlgen.agents.numpy_network import in_numpy
from rlgen.core.seeds import Seeds


def shape(width=8, depth=2, *, dueling=False, noisy=False, layer_norm=False, encoder=None):
    return SimpleNamespace(
        width=width, depth=depth, dueling=dueling, noisy=noisy, layer_norm=layer_norm, encoder=encoder
    )


def agree(seeds, fast, obs=(4,)):
    x = torch.randn(seeds.count, 9, *obs)
    kept = x.clone()
    with torch.no_grad():
        ours, theirs = fast(x.numpy()), seeds(x).flatten(2).numpy()
    assert torch.equal(x, kept)  # in-place arithmetic must not change the observations
    assert ours.shape == theirs.shape
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    for i in range(9):  # one at a time
        np.testing.assert_allclose(fast(x.numpy()[:, i : i + 1])[:, 0], theirs[:, i], rtol=1e-5, atol=1e-6)
    return theirs


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("obs", [(4,), (2, 3)])
@pytest.mark.parametrize("count", [1, 3])
def test_numpy_agrees_with_torch(depth, dueling, layer_norm, obs, count):
    seeds = Seeds(lambda: QNetwork(obs, 3, 1, shape(16, depth, dueling=dueling, layer_norm=layer_norm)), count)
    agree(seeds, in_numpy(seeds), obs)


def test_layer_norm_removes_the_scale_of_its_input():
    """In every hidden layer, also in both dueling streams; without biases, which have a scale of their own."""
    network = QNetwork((4,), 3, 1, shape(16, 3, dueling=True, layer_norm=True))
    assert sum(isinstance(layer, torch.nn.LayerNorm) for layer in network.modules()) == 4
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, torch.nn.Linear):
                layer.bias.zero_()
        x = torch.randn(5, 4)
        torch.testing.assert_close(network(1000 * x), network(x), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_the_weights_stay_shared(dueling, count):
    """T14: acting must use the newest weights."""
    network, other = (Seeds(lambda: QNetwork((4,), 3, 1, shape(16, dueling=dueling)), count) for _ in range(2))
    fast = in_numpy(network)
    x = np.ones((count, 1, 4), np.float32)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1, fused=True)
    for _ in range(5):
        before = fast(x)
        optimizer.zero_grad(set_to_none=True)
        network(torch.randn(count, 8, 4)).square().mean().backward()
        optimizer.step()
        agree(network, fast)
        assert not np.allclose(before, fast(x))
    network.load_state_dict(other.state_dict())
    agree(network, fast)
    with torch.no_grad():
        np.testing.assert_allclose(fast(x), other(torch.ones(count, 1, 4)).flatten(2).numpy(), atol=1e-6)
