from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from rlgen.agents.networks import Head, QNetwork, RecurrentQNetwork
from rlgen.agents.noise import draw_noise


def shape(width=8, depth=2, *, dueling=False, noisy=False, layer_norm=False, encoder=None):
    return SimpleNamespace(
        width=width, depth=depth, dueling=dueling, noisy=noisy, layer_norm=layer_norm, encoder=encoder
    )


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("obs", "depth", "k"), [((4,), 2, 1), ((16,), 1, 1), ((3,), 3, 5), ((2, 3), 1, 2)])
def test_shapes(obs, depth, k):
    network = QNetwork(obs, 3, k, shape(depth=depth))
    assert network(torch.rand(7, *obs)).shape == (7, 3, k)
    sizes = [int(np.prod(obs)), *[8] * depth, 3 * k]
    assert sum(p.numel() for p in network.parameters()) == sum(a * b + b for a, b in pairwise(sizes))


@pytest.mark.parametrize(
    ("obs", "layers"), [((4, 10, 10), [(16, 3, 1)]), ((4, 84, 84), [(32, 8, 4), (64, 4, 2), (64, 3, 1)])]
)
def test_images_have_the_convolutions_of_the_papers(obs, layers):
    network = QNetwork(obs, 6, 1, shape(depth=1), 255.0)
    convolutions = [layer for layer in network.torso if isinstance(layer, nn.Conv2d)]
    assert [(c.out_channels, c.kernel_size[0], c.stride[0]) for c in convolutions] == layers
    assert network.head.advantage[0].in_features == {10: 16 * 8 * 8, 84: 3136}[obs[1]]
    pixels = torch.randint(256, (2, *obs), dtype=torch.uint8)
    assert torch.equal(network(pixels), network(pixels / 255))


@pytest.mark.parametrize("obs", [(1, 3, 3), (3, 2, 5), (2, 1, 1), (1, 36, 3)])
def test_no_image_is_too_small(obs):
    assert QNetwork(obs, 2, 1, shape())(torch.rand(3, *obs)).shape == (3, 2, 1)


# ---- dueling


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("noisy", [False, True])
def test_a_dueling_head_gives_value_and_advantages_less_their_mean(k, noisy):
    """Wang et al. 2016, eq. 9."""
    head, h = Head(6, 4, k, shape(dueling=True, noisy=noisy)), torch.randn(2, 7, 6)
    draw_noise(head, stream())
    out, value, advantage = head(h), head.value(h), head.advantage(h)
    assert value.shape == (2, 7, 1, k)
    for a in range(4):
        expected = value[..., 0, :] + advantage[..., a, :] - sum(advantage[..., b, :] for b in range(4)) / 4
        torch.testing.assert_close(out[..., a, :], expected)
    torch.testing.assert_close(out.mean(-2), value.squeeze(-2))  # so V is the mean of Q
    with torch.no_grad():
        head.advantage[2].bias += 5.0  # a bias shared by all actions cancels
    torch.testing.assert_close(head(h), out)


def test_both_dueling_streams_have_gradients():
    head = Head(6, 4, 1, shape(dueling=True))
    head(torch.randn(7, 6))[:, 1].square().sum().backward()
    for layer in (head.value[0], head.value[2], head.advantage[0], head.advantage[2]):
        assert layer.weight.grad.abs().sum() > 0
    assert not torch.equal(head.value[0].weight, head.advantage[0].weight)


# ---- recurrent


def recurrent(k=1, **more):
    return RecurrentQNetwork((3,), 2, k, shape(6, **more))


def unrolled(network, obs, recurrent_state, start):
    """(B, T, ...) one step at a time, as in acting."""
    outputs = []
    for t in range(obs.shape[1]):
        out, recurrent_state = network(obs[:, t : t + 1], recurrent_state, start[:, t : t + 1])
        outputs.append(out)
    return torch.cat(outputs, 1), recurrent_state


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("k", [1, 3])
def test_single_steps_agree_with_the_whole_sequence(depth, k):
    network = recurrent(k, depth=depth, dueling=True)
    obs, recurrent_state, start = torch.randn(4, 9, 3), torch.randn(4, 12), torch.rand(4, 9) < 0.2
    whole, after = network(obs, recurrent_state, start)
    assert whole.shape == (4, 9, 2, k)
    steps, after_ = unrolled(network, obs, recurrent_state, start)
    torch.testing.assert_close(whole, steps)
    torch.testing.assert_close(after, after_)


def test_the_state_is_reset_at_the_start_of_an_episode():
    network, obs, recurrent_state = recurrent(), torch.randn(2, 8, 3), torch.randn(2, 12)
    start = torch.zeros(2, 8, dtype=torch.bool)
    start[0, 5] = True
    whole, after = network(obs, recurrent_state, start)
    no = torch.zeros(1, 8, dtype=torch.bool)
    first, _ = network(obs[:1, :5], recurrent_state[:1], no[:, :5])
    second, end = network(obs[:1, 5:], torch.zeros(1, 12), no[:, 5:])
    torch.testing.assert_close(whole[:1], torch.cat([first, second], 1))
    torch.testing.assert_close(after[:1], end)
    other, _ = network(obs[1:], recurrent_state[1:], no)  # the other row is not reset
    torch.testing.assert_close(whole[1:], other)
    assert not torch.allclose(whole[1:, 5:], network(obs[1:, 5:], torch.zeros(1, 12), no[:, 5:])[0])


def test_no_gradient_crosses_the_start_of_an_episode():
    network, obs = recurrent(), torch.randn(1, 6, 3, requires_grad=True)
    recurrent_state, start = torch.randn(1, 12, requires_grad=True), torch.zeros(1, 6, dtype=torch.bool)
    start[0, 3] = True
    network(obs, recurrent_state, start)[0][:, 3:].sum().backward()
    assert not recurrent_state.grad.any()
    assert not obs.grad[:, :3].any()
    assert obs.grad[:, 3:].abs().min() > 0


def test_the_cell_agrees_with_torch():
    """`nn.LSTM` has the same gates in the order input, forget, cell, output, and no 1 added to its forget gate."""
    network = RecurrentQNetwork((3,), 2, 1, shape(6, 1))
    other = nn.LSTM(3, 6, batch_first=True)
    with torch.no_grad():
        other.weight_ih_l0.copy_(network.inputs.weight)
        other.weight_hh_l0.copy_(network.recurrent.weight)
        other.bias_ih_l0.copy_(network.inputs.bias)
        other.bias_hh_l0.zero_()
        other.bias_hh_l0[6:12] = 1.0
    obs, recurrent_state = torch.randn(4, 9, 3), torch.randn(4, 12)
    h, c = recurrent_state.chunk(2, -1)
    expected, (h, c) = other(obs, (h[None].contiguous(), c[None].contiguous()))
    out, after = network(obs, recurrent_state, torch.zeros(4, 9, dtype=torch.bool))
    torch.testing.assert_close(out, network.head(expected))
    torch.testing.assert_close(after, torch.cat([h[0], c[0]], -1))


def test_layer_norm_removes_the_scale_of_its_input():
    """In every hidden layer, also in both dueling streams; without biases, which have a scale of their own."""
    network = QNetwork((4,), 3, 1, shape(16, 3, dueling=True, layer_norm=True))
    assert sum(isinstance(layer, nn.LayerNorm) for layer in network.modules()) == 4
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.Linear):
                layer.bias.zero_()
        x = torch.randn(5, 4)
        torch.testing.assert_close(network(1000 * x), network(x), rtol=1e-3, atol=1e-3)
