import copy

import numpy as np
import pytest
import torch
from torch import nn

from rlgen.core.algorithm import descend
from rlgen.core.seeds import Conv2d, Linear, Seeds, derive, initial_weights, numpy_stream, torch_stream

S, B = 3, 8


def along(features, x):
    """Expand a vector (F,) of one network or (S, F) of several to the shape of x."""
    return features if features.dim() == 1 else features[:, None]


class Scaled(nn.Module):
    """Parameters at several depths and a buffer."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(Linear(4, 6), nn.Sequential(nn.ReLU(), Linear(6, 2)))
        self.register_buffer("scale", torch.rand(2))

    def forward(self, x):
        return self.body(x) * along(self.scale, x)


def build(count):
    torch.manual_seed(0)
    return Seeds(Scaled, count)


def separate():
    torch.manual_seed(0)
    return [Scaled() for _ in range(S)]


def test_seeds_are_separate_networks():
    x = torch.randn(S, B, 4)
    out = build(S)(x)
    assert out.shape == (S, B, 2)
    for s, network in enumerate(separate()):
        torch.testing.assert_close(out[s], network(x[s]), rtol=1e-6, atol=1e-6)
    assert not torch.allclose(out[0], build(S)(x.flip(0))[2])  # independent weights


@pytest.mark.parametrize("clip", [float("inf"), 0.5])
def test_training_together_equals_training_each_seed_alone(clip):
    together, alone = build(S), separate()
    optimizer = torch.optim.Adam(together.parameters(), lr=0.01, fused=True)
    optimizers = [torch.optim.Adam(network.parameters(), lr=0.01, fused=True) for network in alone]
    stream = torch.Generator().manual_seed(1)
    for _ in range(30):
        x, y = torch.randn(S, B, 4, generator=stream), torch.randn(S, B, 2, generator=stream)
        descend(optimizer, (together(x) - y).square().mean((1, 2)).sum(), clip, S)
        for s, network in enumerate(alone):
            descend(optimizers[s], (network(x[s]) - y[s]).square().mean(), clip)
    start = build(S)
    for name, _ in alone[0].named_parameters():
        for s, network in enumerate(alone):
            torch.testing.assert_close(together.weight(name)[s], network.get_parameter(name), rtol=1e-4, atol=1e-5)
            assert not torch.allclose(together.weight(name)[s], start.weight(name)[s])


def test_one_seed_runs_the_plain_module():
    seeds, network = build(1), separate()[0]
    x = torch.randn(1, B, 4)
    assert torch.equal(seeds(x)[0], network(x[0]))
    assert isinstance(seeds.network, Scaled)
    shared = seeds.weight("body.0.weight")
    assert shared.shape == (1, 6, 4)
    with torch.no_grad():
        shared.zero_()
    assert not seeds.network.body[0].weight.any()


@pytest.mark.parametrize("count", [1, S])
def test_copies_have_independent_weights_and_a_state_dict(count):
    online = build(count)
    target = copy.deepcopy(online)
    torch.manual_seed(9)
    other = Seeds(Scaled, count)
    x = torch.randn(count, B, 4)
    expected = online(x)
    with torch.no_grad():
        for parameter in online.parameters():
            parameter.add_(1)
    assert torch.equal(target(x), expected)
    other.load_state_dict(target.state_dict())
    assert torch.equal(other(x), expected)
    assert sum(p.numel() for p in target.parameters()) == count * (4 * 6 + 6 + 6 * 2 + 2)


class Several(nn.Module):
    """Several inputs and outputs, random draws of a given shape, and a buffer outside the state."""

    def __init__(self):
        super().__init__()
        self.linear = Linear(4, 3)
        self.register_buffer("noise", torch.zeros(3), persistent=False)
        self.register_buffer("kept", torch.rand(3))

    def forward(self, x, y, flag):
        h = self.linear(x) * flag[..., None] + along(self.noise, x)
        return h, (h + y) * along(self.kept, x)


@pytest.mark.parametrize("count", [1, S])
def test_several_inputs_and_outputs(count):
    torch.manual_seed(0)
    seeds = Seeds(Several, count)
    torch.manual_seed(0)
    alone = [Several() for _ in range(count)]
    x, y, flag = torch.randn(count, B, 4), torch.randn(count, B, 3), torch.rand(count, B) < 0.5
    out = seeds(x, y, flag)
    assert isinstance(out, tuple)
    for s, network in enumerate(alone):
        for ours, theirs in zip(out, network(x[s], y[s], flag[s]), strict=True):
            torch.testing.assert_close(ours[s], theirs)


@pytest.mark.parametrize("count", [1, S])
def test_buffers_outside_the_state_stay_outside_it(count):
    """A buffer that is written to: each network has its own part of it."""
    seeds = Seeds(Several, count)
    (noise,) = (buffer for name, buffer in seeds.named_buffers() if name.endswith("noise"))
    assert not any("noise" in name for name in seeds.state_dict())
    assert sum("kept" in name for name in seeds.state_dict()) == 1
    inputs = torch.randn(count, B, 4), torch.randn(count, B, 3), torch.ones(count, B)
    before, _ = seeds(*inputs)
    add = torch.arange(count * 3.0).view(count, 1, 3)
    noise.copy_(add.reshape(noise.shape))
    torch.testing.assert_close(seeds(*inputs)[0], before + add)
    other = copy.deepcopy(seeds)
    other.load_state_dict(seeds.state_dict())
    torch.testing.assert_close(other(*inputs)[0], before + add)  # unchanged by loading


@pytest.mark.parametrize("shape", [(B,), (B, 5), (2, 3, 5)])
@pytest.mark.parametrize("bias", [True, False])
def test_stacked_linear_layers_equal_single_ones(shape, bias):
    torch.manual_seed(0)
    together = Seeds(lambda: Linear(4, 3, bias=bias), S)
    x = torch.randn(S, *shape, 4)
    out = together(x)
    assert out.shape == (S, *shape, 3)
    for s in range(S):
        plain = nn.Linear(4, 3, bias=bias)
        plain.load_state_dict({name: weight[s] for name, weight in together.network.state_dict().items()})
        torch.testing.assert_close(out[s], plain(x[s]))


@pytest.mark.parametrize("shape", [(B,), (2, 5)])
@pytest.mark.parametrize("count", [1, S])
def test_stacked_convolutions_equal_single_ones(shape, count):
    torch.manual_seed(0)
    together = Seeds(lambda: Conv2d(2, 3, 3, 2), count)
    x = torch.randn(count, *shape, 2, 7, 9)
    out = together(x)
    assert out.shape == (count, *shape, 3, 3, 4)
    for s in range(count):
        plain = nn.Conv2d(2, 3, 3, 2)
        plain.load_state_dict({name: together.weight(name)[s] for name in plain.state_dict()})
        torch.testing.assert_close(out[s].flatten(0, -4), plain(x[s].flatten(0, -4)))


def test_a_stream_is_the_same_for_the_same_seed_and_purpose():
    assert np.array_equal(numpy_stream(3, "replay").random(5), numpy_stream(3, "replay").random(5))
    assert torch.equal(torch.rand(5, generator=torch_stream(3, "a")), torch.rand(5, generator=torch_stream(3, "a")))
    assert derive(3, "evaluation") == derive(3, "evaluation")


def test_streams_differ_by_purpose_and_by_seed():
    names = ["replay", "exploration", "environments", "evaluation", "noise", "weights", "samples"]
    for draw in (
        lambda seed, name: numpy_stream(seed, name).random(1000),
        lambda seed, name: torch.rand(1000, generator=torch_stream(seed, name), dtype=torch.float64).numpy(),
        lambda seed, name: np.random.default_rng(derive(seed, name)).random(1000),
    ):
        rows = np.stack([draw(seed, name) for seed in range(10) for name in names])
        correlation = np.corrcoef(rows) - np.eye(len(rows))
        assert np.abs(correlation).max() < 0.2  # of 2415 pairs of 1000 draws the largest is near 0.11


def test_drawing_from_one_stream_changes_no_other():
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = numpy_stream(0, "a"), numpy_stream(0, "b")
    first.random(100)
    torch.rand(100, generator=torch_stream(0, "c"))
    assert np.array_equal(second.random(3), numpy_stream(0, "b").random(3))
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002


def test_streams_are_the_same_in_every_process():
    """Hashes of strings differ from process to process; streams must not."""
    assert numpy_stream(0, "replay").integers(1000, size=4).tolist() == [192, 791, 860, 375]
    assert 0 <= derive(2**63 - 1, "x") < 2**63


def test_initial_weights_follow_the_seed_alone_and_leave_the_global_stream():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    drawn = []
    for seed in (0, 0, 1):
        with initial_weights(seed):
            drawn.append(torch.rand(5))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert torch.equal(torch.rand(3), expected)
