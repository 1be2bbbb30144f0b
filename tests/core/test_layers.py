import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rlgen.core import layers
from rlgen.core.seeds import Seeds, torch_stream

S, B = 3, 6


def maps(*leading, channels=4, side=7):
    return torch.randn(*leading, channels, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("layer", "plain"),
    [
        (layers.BatchNorm2d(4), nn.BatchNorm2d(4)),
        (layers.GroupNorm(2, 4), nn.GroupNorm(2, 4)),
        (layers.MaxPool2d(3, 2, 1), nn.MaxPool2d(3, 2, 1)),
        (layers.AvgPool2d(3, 2), nn.AvgPool2d(3, 2)),
        (layers.AvgPool2d(3, 2, 1), nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
        (layers.AdaptivePool2d(1), nn.AdaptiveAvgPool2d(1)),
        (layers.AdaptivePool2d(1, maximum=True), nn.AdaptiveMaxPool2d(1)),
        (layers.AdaptivePool2d(3), nn.AdaptiveAvgPool2d(3)),
        (layers.AdaptivePool2d(3, maximum=True), nn.AdaptiveMaxPool2d(3)),
    ],
)
def test_layers_equal_those_of_torch_for_any_number_of_leading_axes(layer, plain):
    x = maps(5, 2)
    torch.testing.assert_close(layer(x).flatten(0, 1), plain(x.flatten(0, 1)))
    assert str(layer.state_dict().keys()) == str(plain.state_dict().keys())


@pytest.mark.parametrize("leading", [(3,), (2, 3)])
def test_the_maximum_of_windows_is_channels_last_and_has_their_gradient(leading):
    x = maps(*leading, side=8).requires_grad_()
    out = layers.MaxPool2d(2)(x)
    assert out.flatten(0, -4).is_contiguous(memory_format=torch.channels_last)
    plain = F.max_pool2d(x.flatten(0, -4), 2).view(out.shape)
    assert torch.equal(*(torch.autograd.grad(each.square().sum(), x)[0] for each in (out, plain)))


def test_features_are_normalised_like_maps_of_one_pixel():
    x = maps(B, side=1)
    torch.testing.assert_close(layers.BatchNorm1d(4)(x[..., 0, 0]), layers.BatchNorm2d(4)(x)[..., 0, 0])
    torch.testing.assert_close(layers.GroupNorm(1, 4, maps=False)(x[..., 0, 0]), F.layer_norm(x[..., 0, 0], (4,)))


def test_the_running_variance_is_unbiased_and_its_momentum_the_share_of_the_new():
    """After one batch of variance v: 0.9 + 0.1 n / (n - 1) v."""
    norm, x = layers.BatchNorm2d(4), maps(B)
    norm(x)
    count = B * 49
    variance = x.transpose(0, 1).flatten(1).var(1, correction=0)
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * count / (count - 1) * variance)
    torch.testing.assert_close(norm.running_mean, 0.1 * x.mean((0, 2, 3)))
    assert norm.num_batches_tracked == 1


def randomised(build):
    def draw():
        layer = build()
        for weight in layer.parameters():
            nn.init.normal_(weight)
        return layer

    return draw


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_stacked_batch_norms_equal_single_ones(affine, training):
    torch.manual_seed(0)
    together = Seeds(randomised(lambda: layers.BatchNorm2d(4, affine=affine)), S).train(training)
    torch.manual_seed(0)
    alone = [randomised(lambda: layers.BatchNorm2d(4, affine=affine))().train(training) for _ in range(S)]
    x = maps(S, B)
    for _ in range(2):
        out = together(x)
        for s, norm in enumerate(alone):
            torch.testing.assert_close(out[s], norm(x[s]))
    for s, norm in enumerate(alone):
        for name, buffer in norm.named_buffers():
            torch.testing.assert_close(together.network.get_buffer(name)[s], buffer)


@pytest.mark.parametrize("build", [lambda: layers.GroupNorm(2, 4), lambda: layers.GroupNorm(1, 4, maps=False)])
def test_stacked_group_norms_equal_single_ones(build):
    torch.manual_seed(0)
    together = Seeds(randomised(build), S)
    torch.manual_seed(0)
    alone = [randomised(build)() for _ in range(S)]
    x = maps(S, B) if alone[0].axes == 3 else torch.randn(S, B, 4)
    for s, norm in enumerate(alone):
        torch.testing.assert_close(together(x)[s], norm(x[s]))


def test_a_frozen_weight_stays_frozen_in_a_stack():
    def build():
        norm = layers.BatchNorm2d(4)
        norm.weight.requires_grad_(False)
        return norm

    assert [p.requires_grad for p in Seeds(build, S).parameters()] == [False, True]


def test_local_response_normalisation_is_that_of_the_paper():
    """a / (2 + 1e-4 Σ a²)^0.75 over five channels, Krizhevsky et al. 2012, section 3.3."""
    x = 50 * maps(2, channels=8, side=2)
    expected = torch.empty_like(x)
    for i in range(8):
        total = x[:, max(0, i - 2) : i + 3].square().sum(1)
        expected[:, i] = x[:, i] / (2 + 1e-4 * total) ** 0.75
    torch.testing.assert_close(layers.LocalResponseNorm()(x), expected)
    torch.testing.assert_close(nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)(x), expected)
    assert not torch.allclose(nn.LocalResponseNorm(5)(x), expected, rtol=0.1)


def test_dropout_keeps_the_expectation_and_is_the_identity_in_evaluation():
    layer, x = layers.Dropout(0.25), torch.ones(100_000)
    layers.draw_from(torch_stream(0, "dropout"), layer)
    out = layer(x)
    assert out.mean().item() == pytest.approx(1.0, abs=0.01)
    assert (out == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert torch.equal(layer.eval()(x), x)


def test_dropout_draws_from_its_stream_alone():
    network, x = nn.Sequential(layers.Dropout(0.5), layers.Dropout(0.5)), torch.ones(50)
    stream = torch_stream(0, "dropout")
    layers.draw_from(stream, network)
    saved, before = stream.get_state(), torch.get_rng_state()
    first = network(x)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(first, network(x))
    stream.set_state(saved)
    assert torch.equal(first, network(x))


def test_a_network_with_dropout_can_be_copied():
    network = nn.Sequential(layers.Dropout(0.5))
    layers.draw_from(torch_stream(0, "dropout"), network)
    copied = copy.deepcopy(network).eval()
    assert torch.equal(copied(torch.ones(3)), torch.ones(3))
