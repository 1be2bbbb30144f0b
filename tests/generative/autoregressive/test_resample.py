import itertools

import pytest
import torch
import torch.nn.functional as F

from rlgen.generative.autoregressive.cache import incremental_mode
from rlgen.generative.autoregressive.causal import channel_groups
from rlgen.generative.autoregressive.resample import Downsample, Upsample

GROUPS, LOWER_GROUPS = channel_groups(3, 3), channel_groups(6, 3)


class Pair(torch.nn.Module):
    """x -> upsample(f(downsample(x))), f(low) = 2 · low."""

    def __init__(self, context, pixel_stride):
        super().__init__()
        torch.manual_seed(0)
        self.downsample = Downsample(GROUPS, LOWER_GROUPS, context, pixel_stride)
        self.upsample = Upsample(LOWER_GROUPS, GROUPS, pixel_stride)
        self.calls = 0
        self.double()

    def forward(self, x):
        low = self.downsample(x)
        self.calls += low is not None
        return self.upsample(None if low is None else 2 * low, x)


def image(height, width):
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 7), (1, 1)])
def test_a_cell_is_a_convolution_at_its_first_pixel(height, width):
    pair, x = Pair("raster", 1), image(height, width)
    low = pair.downsample(x)
    full = pair.downsample.conv
    full.stride = 1
    expected = full(F.relu(x))[:, :, ::2, ::2]
    torch.testing.assert_close(low, expected)
    assert low.shape == (2, 6, -(-height // 2), -(-width // 2))


@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 7)])
def test_four_outputs_of_a_cell_are_its_four_pixels(height, width):
    pair, x = Pair("raster", 1), image(height, width)
    low = torch.randn(2, 6, -(-height // 2), -(-width // 2), dtype=torch.float64)
    out = pair.upsample(low, x)
    assert out.shape == x.shape
    weight, bias = pair.upsample.conv.masked_weight[:, :, 0, 0], pair.upsample.conv.bias
    for i, j in itertools.product(range(height), range(width)):
        four = F.relu(low[:, :, i // 2, j // 2]) @ weight.T + bias  # feature by feature, four pixels each
        torch.testing.assert_close(out[:, :, i, j], four.view(2, 3, 2, 2)[:, :, i % 2, j % 2])


@pytest.mark.parametrize("context", ["raster", "horizontal"])
@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 7)])
def test_pixels_are_resampled_one_by_one_as_in_a_full_pass(context, height, width):
    pair, x = Pair(context, 1), image(height, width)
    expected, found = pair(x).detach(), torch.empty_like(x)
    pair.calls = 0
    with incremental_mode(pair, height, width) as cache:
        for cache.row, cache.column in itertools.product(range(height), range(width)):
            found[..., cache.row, cache.column] = pair(x[..., cache.row, cache.column])
    torch.testing.assert_close(found, expected)
    assert pair.calls == -(-height // 2) * -(-width // 2)  # the lower network runs once per cell


@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 7)])
def test_rows_are_resampled_one_by_one_as_in_a_full_pass(height, width):
    pair, x = Pair("vertical", 1), image(height, width)
    expected, found = pair(x).detach(), torch.empty_like(x)
    pair.calls = 0
    with incremental_mode(pair, height, width) as cache:
        for cache.row in range(height):
            found[:, :, cache.row : cache.row + 1] = pair(x[:, :, cache.row : cache.row + 1])
    torch.testing.assert_close(found, expected)
    assert pair.calls == -(-height // 2)


def test_at_a_lower_level_pixels_are_pixel_stride_apart():
    """At half the resolution every second pixel of every second row is a step."""
    pair, x = Pair("raster", 2), image(3, 4)
    expected, found = pair(x).detach(), torch.empty_like(x)
    with incremental_mode(pair, 6, 8) as cache:
        for i, j in itertools.product(range(3), range(4)):
            cache.row, cache.column = 2 * i, 2 * j
            found[..., i, j] = pair(x[..., i, j])
    torch.testing.assert_close(found, expected)


def test_features_of_a_cell_depend_on_their_channel_group_and_earlier_ones():
    pair, x = Pair("raster", 1), image(4, 4).abs().requires_grad_()
    low = pair.downsample(x)
    for feature, group in enumerate(LOWER_GROUPS):
        (gradient,) = torch.autograd.grad(low[:, feature, 1, 1].sum(), x, retain_graph=True)
        assert torch.equal(gradient[:, :, 2, 2].abs().sum(0) > 0, group >= GROUPS)


def test_features_of_a_pixel_depend_on_their_channel_group_and_earlier_ones():
    pair, low = Pair("raster", 1), torch.rand(2, 6, 2, 2, dtype=torch.float64).requires_grad_()
    out = pair.upsample(low, image(4, 4))
    for (feature, group), i, j in itertools.product(enumerate(GROUPS), range(4), range(4)):
        (gradient,) = torch.autograd.grad(out[:, feature, i, j].sum(), low, retain_graph=True)
        assert torch.equal(gradient[:, :, i // 2, j // 2].abs().sum(0) > 0, group >= LOWER_GROUPS)
