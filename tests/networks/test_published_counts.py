"""Parameters and multiply-adds as in the papers and in code with published weights, to the digit."""

import pytest

from rlgen.networks import NETWORKS
from tests.networks.counting import CIFAR, IMAGENET, multiply_adds, network, parameters, weights

GIGA = {
    "alexnet": 0.724, "vgg16": 15.470, "vgg19": 19.632, "googlenet": 1.583, "resnet18": 1.814, "resnet34": 3.664,
    "resnet50": 4.089, "resnet101": 7.801, "resnet152": 11.514, "densenet121": 2.834, "densenet169": 3.360,
    "densenet201": 4.291, "densenet161": 7.728,
}  # fmt: skip


def published(name, **options):
    without_heads = {"auxiliary": False} if name == "googlenet" else {}
    entry = NETWORKS[name]
    return network(name, entry.input, entry.classes, **without_heads, **options), entry.input


@pytest.mark.parametrize("name", [name for name, entry in NETWORKS.items() if entry.parameters])
def test_published_parameters(name):
    module, shape = published(name)
    assert parameters(module) == NETWORKS[name].parameters
    if name in GIGA:
        assert round(multiply_adds(module, shape) / 1e9, 3) == GIGA[name]


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("alexnet", {"groups": False}, 62_378_344),
        ("vgg16", {"norm": "batch"}, 138_365_992),
        ("vgg19", {"norm": "batch"}, 143_678_248),
        ("googlenet", {"norm": "batch"}, 7_005_832),
        ("resnet18", {"shortcut": "A"}, 11_515_688),
        ("resnet34", {"shortcut": "A"}, 21_623_848),
        ("resnet50", {"bottleneck_stride": "1x1"}, 25_557_032),
    ],
)
def test_parameters_of_variants(name, options, count):
    assert parameters(published(name, **options)[0]) == count


def test_googlenet_with_both_auxiliary_classifiers():
    assert parameters(network("googlenet")) == 13_378_280


@pytest.mark.parametrize(("name", "giga"), [("resnet50", 3.858), ("resnet101", 7.570), ("resnet152", 11.282)])
def test_the_stride_in_the_1x1_convolution_costs_less_at_the_same_weights(name, giga):
    module = network(name, bottleneck_stride="1x1")
    assert parameters(module) == NETWORKS[name].parameters
    assert round(multiply_adds(module, IMAGENET) / 1e9, 3) == giga


def test_layers_of_alexnet():
    module, _ = published("alexnet")
    assert weights(module) == [34_944, 307_456, 885_120, 663_936, 442_624, 37_752_832, 16_781_312, 4_097_000]


def test_layers_of_vgg16():
    layers = weights(network("vgg16"))
    assert [sum(layers[:13]), *layers[13:]] == [14_714_688, 102_764_544, 16_781_312, 4_097_000]
    assert len(layers) == 16


def test_blocks_of_googlenet():
    body = network("googlenet").body
    stem = [count for block in (body.conv1, body.conv2) for count in weights(block)]
    assert stem == [9_472, 4_160, 110_784]
    modules = [parameters(block) for name, block in body.named_children() if name[0] in "345"]
    assert modules == [163_696, 388_736, 376_176, 449_160, 510_104, 605_376, 868_352, 1_043_456, 1_444_080]


def test_layers_of_lenet5():
    assert weights(network("lenet5", (1, 28, 28), 10)) == [156, 2_416, 48_120, 10_164, 850]
    assert parameters(network("lenet5", (1, 28, 28), 10)) == 61_706
    assert parameters(network("lenet5", CIFAR, 10)) == 62_006


def test_blocks_of_lenet5_of_1998():
    """Sparse C3, coefficients and biases of the subsampling, no weights of the outputs."""
    module = network("lenet5-1998", (1, 32, 32), 10)
    counts = [parameters(block) for block in module.body if parameters(block)]
    assert counts == [156, 12, 1_516, 32, 48_120, 10_164]
    assert parameters(module.head) == 0
    assert parameters(network("lenet5-1998", (1, 28, 28), 10)) == 60_000


@pytest.mark.parametrize(
    ("name", "options", "count", "mega"),
    [
        ("resnet20", {}, 269_722, 40.6), ("resnet32", {}, 464_154, 68.9), ("resnet56", {}, 853_018, 125.5),
        ("resnet110", {}, 1_727_962, 252.9), ("resnet20", {"shortcut": "B"}, 272_474, None),
        ("plain20", {}, 269_722, 40.6), ("plain56", {}, 853_018, 125.5), ("plain110", {}, 1_727_962, 252.9),
        ("resnet18", {}, 11_173_962, 555), ("resnet50", {}, 23_520_842, 1_298),
        ("resnet18", {"width": 0.25}, 701_466, 35), ("resnet50", {"width": 0.25}, 1_484_186, 81),
        ("vgg11", {}, 9_231_114, 153), ("vgg16", {}, 14_728_266, 313), ("vgg19", {}, 20_040_522, 398),
        ("alexnet", {}, 2_472_266, 15), ("googlenet", {"width": 0.25}, 372_578, 91),
        ("densenet121", {"width": 12 / 32}, 1_000_618, 125), ("densenet-bc-100-12", {}, 769_162, 288),
        ("densenet-bc-40-12", {}, 176_122, 72),
    ],
)  # fmt: skip
def test_parameters_for_small_images(name, options, count, mega):
    module = network(name, CIFAR, 10, **options)
    assert parameters(module) == count
    if mega is not None:
        assert round(multiply_adds(module, CIFAR) / 1e6, 1 if isinstance(mega, float) else None) == mega


@pytest.mark.parametrize(("depth", "count", "mega"), [(11, 579_498, 6), (16, 923_898, 13), (19, 1_256_634, 16)])
def test_narrow_vgg_on_grey_images_of_28_pixels_has_four_poolings(depth, count, mega):
    module = network(f"vgg{depth}", (1, 28, 28), 10, width=0.25)
    assert parameters(module) == count
    assert round(multiply_adds(module, (1, 28, 28)) / 1e6) == mega
    assert sum(name.startswith("pool") for name, _ in module.body.named_children()) == 4


def test_googlenet_with_two_3x3_convolutions_for_each_5x5():
    """The published count has biases before each batch norm, 7,904 in all, which have no effect."""
    module = network("googlenet", CIFAR, 10, factorised=True)
    biases = sum(layer.out_channels for layer in module.modules() if hasattr(layer, "out_channels"))
    assert parameters(module) + biases == 6_166_250
    assert round(multiply_adds(module, CIFAR) / 1e6) == 1_522


def test_plain_networks_have_as_many_parameters_as_residual_ones():
    for depth in (20, 32, 44, 56, 110):
        plain, residual = (network(f"{kind}{depth}", CIFAR, 10) for kind in ("plain", "resnet"))
        assert parameters(plain) == parameters(residual)


def test_the_fast_network_for_colour_is_half_of_airbench():
    module = network("fast", CIFAR, 10)
    assert parameters(module) + module.body.whiten[0].weight.numel() == 497_528
    assert round(multiply_adds(module, CIFAR) / 1e6) == 33
    wide = network("fast", CIFAR, 10, width=2)
    assert parameters(wide) + wide.body.whiten[0].weight.numel() == 1_971_640


@pytest.mark.parametrize(("width", "count"), [(0.5, 67_906)])
def test_narrow_residual_networks_on_fashion(width, count):
    assert parameters(network("resnet20", (1, 28, 28), 10, width=width)) == count
    assert parameters(network("plain56", (1, 28, 28), 10, width=width)) == 214_402


def test_channels_of_densenet_grow_linearly():
    module = network("densenet121")
    ends = [parameters(block[-2]) // block[-2].in_channels for name, block in module.body.named_children()
            if name.startswith("transition")]  # fmt: skip
    assert ends == [128, 256, 512]
    assert module.head.in_features == 1_024


def test_the_wrong_figures_of_the_course():
    """VGG16 has 138 million weights, not 128; 1x1 convolutions save 58 % of module 3a, not 30 %."""
    assert round(parameters(network("vgg16")) / 1e6) == 138
    whole = 192 * (64 + 9 * 128 + 25 * 32 + 32)
    reduced = 192 * (64 + 96 + 16 + 32) + 96 * 128 * 9 + 16 * 32 * 25
    assert round(100 * (1 - reduced / whole)) == 58
