"""Sizes of maps, receptive fields, what a convolution is."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rlgen.core.seeds import Conv2d
from rlgen.networks.base import pooled
from tests.networks.counting import CIFAR, IMAGENET, network, sides


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "padding", "out"), [(7, 3, 1, 1, 7), (32, 5, 1, 2, 32), (227, 11, 4, 0, 55)]
)
def test_the_side_of_a_map(side, kernel, stride, padding, out):
    """⌊(N + 2P - F) / S⌋ + 1"""
    assert pooled(side, kernel, stride, padding) == out
    assert Conv2d(1, 1, kernel, stride, padding)(torch.zeros(1, 1, side, side)).shape[-1] == out


def test_parameters_of_a_convolution():
    """F² C K + K"""
    assert sum(p.numel() for p in Conv2d(3, 10, 5).parameters()) == (5**2 * 3 + 1) * 10 == 760


def test_a_convolution_is_a_product_with_the_patches():
    layer, x = Conv2d(3, 4, 3, 2, 1), torch.randn(2, 3, 9, 9)
    patches = F.unfold(x, 3, padding=1, stride=2)
    product = layer.weight.flatten(1) @ patches + layer.bias[:, None]
    torch.testing.assert_close(layer(x), product.view(2, 4, 5, 5))


def test_a_1x1_convolution_is_a_linear_layer_per_pixel():
    layer, x = Conv2d(3, 4, 1), torch.randn(2, 3, 5, 5)
    expected = F.linear(x.movedim(1, -1), layer.weight.flatten(1), layer.bias).movedim(-1, 1)
    torch.testing.assert_close(layer(x), expected)


def test_fc6_of_vgg_is_a_7x7_convolution():
    linear, x = nn.Linear(4 * 49, 6), torch.randn(2, 4, 7, 7)
    convolved = F.conv2d(x, linear.weight.view(6, 4, 7, 7), linear.bias)
    torch.testing.assert_close(linear(x.flatten(1)), convolved.flatten(1))


def test_sides_of_googlenet():
    found = sides(network("googlenet"), IMAGENET)
    assert [found[name] for name in ("pool1", "pool2", "pool3", "pool4")] == [56, 28, 14, 7]


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("alexnet", (3, 227, 227), [55, 27, 27, 13, 13, 13, 13, 6]),
        ("vgg11", IMAGENET, [224, 112, 112, 56, 56, 56, 28, 28, 28, 14, 14, 14, 7]),
        ("resnet18", IMAGENET, [112, 56, 56, 56, 28, 28, 14, 14, 7, 7]),
        ("resnet20", CIFAR, [32, 32, 32, 32, 16, 16, 16, 8, 8, 8]),
        ("densenet121", IMAGENET, [112, 56, 56, 28, 28, 14, 14, 7, 7]),
        ("lenet5", (1, 28, 28), [28, 14, 10, 5]),
        ("lenet5", (1, 32, 32), [28, 14, 10, 5]),
    ],
)
def test_sides_of_maps(name, shape, expected):
    assert list(sides(network(name, shape), shape).values()) == expected


def receptive_field(layers):
    """Side of the input that one output depends on, by where the gradient is not 0."""
    x = torch.ones(1, 1, 301, 301, requires_grad=True)
    y = nn.Sequential(*layers)(x)
    y[0, 0, y.shape[2] // 2, y.shape[3] // 2].backward()
    return int((x.grad[0, 0].abs().sum(0) > 0).sum())


def positive(kernel, stride=1, padding=0):
    layer = nn.Conv2d(1, 1, kernel, stride, padding, bias=False)
    nn.init.constant_(layer.weight, 1.0)
    return layer


def test_three_3x3_convolutions_cover_7x7():
    assert receptive_field([positive(3)] * 3) == receptive_field([positive(7)]) == 7


def skeleton(module):
    """The convolutions and poolings of a network, of one channel and with positive weights."""
    found = []
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            found.append(positive(layer.kernel_size[0], layer.stride[0], layer.padding[0]))
        elif isinstance(layer, nn.MaxPool2d):
            found.append(nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding))
    return found


@pytest.mark.parametrize(("name", "shape", "side"), [("alexnet", (3, 227, 227), 195), ("vgg16", IMAGENET, 212),
                                                     ("vgg19", IMAGENET, 268)])  # fmt: skip
def test_receptive_fields(name, shape, side):
    assert receptive_field(skeleton(network(name, shape))) == side
