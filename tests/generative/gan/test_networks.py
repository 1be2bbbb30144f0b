import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize

from rlgen.generative.gan.networks import ARCHITECTURES, Discriminator, DownBlock, Generator, UpBlock, doublings

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


def test_widths_double_with_each_halving():
    generator, discriminator = Generator(16, 3, 64, 4), Discriminator(3, 64, 5)
    convolutions = [m for m in generator.upsample if isinstance(m, nn.ConvTranspose2d)]
    assert [(m.in_channels, m.out_channels) for m in convolutions] == [(16, 8), (8, 4), (4, 3)]
    convolutions = [m for m in discriminator.features if isinstance(m, nn.Conv2d)]
    assert [(m.in_channels, m.out_channels) for m in convolutions] == [(3, 5), (5, 10), (10, 20), (20, 40)]
    residual = [m for m in ARCHITECTURES["residual"][1](3, 32, 5).features if isinstance(m, DownBlock)]
    assert [m.residual[3].out_channels for m in residual] == [5, 10, 10]


def test_a_batch_of_one_image_passes_the_batch_norm():
    assert Generator(16, 1, 28, 4)(torch.randn(1, 16)).isfinite().all()


@BOTH
def test_batch_norm_is_in_the_generator_alone_with_a_small_eps(architecture):
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


def normalised(discriminator):
    return [module for module in discriminator.modules() if parametrize.is_parametrized(module, "weight")]


@pytest.mark.parametrize("classes", [0, 5])
@BOTH
def test_every_layer_of_the_discriminator_has_spectral_norm_1(classes, architecture):
    discriminator = ARCHITECTURES[architecture][1](1, 28, 8, classes)
    layers = [m for m in discriminator.modules() if isinstance(m, nn.Conv2d | nn.Linear | nn.Embedding)]
    assert len(normalised(discriminator)) == len(layers) == {"dcgan": 4, "residual": 9}[architecture] + bool(classes)
    with torch.no_grad():
        for layer in layers:
            layer.parametrizations.weight.original.mul_(7)
        for _ in range(50):
            discriminator(torch.rand(2, 1, 28, 28), torch.tensor([0, 1]) if classes else None)
    discriminator.eval()
    for layer in layers:
        largest = torch.linalg.svdvals(layer.weight.detach().flatten(1))[0]
        assert largest == pytest.approx(1, abs=1e-2)


@BOTH
def test_without_spectral_norm_no_weight_is_normalised(architecture):
    assert normalised(ARCHITECTURES[architecture][1](1, 28, 8, 5, spectral=False)) == []


def test_the_lowest_resolution_stays_small_for_larger_images():
    """Up to 32 pixels the resolution doubles twice, above three times where the side is a multiple of 8."""
    sizes = (8, 28, 32, 36, 40, 56, 64)
    assert [doublings(size) for size in sizes] == [2, 2, 2, 2, 3, 3, 3]
    assert [Generator(4, 1, size, 2).side for size in sizes] == [2, 7, 8, 9, 5, 7, 8]


def test_the_shortcut_of_an_up_block_is_enlarged_after_its_convolution():
    block, x = UpBlock(3, 2), torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(block(x), block.residual(x) + block.shortcut(F.interpolate(x, scale_factor=2)))


@pytest.mark.parametrize("first", [False, True])
def test_a_down_block_is_the_mean_of_four_pixels(first):
    block, x = DownBlock(3, 2, lambda layer: layer, first=first), torch.randn(2, 3, 4, 4)
    first_conv, second_conv, shortcut = block.residual[1], block.residual[3], block.shortcut[1]
    h = second_conv(F.relu(first_conv(x if first else F.relu(x))))
    torch.testing.assert_close(block(x), F.avg_pool2d(h + shortcut(x), 2))
    same = DownBlock(3, 3, lambda layer: layer, halve=False)
    torch.testing.assert_close(same(x), x + same.residual[3](F.relu(same.residual[1](F.relu(x)))))


def test_evaluation_does_not_move_the_discriminator():
    discriminator = Discriminator(1, 28, 4).eval()
    before = copy.deepcopy(discriminator.state_dict())
    x = torch.rand(3, 1, 28, 28)
    assert torch.equal(discriminator(x), discriminator(x))
    for name, value in discriminator.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_checkpoint_keeps_the_power_iteration():
    one, other = Discriminator(1, 28, 4), Discriminator(1, 28, 4)
    x = torch.rand(3, 1, 28, 28)
    one(x)
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(x), other(x))  # in training mode, from the same singular vectors
    assert torch.equal(one.eval()(x), other.eval()(x))


@BOTH
def test_the_label_is_projected_on_the_features(architecture):
    """D(x, y) = wᵀφ(x) + b + e(y)ᵀφ(x), image by image (Miyato & Koyama 2018)."""
    discriminator = ARCHITECTURES[architecture][1](1, 8, 4, 10).eval()
    x, y = torch.rand(6, 1, 8, 8), torch.tensor([3, 0, 9, 3, 1, 7])
    logits = discriminator(x, y)
    for i in range(6):
        feature = discriminator.features(2 * x[i : i + 1] - 1)[0]
        embedding = discriminator.label_embedding.weight[y[i]]
        expected = discriminator.output.weight[0] @ feature + discriminator.output.bias[0] + embedding @ feature
        assert logits[i].item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-6)


@BOTH
def test_the_label_is_an_input_of_the_generator(architecture):
    """As one-hot numbers beside the noise."""
    generator = ARCHITECTURES[architecture][0](5, 1, 8, 4, 3).eval()
    z, y, inputs = torch.randn(4, 5), torch.tensor([2, 0, 1, 2]), []
    generator.project.register_forward_pre_hook(lambda module, given: inputs.append(given[0]))
    images = generator(z[:1].expand(4, -1), y)
    assert torch.equal(images[0], images[3])
    assert len({image.sum().item() for image in images}) == 3
    generator(z, y)
    assert torch.equal(inputs[1], torch.cat([z, torch.eye(3)[y]], 1))
