"""Grids of a minibatch, errors, confused pairs and filters: each image with its own words."""

import numpy as np
import pytest
import torch
from torch import nn

from rlgen.core.seeds import Conv2d, Linear, Seeds
from rlgen.supervised import galleries, measures

CLASSES = ("cat", "dog", "owl")


def numbered(n, channels=1):
    """Images of bytes (n, C, 2, 2), each grey of its number."""
    return torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1).expand(n, channels, 2, 2)


def greys(grid):
    """The first pixel of each image as a byte."""
    return grid.images[:, 0, 0, 0].mul(255).round().int().tolist()


def worst(probabilities, labels, count=9):
    return measures.top_losses(np.log(probabilities), labels, count)


def test_the_first_images_of_a_minibatch_with_their_labels():
    grid = galleries.minibatch(numbered(40) / 255, [str(i) for i in range(40)])
    assert greys(grid) == list(range(32))
    assert grid.captions == tuple(str(i) for i in range(32))
    assert "32 of 40" in grid.title


def test_a_small_minibatch_fills_its_last_row_with_dark_images():
    grid = galleries.minibatch(numbered(11) / 255, ["a"] * 11)
    assert len(grid.images) == len(grid.captions) == 16
    assert greys(grid)[:11] == list(range(11))
    assert grid.captions[11:] == ("",) * 5
    assert galleries.minibatch(numbered(3) / 255, ["a"] * 3).columns == 3


def test_top_losses_name_prediction_and_label_with_their_probabilities():
    p = np.array([[0.5, 0.3, 0.2], [0.05, 0.9, 0.05], [0.02, 0.38, 0.6]])
    grid = galleries.top_losses(numbered(3), CLASSES, worst(p, [0, 0, 0], 2))
    assert greys(grid) == [2, 1]
    assert grid.captions == ("owl: 60%\nlabel cat: 2%", "dog: 90%\nlabel cat: 5%")


def test_each_pair_has_a_row_of_its_own_images():
    p = np.full((5, 3), 0.1)
    labels, said = [0, 0, 1, 2, 0], [1, 1, 2, 2, 0]
    p[range(5), said] = 0.8
    pairs = measures.most_confused(measures.confusion(labels, said, 3), 9)
    grid = galleries.confused(numbered(5), CLASSES, pairs, worst(p, labels))
    assert grid.row_labels == ("cat → dog (2)", "dog → owl (1)")
    assert grid.columns == 5
    assert greys(grid)[:2] == [0, 1]
    assert greys(grid)[5] == 2
    assert grid.captions[:3] == ("80%", "80%", "")
    assert len(grid.captions) == len(grid.images) == 10


def test_without_errors_there_are_no_confused_pairs():
    assert galleries.confused(numbered(2), CLASSES, [], worst(np.eye(3)[:2] * 0.9 + 0.03, [0, 1])) is None


def test_filters_of_a_convolution_are_symmetric_around_grey():
    layer = Conv2d(1, 4, 3)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[1, 0, 0, 0] = 0.5
        layer.weight[2, 0, 0, 0] = -0.25
    grid = galleries.filters(nn.Sequential(layer), (1, 8, 8), CLASSES)
    assert grid.images[:4, 0, 0, 0].tolist() == [0.5, 1.0, 0.25, 0.5]
    assert "4 filters of 3x3" in grid.title
    assert not grid.captions


def test_of_several_networks_the_filters_of_the_first_are_shown():
    torch.manual_seed(0)
    network = Seeds(lambda: nn.Sequential(Conv2d(3, 4, 3)), 2)
    grid = galleries.filters(network, (3, 8, 8), CLASSES)
    weight = network.weight("0.weight")[0].detach()
    assert torch.allclose(grid.images[:4], 0.5 + 0.5 * weight / weight.abs().max())


def test_weights_of_a_linear_classifier_are_an_image_per_class():
    grid = galleries.filters(nn.Sequential(nn.Flatten(), Linear(16, 3)), (1, 4, 4), CLASSES)
    assert grid.images.shape == (3, 1, 4, 4)
    assert grid.captions == CLASSES


def test_weights_of_a_hidden_layer_have_no_class():
    grid = galleries.filters(nn.Sequential(nn.Flatten(), Linear(48, 60), Linear(60, 3)), (3, 4, 4), CLASSES)
    assert grid.images.shape == (48, 3, 4, 4)
    assert "48 of 60" in grid.title
    assert not grid.captions


@pytest.mark.parametrize(
    "network", [nn.Sequential(Conv2d(2, 4, 3)), nn.Sequential(nn.ReLU()), nn.Sequential(Linear(5, 3))]
)
def test_layers_that_are_no_images_have_no_picture(network):
    assert galleries.filters(network, (1, 4, 4), CLASSES) is None


def test_weights_of_zero_are_grey():
    layer = nn.Linear(16, 3)
    nn.init.zeros_(layer.weight)
    assert galleries.filters(nn.Sequential(layer), (1, 4, 4), CLASSES).images.unique().tolist() == [0.5]


@pytest.mark.parametrize(
    ("share", "text"), [(0.5, "50%"), (0.995, "99.50%"), (0.0004, "0.04%"), (0.0062, "0.6%"), (0.9, "90%")]
)
def test_probabilities_close_to_the_ends_keep_their_digits(share, text):
    assert galleries._percent(share) == text
