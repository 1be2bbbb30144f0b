"""The default network: whitened patches, and how well few images train it."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rlgen.core.seeds import Seeds
from rlgen.networks import build
from rlgen.networks.fast import SCALE, Whitening

IMAGES = 300


def images(channels=3):
    """Neighbouring pixels and channels that are alike."""
    x = torch.randn(IMAGES, channels, 9, 9, generator=torch.Generator().manual_seed(0))
    return F.avg_pool2d(x, 2, 1) + 0.5 * x[:, :1, 1:, 1:]


def fitted(x):
    layer = Whitening(x.shape[1])
    layer.fit(x)
    return layer


def test_whitened_patches_have_the_identity_as_their_second_moments():
    x = images()
    layer = fitted(x)
    layer.fit(x, eps=0.0)
    maps = layer(x)[:, :12].transpose(0, 1).flatten(1)
    torch.testing.assert_close(maps @ maps.T / maps.shape[1], torch.eye(12), atol=2e-3, rtol=0)


def test_the_second_half_of_the_directions_is_the_first_negated():
    weight = fitted(images()).weight
    assert torch.equal(weight[:12], -weight[12:])
    strongest, weakest = weight[0].norm(), weight[11].norm()
    assert strongest < weakest  # 1 / √λ, in the order of falling eigenvalues


def test_directions_are_saved_but_not_trained():
    layer = Whitening(3)
    assert [name for name, _ in layer.named_parameters()] == ["bias"]
    assert set(layer.state_dict()) == {"bias", "weight"}


def test_before_it_is_fitted_the_layer_passes_the_pixels_on():
    x = images(1)
    assert torch.equal(Whitening(1)(x)[:, 0], x[:, 0, :-1, :-1])


def test_a_network_is_prepared_with_normalised_training_images():
    """All networks of a stack alike."""
    x = F.interpolate(images(), size=16)
    network = build("fast", (3, 16, 16), 10)
    network.prepare(x)
    expected = fitted(x).weight
    assert torch.equal(network.body.whiten[0].weight, expected)
    together = Seeds(lambda: build("fast", (3, 16, 16), 10), 2)
    together.network.prepare(x)
    assert torch.equal(together.network.body.whiten[0].weight, torch.stack([expected] * 2))


def test_other_networks_need_no_preparation():
    network = build("lenet5", (3, 16, 16), 10)
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    network.prepare(torch.rand(5, 3, 16, 16))
    assert all(torch.equal(before[name], weight) for name, weight in network.state_dict().items())


def test_convolutions_of_colour_networks_copy_their_inputs_at_first():
    network = build("fast", (3, 32, 32), 10)
    weight = network.body.stage2[0].weight
    centre = torch.zeros(32, 32, 3, 3)
    centre[:, :, 1, 1] = torch.eye(32)
    assert torch.equal(weight[:32], centre)
    assert all(
        layer.weight is None for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)
    )  # without gains


def test_logits_for_colour_images_are_divided_by_nine():
    network, x = build("fast", (3, 32, 32), 10).eval(), torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(network(x), network.head[0](network.features(x)) * SCALE)
    assert pytest.approx(1 / 9) == SCALE


@pytest.mark.parametrize("channels", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_few_images_are_learned_by_heart(channels):
    torch.manual_seed(0)
    x, y = torch.randn(64, channels, 16, 16), torch.arange(64) % 10
    network = build("fast", (channels, 16, 16), 10)
    network.prepare(x)
    optimizer = torch.optim.Adam(network.parameters(), 5e-3)
    for _ in range(80):
        loss = F.cross_entropy(network(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3
