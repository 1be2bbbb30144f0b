import pytest
import torch
from torch import nn

from rlgen.core.errors import UserError
from rlgen.explain.layers import Unit, find_unit, maps, receptive_fields
from tests.explain.by_hand import Net, Shortcut, convolutional


def test_the_receptive_field_grows_by_the_strides_before():
    """r += (F - 1) j, j *= S: 3; 4 with j = 2; 8; pooling of 4: 14."""
    network = Net(
        nn.Linear(1, 1),
        conv1=nn.Conv2d(1, 2, 3, padding=1),
        pool=nn.MaxPool2d(2),
        conv2=nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(inplace=True)),
        pool2=nn.AvgPool2d(4),
    ).eval()
    for block, size, middle in (("conv1", 3, 10), ("pool", 4, 5), ("conv2", 8, 5), ("pool2", 14, 1)):
        rows, columns = receptive_fields(network, block, (1, 20, 24))
        assert (rows[middle, 1] - rows[middle, 0]).item() == size, block
        assert (columns[middle, 1] - columns[middle, 0]).item() == size, block
    rows, _ = receptive_fields(network, "conv1", (1, 20, 24))
    assert rows.tolist() == [[max(0, i - 1), min(20, i + 2)] for i in range(20)]


def test_the_receptive_field_is_where_the_gradient_is_not_zero():
    body = {"conv": nn.Conv2d(2, 3, 5, stride=2, padding=2), "skip": Shortcut(nn.Conv2d(3, 3, 3, padding=1), nn.Tanh())}
    network = Net(nn.Linear(1, 1), **body).eval()
    rows, columns = receptive_fields(network, "skip", (2, 16, 16))
    x = torch.randn(1, 2, 16, 16, requires_grad=True)
    (gradient,) = torch.autograd.grad(network.body(x)[0, :, 3, 5].sum(), x)
    touched = gradient[0].abs().sum(0).nonzero()
    assert [touched[:, 0].min(), touched[:, 0].max() + 1] == rows[3].tolist()
    assert [touched[:, 1].min(), touched[:, 1].max() + 1] == columns[5].tolist()


def test_global_pooling_depends_on_every_pixel():
    rows, columns = receptive_fields(convolutional(), "conv2", (1, 8, 8))
    assert rows.tolist() == columns.tolist() == [[0, 8]]


def test_a_unit_is_written_as_block_and_index():
    network, x = convolutional(), torch.randn(1, 1, 8, 8)
    assert maps(network, x) == {"conv1": (4, 8, 8), "pool1": (4, 4, 4), "conv2": (6, 1, 1), "flatten": (6,)}
    assert find_unit(network, x, "conv2:5") == Unit("conv2", 5)
    assert str(Unit("conv2", 5)) == "conv2:5"
    for text, message in (
        ("conv3:1", "no block 'conv3': did you mean conv"),
        ("xyz:1", "the blocks of this network are conv1, pool1, conv2, flatten"),
        ("5", "write block:index"),
        ("conv1:4", "conv1 has the units 0 to 3"),
        ("conv1:a", "conv1 has the units 0 to 3"),
        ("conv1:-1", "conv1 has the units 0 to 3"),
    ):
        with pytest.raises(UserError, match=message):
            find_unit(network, x, text)
