import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from rlgen.generative.gan.networks import ARCHITECTURES, Discriminator, Generator, Up

BOTH = pytest.mark.parametrize("architecture", ARCHITECTURES)
SHAPES = [(1, 28), (3, 32), (1, 8), (3, 64)]


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize(("channels", "size"), SHAPES)
@pytest.mark.parametrize("classes", [0, 5])
@BOTH
def test_shapes_and_range(channels, size, classes, architecture):
    Generator, Discriminator = ARCHITECTURES[architecture]
    y = torch.arange(4) if classes else None
    images = Generator(16, channels, size, 4, classes)(10 * torch.randn(4, 16), y)
    assert images.shape == (4, channels, size, size)
    assert images.min() >= 0
    assert images.max() <= 1
    assert Discriminator(channels, size, 4, classes)(images, y).shape == (4,)


def test_a_last_batch_of_one_image_passes():
    assert Generator(16, 1, 28, 4)(torch.randn(1, 16)).isfinite().all()


@BOTH
def test_batch_norm_is_in_the_generator_alone_and_not_numb(architecture):
    Generator, Discriminator = ARCHITECTURES[architecture]
    norms = [m for m in Generator(16, 1, 28, 4).modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert all(norm.eps < 1e-3 for norm in norms)
    assert not any(isinstance(m, nn.modules.batchnorm._NormBase) for m in Discriminator(1, 28, 4).modules())


@BOTH
def test_the_logit_of_an_image_depends_on_no_other_image(architecture):
    discriminator = ARCHITECTURES[architecture][1](1, 28, 4).eval()
    real, fake = torch.rand(5, 1, 28, 28), torch.rand(5, 1, 28, 28)
    one = discriminator(torch.cat([real, fake]))[:5]
    other = discriminator(torch.cat([real, torch.zeros_like(fake)]))[:5]
    assert torch.equal(one, other)


def normalized(discriminator):
    return [module for module in discriminator.modules() if parametrize.is_parametrized(module, "weight")]


@pytest.mark.parametrize("classes", [0, 5])
@BOTH
def test_every_layer_of_the_discriminator_has_spectral_norm_1(classes, architecture):
    discriminator = ARCHITECTURES[architecture][1](1, 28, 8, classes)
    weighty = [m for m in discriminator.modules() if isinstance(m, nn.Conv2d | nn.Linear | nn.Embedding)]
    assert len(normalized(discriminator)) == len(weighty) == {"dcgan": 4, "residual": 9}[architecture] + bool(classes)
    with torch.no_grad():
        for layer in weighty:
            layer.parametrizations.weight.original.mul_(7)
        for _ in range(50):
            discriminator(torch.rand(2, 1, 28, 28), torch.tensor([0, 1]) if classes else None)
    discriminator.eval()
    for layer in weighty:
        largest = torch.linalg.svdvals(layer.weight.detach().flatten(1))[0]
        assert largest == pytest.approx(1, abs=1e-2)


@BOTH
def test_without_spectral_norm_weights_are_their_own(architecture):
    assert normalized(ARCHITECTURES[architecture][1](1, 28, 8, 5, spectral=False)) == []


def test_larger_images_start_as_small():
    """Up to 32 pixels the side doubles twice, above three times: the first side stays small."""
    assert [Generator(4, 1, size, 2).side for size in (8, 28, 32, 40, 56, 64)] == [2, 7, 8, 5, 7, 8]


def test_a_shortcut_may_be_enlarged_after_its_convolution():
    block, x = Up(3, 2), torch.randn(2, 3, 4, 4)
    enlarged = torch.nn.functional.interpolate(x, scale_factor=2)
    torch.testing.assert_close(block(x), block.change(x) + block.keep(enlarged))


def test_evaluation_does_not_move_the_discriminator():
    discriminator = Discriminator(1, 28, 4).eval()
    before = copy.deepcopy(discriminator.state_dict())
    x = torch.rand(3, 1, 28, 28)
    assert torch.equal(discriminator(x), discriminator(x))
    for name, value in discriminator.state_dict().items():
        assert torch.equal(value, before[name])


def test_saving_keeps_the_power_iteration():
    one, other = Discriminator(1, 28, 4), Discriminator(1, 28, 4)
    x = torch.rand(3, 1, 28, 28)
    one(x)
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(x), other(x))  # in training mode: it goes on from the same vectors
    assert torch.equal(one.eval()(x), other.eval()(x))


def test_labels_reach_both_networks():
    generator, discriminator = Generator(16, 1, 28, 4, 10).eval(), Discriminator(1, 28, 4, 10).eval()
    z = torch.randn(1, 16).expand(10, -1)
    images = generator(z, torch.arange(10))
    assert len({image.sum().item() for image in images}) == 10
    logits = discriminator(images[:1].expand(10, -1, -1, -1), torch.arange(10))
    assert len(set(logits.tolist())) == 10
