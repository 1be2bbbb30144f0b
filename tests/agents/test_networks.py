from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from rlgen.agents.networks import Head, QNetwork, RecurrentQNetwork
from rlgen.agents.noise import NoisyLinear, draw_noise, zero_noise
from rlgen.agents.numpy_network import in_numpy
from rlgen.core.seeds import Seeds


def shape(width=8, depth=2, *, dueling=False, noisy=False, layer_norm=False):
    return SimpleNamespace(width=width, depth=depth, dueling=dueling, noisy=noisy, layer_norm=layer_norm)


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
def test_images_meet_the_convolutions_of_the_papers(obs, layers):
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
        head.advantage[2].bias += 5.0  # what all actions share is not theirs
    torch.testing.assert_close(head(h), out)


def test_both_streams_learn():
    head = Head(6, 4, 1, shape(dueling=True))
    head(torch.randn(7, 6))[:, 1].square().sum().backward()
    for layer in (head.value[0], head.value[2], head.advantage[0], head.advantage[2]):
        assert layer.weight.grad.abs().sum() > 0
    assert not torch.equal(head.value[0].weight, head.advantage[0].weight)


# ---- without torch


def agree(seeds, fast, obs=(4,)):
    x = torch.randn(seeds.count, 9, *obs)
    kept = x.clone()
    with torch.no_grad():
        ours, theirs = fast(x.numpy()), seeds(x).flatten(2).numpy()
    assert torch.equal(x, kept)  # its in-place arithmetic leaves the observations alone
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
def test_numpy_gives_what_torch_gives(depth, dueling, layer_norm, obs, count):
    seeds = Seeds(lambda: QNetwork(obs, 3, 1, shape(16, depth, dueling=dueling, layer_norm=layer_norm)), count)
    agree(seeds, in_numpy(seeds), obs)


def test_layer_norm_makes_the_scale_of_what_it_sees_unimportant():
    """Every hidden layer has one, those of both streams of dueling too; but for biases, which scale does not reach."""
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
    """T14: what acts must never be older than what learns."""
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


# ---- noise


def noise_of(layer):
    """The noisy part of a layer's weights and biases, (outputs, inputs) and (outputs,), from what it computes."""
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


def test_noise_begins_as_in_the_paper():
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


def test_without_noise_it_is_a_linear_layer():
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


# ---- memory


def recurrent(k=1, **more):
    return RecurrentQNetwork((3,), 2, k, shape(6, **more))


def unrolled(network, obs, recurrent_state, start):
    """(B, T, ...) one step at a time, as it acts."""
    outputs = []
    for t in range(obs.shape[1]):
        out, recurrent_state = network(obs[:, t : t + 1], recurrent_state, start[:, t : t + 1])
        outputs.append(out)
    return torch.cat(outputs, 1), recurrent_state


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("k", [1, 3])
def test_step_by_step_is_the_whole_sequence(depth, k):
    network = recurrent(k, depth=depth, dueling=True)
    obs, recurrent_state, start = torch.randn(4, 9, 3), torch.randn(4, 12), torch.rand(4, 9) < 0.2
    whole, after = network(obs, recurrent_state, start)
    assert whole.shape == (4, 9, 2, k)
    steps, after_ = unrolled(network, obs, recurrent_state, start)
    torch.testing.assert_close(whole, steps)
    torch.testing.assert_close(after, after_)


def test_nothing_is_remembered_across_the_start_of_an_episode():
    network, obs, recurrent_state = recurrent(), torch.randn(2, 8, 3), torch.randn(2, 12)
    start = torch.zeros(2, 8, dtype=torch.bool)
    start[0, 5] = True
    whole, after = network(obs, recurrent_state, start)
    no = torch.zeros(1, 8, dtype=torch.bool)
    first, _ = network(obs[:1, :5], recurrent_state[:1], no[:, :5])
    second, end = network(obs[:1, 5:], torch.zeros(1, 12), no[:, 5:])
    torch.testing.assert_close(whole[:1], torch.cat([first, second], 1))
    torch.testing.assert_close(after[:1], end)
    other, _ = network(obs[1:], recurrent_state[1:], no)  # of the neighbour everything is
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


def test_it_is_the_cell_of_torch():
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
