"""PixelRNN: each pixel from the states of recurrent layers. van den Oord et al. 2016, arXiv:1601.06759."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlgen.generative import settings
from rlgen.generative.autoregressive.base import Autoregressive
from rlgen.generative.autoregressive.causal import Causal, CausalConv, Network, channel_groups, label_bias, spread
from rlgen.generative.autoregressive.pixelcnn import MaskedNetwork


class PixelRNN(Autoregressive):
    """The likelihood of an image, pixel by pixel: long short-term memories that scan it by rows or diagonals."""

    Config = settings.PixelRNN

    def build(self, outputs: int, classes: int) -> Network:
        """Recurrent layers between a masked convolution and the prediction."""
        here = channel_groups(self.config.width, self.shape[0])
        layer = RowLSTM if self.config.scan == "row" else DiagonalBiLSTM
        layers = Layers(layer(here, classes) for _ in range(self.config.layers))
        return MaskedNetwork(self.shape, outputs, self.config, layers)


class Layers(nn.ModuleList):
    """One after the other, each added to what the one before has to say."""

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, D, H, W) -> (B, D, H, W), or a pixel (B, D) -> (B, D)."""
        for layer in self:
            x = x + layer(x, y)
        return x


class RowLSTM(Causal):
    """The state of a pixel follows from those of the three pixels above it; rows are scanned from the top.

    Of its own row a pixel sees what is told of itself and of the one to its left.
    """

    def __init__(self, here: Tensor, classes: int) -> None:
        super().__init__()
        self.input = CausalConv(here, here.repeat(4), 3, view="horizontal")
        self.state = _weights(len(here), 3)
        self.out = CausalConv(here, here, gain=0.5)
        self.label = label_bias(classes, 4 * len(here))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, D, H, W) -> (B, D, H, W), or a pixel (B, D) -> (B, D)."""
        gates = self.input(x)
        if self.label is not None:
            gates = gates + spread(self.label(y), gates)
        out: Tensor = self.out(self._states(gates) if self.cache is None else self._state(gates))
        return out

    def _states(self, gates: Tensor) -> Tensor:
        """(B, 4D, H, W) -> (B, D, H, W)."""
        h = c = torch.zeros_like(gates[:, : gates.shape[1] // 4, 0])  # (B, D, W), above the image
        rows = []
        for row in gates.unbind(2):
            h, c = lstm(row + F.conv1d(h, self.state, padding=1), c)
            rows.append(h)
        return torch.stack(rows, 2)

    def _state(self, gates: Tensor) -> Tensor:
        """(B, 4D) -> (B, D) at the next pixel."""
        cache, batch, features = self.active_cache, len(gates), gates.shape[1] // 4
        if self not in cache.buffers:  # h and c of every pixel, in a margin of zeros
            cache.buffers[self] = gates.new_zeros(2, batch, features, cache.height + 1, cache.width + 2)
        past, i, j = cache.buffers[self], cache.row, cache.column
        above = past[0, :, :, i, j : j + 3].reshape(batch, -1)
        h, c = lstm(gates + F.linear(above, self.state.flatten(1)), past[1, :, :, i, j + 1])
        past[0, :, :, i + 1, j + 1], past[1, :, :, i + 1, j + 1] = h, c
        return h


class DiagonalBiLSTM(Causal):
    """Two scans along the diagonals, which together miss no pixel but one: the last of the row above.

    In the first, the state of a pixel follows from the one above it and the one to its left. In the second, from the
    one above and the one to its right; what it finds is heard one row further down. What is told of a row's pixels has
    seen those before them, so its last pixel is seen by the image's own convolution alone, if that is wide enough.
    """

    def __init__(self, here: Tensor, classes: int) -> None:
        super().__init__()
        nothing = torch.zeros_like(here)  # rows above may be heard by every colour
        self.left = CausalConv(here, here.repeat(4))
        self.right = CausalConv(nothing, nothing.repeat(4))
        self.states = nn.ParameterList([_weights(len(here), 2), _weights(len(here), 2)])  # from above and beside
        self.out = CausalConv(here, here, gain=0.5)
        self.label = label_bias(classes, 4 * len(here))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, D, H, W) -> (B, D, H, W), or a pixel (B, D) -> (B, D)."""
        gates = self.left(x)
        if self.label is not None:
            gates = gates + spread(self.label(y), gates)
        out: Tensor = self.out(self._states(gates, x) if self.cache is None else self._state(gates, x))
        return out

    def _states(self, gates: Tensor, x: Tensor) -> Tensor:
        """What both scans say of all pixels: (B, 4D, H, W), (B, D, H, W) -> (B, D, H, W)."""
        left = scan(gates, self.states[0])
        right = scan(self.right(x).flip(3), self.states[1]).flip(3)
        return left + F.pad(right, (0, 0, 1, -1))

    def _state(self, gates: Tensor, x: Tensor) -> Tensor:
        """The same of the next pixel: (B, 4D), (B, D) -> (B, D)."""
        cache, (height, width) = self.active_cache, (self.active_cache.height, self.active_cache.width)
        if self not in cache.buffers:  # h and c of every pixel in both scans, in a margin of zeros; what was told of it
            states = x.new_zeros(2, 2, *x.shape, height + 1, width + 1)
            cache.buffers[self] = states, x.new_zeros(*x.shape, height, width)
        (left, right), told = cache.buffers[self]
        i, j = cache.row, cache.column
        if i > 0 and j == 0:
            row = self.right(told[:, :, i - 1 : i]).squeeze(2)  # (B, 4D, W)
            for k in range(width):
                _cell(row[..., width - 1 - k], right, i - 1, k, self.states[1])
        told[..., i, j] = x
        h: Tensor = _cell(gates, left, i, j, self.states[0]) + right[0, ..., i, width - j]
        return h


def scan(gates: Tensor, weight: Tensor) -> Tensor:
    """h of every pixel from those above and to the left: (B, 4D, H, W), (4D, D, 2) -> (B, D, H, W).

    Rows are skewed, each by one column more than the one above, so that a diagonal becomes a column.
    """
    batch, features, height, width = gates.shape
    diagonals = width + height - 1
    skewed = F.pad(gates, (0, height)).flatten(2)[..., : height * diagonals].reshape(batch, -1, height, diagonals)
    h = c = gates.new_zeros(batch, features // 4, height)  # to the left of the image
    columns = []
    for column in skewed.unbind(3):
        h, c = lstm(column + F.conv1d(F.pad(h, (1, 0)), weight), c)
        columns.append(h)
    straight = F.pad(torch.stack(columns, 3).flatten(2), (0, height))
    return straight.reshape(batch, -1, height, width + height)[..., :width]


def lstm(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """c' = σ(f) c + σ(i) tanh(g), h = σ(o) tanh(c'): (B, 4D, ...), (B, D, ...) -> h and c', (B, D, ...)."""
    i, f, o, g = gates.chunk(4, 1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def _cell(gates: Tensor, past: Tensor, i: int, j: int, weight: Tensor) -> Tensor:
    """(B, 4D) -> (B, D) at the j-th pixel that a scan meets in row i; `past` is (2, B, D, 1 + H, 1 + W)."""
    seen = torch.stack([past[0, ..., i, j + 1], past[0, ..., i + 1, j]], 2)  # above and beside
    h, c = lstm(gates + F.linear(seen.flatten(1), weight.flatten(1)), past[1, ..., i + 1, j])
    past[0, ..., i + 1, j + 1], past[1, ..., i + 1, j + 1] = h, c
    return h


def _weights(features: int, taps: int) -> nn.Parameter:
    """From states to gates, (4D, D, taps)."""
    return nn.Parameter(torch.randn(4 * features, features, taps) / (features * taps) ** 0.5)
