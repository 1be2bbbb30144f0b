"""Networks for images as discriminators."""

import pytest
import torch
from torch import nn

from rlgen.core.config import refuse_unused, resolve
from rlgen.core.errors import UserError
from rlgen.core.settings import Setup
from rlgen.generative.gan.gan import GAN
from rlgen.generative.gan.networks import NetworkDiscriminator

NETWORKS = ["lenet5", "fast", "mlp", "resnet20", "vgg11", "densenet-bc-40-12"]


def model(**settings):
    small = {"batch": 8, "width": 4, "latent": 4, "size": 12, **settings}
    return GAN("digits", resolve(GAN.Config, small), Setup(threads=1))


@pytest.mark.parametrize("spectral", [True, False])
@pytest.mark.parametrize("network", NETWORKS)
def test_the_logit_of_an_image_depends_on_no_other(network, spectral):
    torch.manual_seed(0)
    discriminator, x = NetworkDiscriminator(network, 1, 16, 0, spectral=spectral).eval(), torch.rand(4, 1, 16, 16)
    torch.testing.assert_close(discriminator(x)[1:2], discriminator(x[1:2]), rtol=1e-4, atol=1e-5)
    assert discriminator(x).unique().numel() == 4
    assert not any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in discriminator.modules())


@pytest.mark.parametrize("network", NETWORKS)
def test_every_layer_has_the_spectral_norm_1(network):
    torch.manual_seed(0)
    discriminator = NetworkDiscriminator(network, 1, 16, 0)
    for _ in range(30):  # power iterations
        discriminator(torch.rand(1, 1, 16, 16))
    discriminator.eval()
    layers = [layer for layer in discriminator.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len(layers) > 2
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("settings", [
    {"r1_weight": 1.0, "r1_interval": 1}, {"spectral_norm": False, "gradient_penalty_weight": 1.0},
    {"conditional": True},
])  # fmt: skip
@pytest.mark.parametrize("network", ["lenet5", "fast"])
def test_a_gan_trains_with_penalties_and_with_labels(network, settings):
    gan = model(discriminator=network, **settings)
    before = [p.clone() for p in gan.discriminator.features.parameters()]
    for _ in range(2):
        metrics = gan.step()
    assert metrics["discriminator_loss"].isfinite()
    after = list(gan.discriminator.features.parameters())
    assert any(not torch.equal(p, q) for p, q in zip(before, after, strict=True))


def test_the_generator_stays_that_of_the_architecture():
    generators = [model(discriminator="mlp", architecture="residual"), model(architecture="residual")]
    assert len({str(gan.generator) for gan in generators}) == 1


def test_images_below_the_smallest_are_refused():
    with pytest.raises(UserError, match=r"--discriminator alexnet needs images of .* 29x29 .*12x12: --size 32$"):
        model(discriminator="alexnet")
    with pytest.raises(UserError, match=r"no network 'resnet21': did you mean .*resnet20"):
        model(discriminator="resnet21")


def test_the_width_of_the_other_discriminators_is_refused_beside_it():
    settings = resolve(GAN.Config, {"discriminator": "fast", "discriminator_width": 8})
    with pytest.raises(UserError, match="--discriminator-width has no effect"):
        refuse_unused(settings, ["discriminator_width"])
