import itertools
import math

import pytest
import torch
from torch import nn

from rlgen.generative.autoregressive.causal import (
    CausalConv,
    channel_groups,
    expand_to_pixels,
    label_bias,
    masked_weight_count,
)
from tests.generative.autoregressive.cases import CASES, build_network, dependencies


def visible(context, mask_type, row, column, in_group, out_group):
    """Whether an output may depend on an input that lies (row, column) pixels away."""
    if (row, column) == (0, 0) and context != "vertical":
        return in_group < out_group if mask_type == "A" else in_group <= out_group
    return {
        "raster": row < 0 or (row == 0 and column < 0),
        "vertical": row <= 0,
        "horizontal": row == 0 and column < 0,
    }[context]


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2), (5, 1)])
@pytest.mark.parametrize("mask_type", ["A", "B"])
@pytest.mark.parametrize("context", ["raster", "vertical", "horizontal"])
def test_a_convolution_is_the_sum_over_visible_inputs(context, mask_type, kernel, stride):
    """By a loop over pixels, taps and features of three channel groups."""
    torch.manual_seed(0)
    in_groups, out_groups, side = channel_groups(4, 3), channel_groups(6, 3), kernel // 2
    conv = CausalConv(in_groups, out_groups, kernel, context=context, mask_type=mask_type, stride=stride).double()
    conv.bias.data.normal_()
    weight = conv.weight.data.fill_(0).add_(torch.randn(conv.weight.shape))  # masked taps are not 0 in memory
    height, width = 5, 4
    x = torch.randn(2, 4, height, width, dtype=torch.float64)
    out = conv(x)
    assert out.shape == (2, 6, -(-height // stride), -(-width // stride))
    for i, j, o in itertools.product(range(out.shape[2]), range(out.shape[3]), range(6)):
        expected = conv.bias[o].clone().expand(2)
        for row, column, f in itertools.product(range(-side, 1), range(-side, side + 1), range(4)):
            y, z = stride * i + row, stride * j + column
            inside = 0 <= y < height and 0 <= z < width
            if inside and visible(context, mask_type, row, column, in_groups[f], out_groups[o]):
                expected = expected + weight[o, f, row + conv.above, column + side] * x[:, f, y, z]
        torch.testing.assert_close(out[:, o, i, j], expected)


@pytest.mark.parametrize(
    ("mask_type", "centre"), [("A", [[0, 0, 0], [1, 0, 0], [1, 1, 0]]), ("B", [[1, 0, 0], [1, 1, 0], [1, 1, 1]])]
)
def test_the_centre_of_a_mask_orders_red_green_blue(mask_type, centre):
    """Rows are outputs, columns inputs: A in the first layer, B in the others (arXiv:1601.06759, figure 4)."""
    conv = CausalConv(channel_groups(3, 3), channel_groups(3, 3), 3, mask_type=mask_type)
    assert conv.mask[:, :, 1, 1].tolist() == centre
    assert (conv.mask[:, :, 0] == 1).all()
    assert (conv.mask[:, :, 1, 0] == 1).all()
    assert (conv.mask[:, :, 1, 2] == 0).all()


def test_features_are_shared_out_among_the_channels_in_order():
    assert channel_groups(6, 3).tolist() == [0, 0, 1, 1, 2, 2]
    assert channel_groups(5, 3).tolist() == [0, 0, 1, 1, 2]
    assert channel_groups(3, 1).tolist() == [0, 0, 0]


@pytest.mark.parametrize("gain", [1.0, 3.0])
def test_initial_weights_keep_the_variance_of_their_inputs(gain):
    torch.manual_seed(0)
    groups = channel_groups(48, 3)
    conv = CausalConv(groups, groups, 5, gain=gain)
    inside = conv(torch.randn(8, 48, 12, 12))[:, :, 4:, 4:-4]
    assert inside.std().item() == pytest.approx(gain, rel=0.1)
    assert not conv.weight.data[conv.mask == 0].any()
    assert not conv.bias.any()


def test_masked_weights_get_no_gradient_and_no_moments():
    torch.manual_seed(0)
    conv = CausalConv(channel_groups(6, 3), channel_groups(6, 3), 3, mask_type="A")
    optimizer = torch.optim.Adam(conv.parameters(), 0.1, weight_decay=0.1)
    conv(torch.randn(2, 6, 4, 4)).square().sum().backward()
    optimizer.step()
    masked = conv.mask == 0
    assert 0 < masked.sum() < masked.numel()
    for values in (conv.weight, conv.weight.grad, optimizer.state[conv.weight]["exp_avg"]):
        assert values[masked].count_nonzero() == 0
    assert conv.weight.grad[~masked].count_nonzero() == (~masked).sum()
    assert masked_weight_count(nn.Sequential(conv, nn.ReLU())) == masked.sum()


def test_a_mask_of_ones_is_not_stored():
    groups = channel_groups(4, 1)
    assert CausalConv(groups, groups).mask is None
    assert CausalConv(groups, groups, 3, context="vertical").mask is None
    assert masked_weight_count(CausalConv(groups, groups, 3, context="vertical")) == 0
    assert masked_weight_count(CausalConv(groups, groups, 3)) == 16  # one tap to the right of the pixel


@pytest.mark.parametrize("shape", [(1, 5, 6), (3, 4, 5)])
@pytest.mark.parametrize("case", CASES)
def test_no_output_depends_on_its_own_value_or_a_later_one(case, shape):
    network = build_network(CASES[case], shape, classes=3).train()
    found = dependencies(network, shape, torch.tensor([1]))
    assert found.triu().count_nonzero() == 0
    assert found.count_nonzero() > 0.3 * found.tril(-1).numel() / 2


def test_a_label_bias_starts_at_0_and_exists_with_classes_only():
    assert label_bias(0, 4) is None
    bias = label_bias(3, 4)
    assert bias.weight.shape == (3, 4)
    assert not bias.weight.any()


def test_values_per_image_are_expanded_to_pixels_and_images():
    per_image = torch.randn(2, 3)
    assert torch.equal(expand_to_pixels(per_image, torch.zeros(2, 3)), per_image)
    added = torch.zeros(2, 3, 4, 5) + expand_to_pixels(per_image, torch.zeros(2, 3, 4, 5))
    assert torch.equal(added[:, :, 2, 1], per_image)


def test_the_fan_in_counts_visible_inputs():
    """Weights are normal with variance gain² / fan-in."""
    torch.manual_seed(0)
    groups = channel_groups(60, 1)
    conv = CausalConv(groups, groups, 3, mask_type="A", gain=2.0)
    fan_in = 60 * 4  # three pixels above, one to the left
    assert conv.weight.data[conv.mask == 1].std().item() == pytest.approx(2 / math.sqrt(fan_in), rel=0.02)
