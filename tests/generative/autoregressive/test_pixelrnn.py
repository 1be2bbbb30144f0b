import itertools
from dataclasses import replace

import pytest
import torch

from rlgen.generative.autoregressive.causal import channel_groups
from rlgen.generative.autoregressive.pixelrnn import (
    DiagonalBiLSTM,
    PixelRNN,
    ResidualLayers,
    RowLSTM,
    diagonal_scan,
    lstm,
)
from tests.generative.autoregressive.cases import DIAGONAL, RNN, build_model, build_network, dependencies, perturb


def test_the_lstm_cell_equals_the_cell_of_torch():
    torch.manual_seed(0)
    cell = torch.nn.LSTMCell(3, 5)
    x, h, c = torch.randn(4, 3), torch.randn(4, 5), torch.randn(4, 5)
    gates = x @ cell.weight_ih.T + h @ cell.weight_hh.T + cell.bias_ih + cell.bias_hh
    i, f, g, o = gates.chunk(4, 1)  # the order of torch
    torch.testing.assert_close(lstm(torch.cat([i, f, o, g], 1), c), cell(x, (h, c)))


def slow_scan(gates, neighbours):
    """h of each pixel (B, D, H, W) from gates (B, 4D, H, W), one pixel after another.

    `neighbours(i, j)` are pairs (state-to-state weight (4D, D), pixel), the last of which gives c; pixels outside of
    the image have the state 0.
    """
    batch, features, height, width = gates.shape
    features //= 4
    zero = torch.zeros(batch, features, dtype=gates.dtype)
    h, c = {}, {}
    columns, reverse = range(width), neighbours(0, 0)[-1][1][1] > 0  # scanned towards where the neighbours are
    for i, j in itertools.product(range(height), reversed(columns) if reverse else columns):
        a = gates[:, :, i, j]
        for weight, place in neighbours(i, j):
            a = a + h.get(place, zero) @ weight.T
        h[i, j], c[i, j] = lstm(a, c.get(neighbours(i, j)[-1][1], zero))
    return torch.stack([torch.stack([h[i, j] for j in columns], -1) for i in range(height)], -2)


def layer(kind, classes=0):
    torch.manual_seed(0)
    built = kind(channel_groups(4, 2), classes).double()
    perturb(built)
    return built


def activations(height=4, width=5):
    return torch.randn(2, 4, height, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("classes", [0, 3])
def test_a_row_lstm_is_a_loop_over_pixels(classes):
    """States of the three pixels above; c of the one right above (arXiv:1601.06759, section 3.1)."""
    rows, x, y = layer(RowLSTM, classes), activations(), torch.tensor([2, 0])
    gates = rows.input_to_state(x)
    if classes:
        gates = gates + rows.label_bias(y)[:, :, None, None]
    left, middle, right = rows.state_to_state.unbind(2)
    above = lambda i, j: [(left, (i - 1, j - 1)), (right, (i - 1, j + 1)), (middle, (i - 1, j))]  # noqa: E731
    torch.testing.assert_close(rows(x, y if classes else None), rows.output(slow_scan(gates, above)))


@pytest.mark.parametrize("classes", [0, 3])
def test_a_diagonal_bilstm_is_two_loops_over_pixels(classes):
    """The second from right to left, moved down by one row (arXiv:1601.06759, section 3.2)."""
    diagonal, x, y = layer(DiagonalBiLSTM, classes), activations(), torch.tensor([2, 0])
    gates = diagonal.left_input_to_state(x)
    if classes:
        gates = gates + diagonal.label_bias(y)[:, :, None, None]
    (above_l, beside_l), (above_r, beside_r) = (weight.unbind(2) for weight in diagonal.state_to_state)
    left = slow_scan(gates, lambda i, j: [(above_l, (i - 1, j)), (beside_l, (i, j - 1))])
    right = slow_scan(diagonal.right_input_to_state(x), lambda i, j: [(above_r, (i - 1, j)), (beside_r, (i, j + 1))])
    total = left.clone()
    total[:, :, 1:] += right[:, :, :-1]
    torch.testing.assert_close(diagonal(x, y if classes else None), diagonal.output(total))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 5), (5, 1), (4, 3), (3, 6)])
def test_a_diagonal_scan_fits_every_shape(height, width):
    gates, weight = torch.randn(2, 8, height, width), torch.randn(8, 2, 2)
    above, beside = weight.unbind(2)
    expected = slow_scan(gates, lambda i, j: [(above, (i - 1, j)), (beside, (i, j - 1))])
    torch.testing.assert_close(diagonal_scan(gates, weight), expected)


@pytest.mark.parametrize("shape", [(1, 6, 6), (3, 3, 4)])
def test_diagonals_miss_the_last_value_of_the_row_above(shape):
    """Except within the first convolution, of side 3."""
    network = build_network(replace(DIAGONAL, first_kernel=3, width=24, head_width=48), shape)
    channels, height, width = shape
    found = dependencies(network, shape) != 0
    expected = torch.ones_like(found).tril(-1)
    for i, j in itertools.product(range(1, height), range(width - 2)):
        here, row = (i * width + j) * channels, i * width * channels
        expected[here : here + channels, row - 1] = False
    assert torch.equal(found, expected)


def test_rows_depend_on_a_triangle():
    """A state spreads by one pixel a row; to the left each layer adds one pixel, and the input convolution another."""
    network = build_network(replace(RNN, layers=2, first_kernel=3, width=24, head_width=48), (1, 6, 6))
    found = (dependencies(network, (1, 6, 6)) != 0).view(6, 6, 6, 6)
    for i, j, k, m in itertools.product(range(6), repeat=4):
        up, right = i - k, m - j
        expected = up >= 0 and -up - 3 <= right <= up and (right < 0 or up > 0)
        assert found[i, j, k, m] == expected, (i, j, k, m)


def test_layers_are_added_to_their_inputs():
    layers, x = ResidualLayers([layer(RowLSTM), layer(DiagonalBiLSTM)]), activations()
    h = x + layers[0](x)
    torch.testing.assert_close(layers(x), h + layers[1](h))


@pytest.mark.parametrize(("scan", "kind"), [("row", RowLSTM), ("diagonal", DiagonalBiLSTM)])
def test_settings_choose_the_layers(scan, kind):
    body = build_model(kind=PixelRNN, scan=scan, layers=2).network.body
    assert [type(module) for module in body] == [kind, kind]


def test_initial_state_weights_have_the_variance_of_their_fan_in():
    torch.manual_seed(0)
    rows = RowLSTM(channel_groups(40, 1), 0)
    assert rows.state_to_state.std().item() == pytest.approx((40 * 3) ** -0.5, rel=0.05)
