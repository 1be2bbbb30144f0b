"""PixelRNN: an autoregressive model of recurrent layers. van den Oord et al. 2016, arXiv:1601.06759.

Shapes: B images, D features of a pixel, height H, width W. The four gates of an LSTM are 4D adjacent features.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlgen.generative import settings
from rlgen.generative.autoregressive.base import Autoregressive
from rlgen.generative.autoregressive.cache import CausalModule
from rlgen.generative.autoregressive.causal import (
    CausalConv,
    PixelNetwork,
    channel_groups,
    expand_to_pixels,
    label_bias,
)
from rlgen.generative.autoregressive.masked import MaskedNetwork


class PixelRNN(Autoregressive):
    """The likelihood of an image as a product over pixels, by LSTMs that scan the image by rows or diagonals."""

    Config = settings.PixelRNN
    config: settings.PixelRNN

    def build(self, outputs: int, classes: int) -> PixelNetwork:
        """Recurrent layers with residual connections, between the input convolution and the prediction head."""
        groups = channel_groups(self.config.width, self.shape[0])
        layer = RowLSTM if self.config.scan == "row" else DiagonalBiLSTM
        layers = ResidualLayers(layer(groups, classes) for _ in range(self.config.layers))
        return MaskedNetwork(self.shape, outputs, self.config, layers)


class ResidualLayers(nn.ModuleList):
    """x ← x + layer(x) for each layer."""

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, D, H, W) -> (B, D, H, W); a pixel (B, D) -> (B, D)."""
        for layer in self:
            x = x + layer(x, y)
        return x


class RowLSTM(CausalModule):
    """A scan from the top row to the bottom: the state of a pixel depends on the states of the three pixels above it.

    gates[i, j] = Wˢ ∗ x[i, j-1 .. j] + Wʰ ∗ h[i-1, j-1 .. j+1], with input-to-state weights Wˢ and state-to-state
    weights Wʰ. The receptive field is a triangle above the pixel.
    """

    def __init__(self, groups: Tensor, classes: int) -> None:
        super().__init__()
        self.input_to_state = CausalConv(groups, groups.repeat(4), 3, context="horizontal")
        self.state_to_state = _state_weight(len(groups), 3)
        self.output = CausalConv(groups, groups, gain=0.5)
        self.label_bias = label_bias(classes, 4 * len(groups))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, D, H, W) -> (B, D, H, W); a pixel (B, D) -> (B, D)."""
        gates = self.input_to_state(x)
        if self.label_bias is not None:
            gates = gates + expand_to_pixels(self.label_bias(y), gates)
        out: Tensor = self.output(self._scan(gates) if self.cache is None else self._next_state(gates))
        return out

    def _scan(self, gates: Tensor) -> Tensor:
        """h of all pixels: (B, 4D, H, W) -> (B, D, H, W)."""
        h = c = torch.zeros_like(gates[:, : gates.shape[1] // 4, 0])  # (B, D, W), above the image
        rows = []
        for row in gates.unbind(2):
            h, c = lstm(row + F.conv1d(h, self.state_to_state, padding=1), c)
            rows.append(h)
        return torch.stack(rows, 2)

    def _next_state(self, gates: Tensor) -> Tensor:
        """h of the next pixel: (B, 4D) -> (B, D)."""
        cache, batch, features = self.active_cache, len(gates), gates.shape[1] // 4
        if self not in cache.activations:  # h and c of every pixel, padded by zeros above, left and right
            cache.activations[self] = gates.new_zeros(2, batch, features, cache.height + 1, cache.width + 2)
        states, i, j = cache.activations[self], cache.row, cache.column
        above = states[0, :, :, i, j : j + 3].reshape(batch, -1)
        h, c = lstm(gates + F.linear(above, self.state_to_state.flatten(1)), states[1, :, :, i, j + 1])
        states[0, :, :, i + 1, j + 1], states[1, :, :, i + 1, j + 1] = h, c
        return h


class DiagonalBiLSTM(CausalModule):
    """Two scans along the diagonals, whose receptive fields together cover all earlier pixels except one.

    left to right  the state of a pixel depends on the states of the pixel above it and the pixel to its left
    right to left  ... on the states of the pixel above it and the pixel to its right

    The states of the second scan are added one row further down, so that they are of earlier rows. As the inputs of
    the last pixel of a row do not depend on that pixel itself, the last pixel of the row above is missed, unless it is
    within the kernel of the input convolution.
    """

    def __init__(self, groups: Tensor, classes: int) -> None:
        super().__init__()
        first = torch.zeros_like(groups)  # the second scan is of earlier rows, so any channel may depend on it
        self.left_input_to_state = CausalConv(groups, groups.repeat(4))
        self.right_input_to_state = CausalConv(first, first.repeat(4))
        self.state_to_state = nn.ParameterList([_state_weight(len(groups), 2), _state_weight(len(groups), 2)])
        self.output = CausalConv(groups, groups, gain=0.5)
        self.label_bias = label_bias(classes, 4 * len(groups))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, D, H, W) -> (B, D, H, W); a pixel (B, D) -> (B, D)."""
        gates = self.left_input_to_state(x)
        if self.label_bias is not None:
            gates = gates + expand_to_pixels(self.label_bias(y), gates)
        out: Tensor = self.output(self._scan(gates, x) if self.cache is None else self._next_state(gates, x))
        return out

    def _scan(self, gates: Tensor, x: Tensor) -> Tensor:
        """Sum of h of both scans at all pixels: (B, 4D, H, W), (B, D, H, W) -> (B, D, H, W)."""
        left = diagonal_scan(gates, self.state_to_state[0])
        right = diagonal_scan(self.right_input_to_state(x).flip(3), self.state_to_state[1]).flip(3)
        return left + F.pad(right, (0, 0, 1, -1))

    def _next_state(self, gates: Tensor, x: Tensor) -> Tensor:
        """Sum of h of both scans at the next pixel: (B, 4D), (B, D) -> (B, D)."""
        cache = self.active_cache
        if self not in cache.activations:  # h and c of every pixel in both scans, padded by zeros; the inputs x
            states = x.new_zeros(2, 2, *x.shape, cache.height + 1, cache.width + 1)
            cache.activations[self] = states, x.new_zeros(*x.shape, cache.height, cache.width)
        (left, right), inputs = cache.activations[self]
        i, j, width = cache.row, cache.column, cache.width
        if i > 0 and j == 0:  # the row above is complete: scan it from the right
            row = self.right_input_to_state(inputs[:, :, i - 1 : i]).squeeze(2)  # (B, 4D, W)
            for k in range(width):
                _step(row[..., width - 1 - k], right, i - 1, k, self.state_to_state[1])
        inputs[..., i, j] = x
        h: Tensor = _step(gates, left, i, j, self.state_to_state[0]) + right[0, ..., i, width - j]
        return h


def diagonal_scan(gates: Tensor, weight: Tensor) -> Tensor:
    """h of every pixel from the states above and to the left: (B, 4D, H, W), (4D, D, 2) -> (B, D, H, W).

    Each row is shifted to the right by one column more than the row above it, so that a diagonal becomes a column.
    """
    batch, features, height, width = gates.shape
    diagonals = width + height - 1
    skewed = F.pad(gates, (0, height)).flatten(2)[..., : height * diagonals].reshape(batch, -1, height, diagonals)
    h = c = gates.new_zeros(batch, features // 4, height)  # to the left of the image
    columns = []
    for column in skewed.unbind(3):
        h, c = lstm(column + F.conv1d(F.pad(h, (1, 0)), weight), c)
        columns.append(h)
    unskewed = F.pad(torch.stack(columns, 3).flatten(2), (0, height))
    return unskewed.reshape(batch, -1, height, width + height)[..., :width]


def lstm(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """c' = σ(f) c + σ(i) tanh(g), h = σ(o) tanh(c'): gates i f o g (B, 4D, ...), c (B, D, ...) -> h and c'."""
    i, f, o, g = gates.chunk(4, 1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def _step(gates: Tensor, states: Tensor, i: int, j: int, weight: Tensor) -> Tensor:
    """h (B, D) of the j-th pixel of row i in the order of a diagonal scan; stores h and c.

    `gates` is (B, 4D), `states` (2, B, D, 1 + H, 1 + W) is padded by zeros above and on the side where the scan begins.
    """
    neighbours = torch.stack([states[0, ..., i, j + 1], states[0, ..., i + 1, j]], 2)  # above, and before in the row
    h, c = lstm(gates + F.linear(neighbours.flatten(1), weight.flatten(1)), states[1, ..., i + 1, j])
    states[0, ..., i + 1, j + 1], states[1, ..., i + 1, j + 1] = h, c
    return h


def _state_weight(features: int, taps: int) -> nn.Parameter:
    """State-to-state weight (4D, D, taps), normal with variance 1 / fan-in."""
    return nn.Parameter(torch.randn(4 * features, features, taps) / (features * taps) ** 0.5)
