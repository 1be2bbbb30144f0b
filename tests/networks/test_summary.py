"""The table of a network: counts of the literature, and receptive fields by where the gradient is not 0."""

import copy
import math

import pytest
import torch
from torch import nn

from rlgen import networks
from rlgen.core.seeds import Conv2d, Linear, Seeds
from rlgen.networks.settings import NetworkSettings
from rlgen.networks.summary import summarize


def image(*shape):
    return torch.zeros(1, *shape)


def alexnet(groups=2):
    convolutions = [
        [nn.Conv2d(3, 96, 11, 4), nn.ReLU(), nn.LocalResponseNorm(5), nn.MaxPool2d(3, 2)],
        [nn.Conv2d(96, 256, 5, padding=2, groups=groups), nn.ReLU(), nn.LocalResponseNorm(5), nn.MaxPool2d(3, 2)],
        [nn.Conv2d(256, 384, 3, padding=1), nn.ReLU()],
        [nn.Conv2d(384, 384, 3, padding=1, groups=groups), nn.ReLU()],
        [nn.Conv2d(384, 256, 3, padding=1, groups=groups), nn.ReLU(), nn.MaxPool2d(3, 2)],
    ]
    linear = [nn.Flatten(), nn.Linear(9216, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000)]
    return nn.Sequential(*(layer for layers in convolutions for layer in layers), *linear)


def vgg(*depths):
    layers, before = [], 3
    for depth, width in zip(depths, (64, 128, 256, 512, 512), strict=True):
        for _ in range(depth):
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
            before = width
        layers.append(nn.MaxPool2d(2))
    linear = [
        nn.Flatten(),
        nn.Linear(25088, 4096),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(4096, 4096),
        nn.Linear(4096, 1000),
    ]
    return nn.Sequential(*layers, *linear)


@pytest.mark.parametrize(
    ("build", "side", "parameters", "gmac", "field"),
    [
        (alexnet, 227, 60_965_224, 0.724, 195),
        (lambda: alexnet(groups=1), 227, 62_378_344, 1.135, 195),
        (lambda: vgg(2, 2, 3, 3, 3), 224, 138_357_544, 15.470, 212),
        (lambda: vgg(2, 2, 4, 4, 4), 224, 143_667_240, 19.632, 268),
    ],
)
def test_published_counts(build, side, parameters, gmac, field):
    with torch.device("meta"):
        table = summarize(build(), image(3, side, side))
    assert table.parameters == table.trainable == sum(layer.parameters for layer in table.layers) == parameters
    assert round(table.macs / 1e9, 3) == gmac
    assert table.receptive_field == (field, field)
    assert table.layers[-1].output == (1000,)


@pytest.mark.parametrize(
    ("name", "settings", "gmac", "field"),
    [
        ("alexnet", {}, 0.724, 195), ("vgg16", {}, 15.470, 212), ("vgg19", {}, 19.632, 268),
        ("vgg16", {"norm": "batch"}, 15.470, 212), ("googlenet", {}, 1.583, None),
        ("resnet18", {}, 1.814, 435), ("resnet34", {}, 3.664, 899), ("resnet50", {}, 4.089, 427),
        ("resnet50", {"bottleneck_stride": "1x1"}, 3.858, 483), ("resnet101", {}, 7.801, None),
        ("resnet101", {"bottleneck_stride": "1x1"}, 7.570, None), ("resnet152", {}, 11.514, None),
        ("resnet152", {"bottleneck_stride": "1x1"}, 11.282, None), ("densenet121", {}, 2.834, None),
        ("densenet169", {}, 3.360, None), ("densenet201", {}, 4.291, None), ("densenet161", {}, 7.728, None),
    ],
)  # fmt: skip
def test_the_networks_at_their_published_size(name, settings, gmac, field):
    entry = networks.find(name)
    with torch.device("meta"):
        network = networks.build(name, entry.input, entry.classes, NetworkSettings(network=name, **settings))
    table = summarize(network, image(*entry.input))
    assert settings or table.parameters - sum(table.unused.values()) == entry.parameters
    assert round(table.macs / 1e9, 3) == gmac
    assert field is None or table.receptive_field == (field, field)


@pytest.mark.parametrize(
    ("name", "mmac"),
    [("resnet20", 40.6), ("resnet32", 68.9), ("resnet56", 125.5), ("resnet110", 252.9), ("plain20", 40.6)],
)
def test_the_networks_for_32_pixels(name, mmac):
    with torch.device("meta"):
        table = summarize(networks.build(name, (3, 32, 32), 10), image(3, 32, 32))
    assert round(table.macs / 1e6, 1) == pytest.approx(mmac, abs=0.11)  # the projections of option B left out


def test_the_layers_of_alexnet():
    with torch.device("meta"):
        table = summarize(alexnet(), image(3, 227, 227))
    counts = [layer.parameters for layer in table.layers if layer.parameters]
    assert counts == [34_944, 307_456, 885_120, 663_936, 442_624, 37_752_832, 16_781_312, 4_097_000]
    first = table.layers[0]
    assert first.size_arithmetic == "(227 + 2·0 - 11)/4 + 1 = 55"
    assert first.parameter_arithmetic == "11²·3·96 + 96 = 34,944"
    assert first.mac_arithmetic == "11²·3·96·55² = 105,415,200"
    assert [layer.receptive_field[0] for layer in table.layers if layer.local][::4] == [11, 51, 99, 163]


def test_activations_of_vgg16_are_those_of_convolutions_pools_and_linear_layers():
    with torch.device("meta"):
        table = summarize(vgg(2, 2, 3, 3, 3), image(3, 224, 224))
    assert table.activations == 15_237_608  # 61 MB
    assert not any(layer.activations for layer in table.layers if layer.kind in ("ReLU", "Dropout", "Flatten"))


class Residual(nn.Module):
    """x + f(x), where the paths may differ in their windows."""

    def __init__(self, path, shortcut=None):
        super().__init__()
        self.path, self.shortcut = path, shortcut or nn.Identity()

    def forward(self, x):
        return torch.relu_(self.path(x) + self.shortcut(x))


class Branches(nn.Module):
    """Maps of paths with different windows, one after another."""

    def __init__(self, *paths):
        super().__init__()
        self.paths = nn.ModuleList(paths)

    def forward(self, x):
        return torch.cat([path(x) for path in self.paths], 1)


def conv(before, after, kernel, stride=1, **options):
    return nn.Conv2d(before, after, kernel, stride, padding=options.pop("padding", kernel // 2), **options)


SMALL = {
    "three of 3x3": nn.Sequential(*(conv(1, 1, 3) for _ in range(3))),
    "strides": nn.Sequential(conv(1, 2, 5, 2), nn.ReLU(), conv(2, 2, 3, 2), conv(2, 1, 3)),
    "average pooling": nn.Sequential(conv(1, 2, 3), nn.AvgPool2d(3, 2), conv(2, 1, 3), nn.AvgPool2d(2)),
    "dilation": nn.Sequential(conv(1, 2, 3, dilation=2, padding=2), conv(2, 1, 3)),
    "rectangles": nn.Sequential(nn.Conv2d(1, 1, (1, 7), padding=(0, 3)), nn.Conv2d(1, 1, (3, 1), padding=(1, 0))),
    "residual": nn.Sequential(conv(1, 2, 3), Residual(nn.Sequential(conv(2, 2, 3), nn.ReLU(), conv(2, 2, 3)))),
    "long shortcut": nn.Sequential(Residual(conv(1, 2, 1, 2), conv(1, 2, 5, 2)), conv(2, 1, 3)),
    "branches": nn.Sequential(Branches(conv(1, 1, 1), conv(1, 2, 5), nn.Sequential(conv(1, 1, 3))), conv(4, 1, 3)),
}


@pytest.mark.parametrize("name", SMALL)
def test_receptive_fields_are_where_the_gradient_is_not_zero(name):
    network = copy.deepcopy(SMALL[name])
    with torch.no_grad():
        for weight in network.parameters():
            weight.fill_(1.0)
    x = torch.rand(1, 1, 64, 64, requires_grad=True)
    maps = network(x)
    maps[0, 0, maps.shape[2] // 2, maps.shape[3] // 2].backward()
    rows, columns = (x.grad[0, 0] != 0).any(1).nonzero(), (x.grad[0, 0] != 0).any(0).nonzero()
    seen = tuple(int(where.max() - where.min()) + 1 for where in (rows, columns))
    assert summarize(network, image(1, 64, 64)).receptive_field == seen


def test_the_field_of_global_layers_is_the_whole_map():
    network = nn.Sequential(conv(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    table = summarize(network, image(1, 8, 8))
    assert [layer.local for layer in table.layers] == [True, False, False, False]
    assert table.receptive_field == (3, 3)
    assert table.layers[1].receptive_field == (10, 10)  # with one pixel of the padding on each side
    assert summarize(nn.Linear(3, 2), torch.zeros(1, 3)).receptive_field is None


def test_multiply_adds_equal_those_of_the_operations():
    network = nn.Sequential(
        conv(2, 6, 3, 2, groups=2), nn.ConvTranspose2d(6, 4, 4, 2, 1), nn.Flatten(), nn.Linear(144, 5)
    )
    table = summarize(network, image(2, 6, 6))
    assert [layer.macs for layer in table.layers] == [9 * 1 * 6 * 3 * 3, 16 * 6 * 4 * 3 * 3, 0, 144 * 5]
    for layer in table.layers:
        assert not layer.macs or evaluated(layer.mac_arithmetic) == layer.macs


def evaluated(arithmetic):
    """The left side of `a·b² + c = d`, in Python's hands."""
    plain = arithmetic.rpartition(" = ")[0].replace(",", "").replace("·", "*").replace("²", "**2").replace("³", "**3")
    return eval(plain.replace("⌊", "int(").replace("⌋", ")"))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 6, 5, 2, 1), nn.Conv2d(4, 6, 3, 3, 1, groups=2, bias=False),
        nn.Conv2d(4, 2, (3, 1), (2, 1), (1, 0)),
        nn.Conv2d(4, 2, 3, padding="same"), nn.Conv2d(4, 2, 3, dilation=2), nn.ConvTranspose2d(4, 3, 4, 2, 1, 1),
        nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2), nn.Linear(10, 3), nn.BatchNorm2d(4), nn.LayerNorm([4, 10, 10]),
        nn.GroupNorm(2, 4), nn.PReLU(),
    ],
    ids=str,
)  # fmt: skip
def test_every_arithmetic_ends_in_the_count(layer):
    (row,) = summarize(layer, image(4, 10, 10)).layers
    assert row.output == tuple(layer(torch.rand(1, 4, 10, 10)).shape[1:])
    assert row.parameters == sum(p.numel() for p in layer.parameters())
    if row.parameter_arithmetic:
        assert evaluated(row.parameter_arithmetic) == row.parameters
    if row.output[1:] != row.input[1:] and not isinstance(layer, nn.Linear):
        sides = [evaluated(part) for part in row.size_arithmetic.split(", ")]
        assert sorted(set(sides)) == sorted(set(row.output[1:]))


def test_ceil_mode_rounds_up():
    (row,) = summarize(nn.MaxPool2d(3, 2, ceil_mode=True), image(64, 112, 112)).layers
    assert row.output == (64, 56, 56)
    assert row.size_arithmetic == "⌈(112 + 2·0 - 3)/2⌉ + 1 = 56"


def test_frozen_shared_and_unused_parameters():
    shared = nn.Linear(4, 4)
    network = nn.Sequential(shared, shared, nn.Linear(4, 2))
    network[2].requires_grad_(False)
    table = summarize(network, torch.zeros(1, 4))
    assert [layer.parameters for layer in table.layers] == [20, 0, 10]
    assert (table.parameters, table.trainable, table.frozen) == (30, 20, 10)
    assert [layer.trainable for layer in table.layers] == [20, 0, 0]

    class WithHead(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.auxiliary = nn.Linear(4, 2), nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
            self.scale = nn.Parameter(torch.ones(2))

        def forward(self, x):
            return self.scale * self.body(x) + (self.auxiliary(x) if self.training else 0)

    table = summarize(WithHead(), torch.zeros(1, 4))
    assert table.unused == {"auxiliary": 23}
    assert table.parameters == 35
    assert [layer.parameters for layer in table.layers] == [10, 2]  # its own weights after those of its parts


def test_weights_that_are_computed_belong_to_their_layer():
    layer = torch.nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 8, 3))
    (row,) = summarize(layer, image(3, 5, 5)).layers
    assert row.parameters == 3 * 3 * 3 * 8 + 8
    assert row.macs == 27 * 8 * 9


def test_the_network_stays_as_it_is():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).train()
    before = copy.deepcopy(network.state_dict())
    summarize(network, image(1, 5, 5))
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not network[0]._forward_hooks


def test_a_copy_of_one_of_several_seeds():
    torch.manual_seed(0)
    seeds = Seeds(lambda: nn.Sequential(Conv2d(1, 2, 3), nn.Flatten(-3), Linear(18, 4)), 3)
    x = torch.rand(3, 5, 1, 5, 5)
    alone = seeds.alone(2)
    assert torch.allclose(alone(x[2]), seeds(x)[2], atol=1e-6)
    assert summarize(alone, image(1, 5, 5)).parameters == sum(p.numel() for p in seeds.parameters()) // 3
    seeds.network[0].weight.data.zero_()
    assert alone[0].weight.abs().sum() > 0


def test_values_are_json_ready():
    import json

    table = summarize(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()), image(1, 5, 5))
    values = json.loads(json.dumps(table.values()))
    assert values["parameters"] == 20
    assert values["layers"][0]["output"] == [2, 3, 3]
    assert values["activation_bytes"] == 4 * (25 + 18)
    assert math.prod(values["receptive_field"]) == 9
