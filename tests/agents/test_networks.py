from itertools import pairwise

import numpy as np
import pytest
import torch

from agents.networks import QNetwork, in_numpy


@pytest.mark.parametrize(("obs", "depth", "k"), [((4,), 2, 1), ((16,), 0, 1), ((3,), 3, 5), ((4, 4, 3), 1, 2)])
def test_shapes(obs, depth, k):
    network = QNetwork(obs, actions=3, k=k, width=8, depth=depth)
    assert network(torch.rand(7, *obs)).shape == (7, 3, k)
    sizes = [int(np.prod(obs)), *[8] * depth, 3 * k]
    assert sum(p.numel() for p in network.parameters()) == sum(a * b + b for a, b in pairwise(sizes))


def agree(network, fast, obs=(4,)):
    x = torch.randn(9, *obs)
    kept = x.clone()
    with torch.no_grad():
        ours, theirs = fast(x.numpy()), network(x).flatten(1).numpy()
    assert torch.equal(x, kept)  # its in-place arithmetic leaves the observations alone
    assert ours.shape == theirs.shape
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)
    for i in range(9):  # one at a time
        np.testing.assert_allclose(fast(x.numpy()[i : i + 1])[0], theirs[i], rtol=1e-6, atol=1e-6)
    return theirs


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("obs", [(4,), (2, 3)])
def test_numpy_gives_what_torch_gives(depth, k, obs):
    network = QNetwork(obs, actions=3, k=k, width=16, depth=depth)
    agree(network, in_numpy(network), obs)


def test_the_weights_stay_shared():
    """What acts must never be older than what learns."""
    network, other = QNetwork((4,), 3, 1, 16, 2), QNetwork((4,), 3, 1, 16, 2)
    fast = in_numpy(network)
    x = np.ones((1, 4), np.float32)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1, fused=True)
    for _ in range(5):
        before = fast(x)
        optimizer.zero_grad(set_to_none=True)
        network(torch.randn(8, 4)).square().mean().backward()
        optimizer.step()
        agree(network, fast)
        assert not np.allclose(before, fast(x))
    network.load_state_dict(other.state_dict())
    agree(network, fast)
    with torch.no_grad():
        np.testing.assert_allclose(fast(x), other(torch.ones(1, 4)).flatten(1).numpy(), atol=1e-6)
