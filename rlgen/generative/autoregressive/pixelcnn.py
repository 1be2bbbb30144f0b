"""PixelCNN: each pixel sees only what came before. van den Oord et al. 2016, arXiv:1601.06759 and 1606.05328."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlgen.generative import settings
from rlgen.generative.autoregressive.base import Autoregressive
from rlgen.generative.autoregressive.causal import Causal, CausalConv, Network, View, channel_groups, label_bias, spread

Links = dict[nn.Module, Any]  # what each block of the vertical stack tells its fellow in the horizontal one


class PixelCNN(Autoregressive):
    """The likelihood of an image, pixel by pixel: masked convolutions in residual blocks, or gated in two stacks."""

    Config = settings.PixelCNN

    def build(self, outputs: int, classes: int) -> Network:
        """One masked stack, or two gated ones."""
        config = self.config
        if config.gated:
            return GatedNetwork(self.shape, outputs, config, classes)
        return MaskedNetwork(self.shape, outputs, config, Level(config, self.shape[0], classes))


class MaskedNetwork(Network):
    """A masked convolution of type A from the image, then a body that sees no more than type B, then a prediction."""

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        config: settings.Autoregressive,
        body: nn.Module,
        input_channels: int = 0,
    ) -> None:
        """`input_channels`: channels that `encode_input` returns, those of the image where it is 0."""
        super().__init__()
        channels, height, width = shape
        trunk, image = channel_groups(config.width, channels), channel_groups(input_channels or channels, channels)
        self.input_conv = CausalConv(image, trunk, config.first_kernel, kind="A")
        self.position_bias = nn.Parameter(torch.zeros(config.width, height, width)) if config.position_bias else None
        self.body = body
        self.head = Head(trunk, outputs, config, channels)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, C, H, W) in [0, 1] -> (B, C · K, H, W), or the next pixel (B, C) -> (B, C · K)."""
        h = self.input_conv(self.encode_input(x))
        if self.position_bias is not None:
            h = h + (
                self.position_bias if self.cache is None else self.position_bias[:, self.cache.row, self.cache.column]
            )
        out: Tensor = self.head(self.body(h, y))
        return out

    def encode_input(self, x: Tensor) -> Tensor:
        """How pixels are shown to the first convolution: so that the zeros around an image are no colour."""
        return 2 * x - 1

    def remember(self, x: Tensor) -> None:
        """The next pixel (B, C) is known now."""
        self.input_conv.remember(self.encode_input(x))


class Level(nn.Module):
    """Residual blocks at one resolution, around those at half of it: what is far away costs little there.

    From PixelCNN++ (Salimans et al. 2017, arXiv:1701.05517). One level is the stack of the paper.
    """

    def __init__(self, config: settings.PixelCNN, channels: int, classes: int, depth: int = 0) -> None:
        super().__init__()
        here, there, before, after = plan(config, channels, depth)
        self.before = nn.ModuleList(Residual(here, config, classes, 2**depth) for _ in range(before))
        self.after = nn.ModuleList(Residual(here, config, classes, 2**depth) for _ in range(after))
        if after:
            self.coarser = Coarser(here, there, "raster", 2**depth)
            self.lower = Level(config, channels, classes, depth + 1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, D, H, W) -> (B, D, H, W), or a pixel (B, D) -> (B, D)."""
        for block in self.before:
            x = block(x, y)
        if self.after:
            x = x + self.coarser(x, lambda low: self.lower(low, y))
        for block in self.after:
            x = block(x, y)
        return x


def plan(config: settings.PixelCNN, channels: int, depth: int) -> tuple[Tensor, Tensor, int, int]:
    """The colours of the features at this depth and the next, and how many blocks stand before and after the next."""
    here, there = (channel_groups(config.width * config.width_multiplier**d, channels) for d in (depth, depth + 1))
    before = config.blocks if depth + 1 == config.levels else config.blocks // 2
    return here, there, before, config.blocks - before


class Coarser(Causal):
    """To half of the resolution, through what is there, and back. A cell (i, j) there has seen what (2i, 2j) has."""

    def __init__(self, here: Tensor, there: Tensor, view: View, rate: int) -> None:
        super().__init__()
        self.rate = rate
        self.down = CausalConv(here, there, 3, view=view, stride=2, rate=rate)
        self.up = CausalConv(there, here.repeat_interleave(4))

    def forward(self, x: Tensor, inner: Callable[[Tensor], Tensor]) -> Tensor:
        """(B, D, H, W) -> (B, D, H, W); a pixel or row asks `inner` only where its cell begins."""
        low, cache = self.down(F.relu(x)), self.cache
        if cache is None:
            return F.pixel_shuffle(self.up(F.relu(inner(low))), 2)[:, :, : x.shape[2], : x.shape[3]]
        i, (cell, j) = cache.row // self.rate % 2, divmod(cache.column // self.rate, 2)
        row_of_cells: dict[int, Tensor] = cache.buffers.setdefault(self, {})
        if i == j == 0:
            four = self.up(F.relu(inner(low)))
            row_of_cells[cell] = four.reshape(len(x), -1, 2, 2, *four.shape[2:])
        cells = row_of_cells[cell][:, :, i]  # (B, D, 2) or (B, D, 2, 1, W / 2)
        if x.dim() == 2:
            return cells[:, :, j]
        return cells.movedim(2, -1).flatten(-2)[..., : x.shape[3]]


class Residual(nn.Module):
    """x + 1×1(relu(masked(x))); the bottleneck of the paper is x + 1×1(relu(masked(relu(1×1(relu(x)))))."""

    def __init__(self, here: Tensor, config: settings.PixelCNN, classes: int, rate: int) -> None:
        super().__init__()
        inside = here[::2] if config.bottleneck else here
        self.squeeze = CausalConv(here, inside, gain=2**0.5) if config.bottleneck else None
        self.masked = CausalConv(inside, inside, config.kernel, rate=rate, gain=2**0.5)
        self.widen = CausalConv(inside, here, gain=(config.levels * config.blocks) ** -0.5)  # variances add up
        self.label = label_bias(classes, len(inside))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, D, H, W) -> (B, D, H, W), or a pixel (B, D) -> (B, D)."""
        h = x if self.squeeze is None else F.relu_(self.squeeze(F.relu(x)))
        h = self.masked(h)
        if self.label is not None:
            h = h + spread(self.label(y), h)
        out: Tensor = x + self.widen(F.relu_(h))
        return out


class Head(nn.Module):
    """What the trunk knows of a pixel, to what is predicted of it: two 1×1 convolutions."""

    def __init__(self, trunk: Tensor, outputs: int, config: settings.Autoregressive, channels: int) -> None:
        super().__init__()
        hidden = channel_groups(config.head_width, channels)
        self.hidden = CausalConv(trunk, hidden, gain=2**0.5)
        self.out = CausalConv(hidden, channel_groups(channels * outputs, channels), gain=0.1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, H, W) -> (B, C · outputs, H, W), or a pixel (B, D) -> (B, C · outputs)."""
        out: Tensor = self.out(F.relu_(self.hidden(F.relu(x))))
        return out


class GatedNetwork(Network):
    """Two stacks: one over the rows above, one along the row, which hears of the first. No pixel before is missed."""

    def __init__(self, shape: Sequence[int], outputs: int, config: settings.PixelCNN, classes: int) -> None:
        super().__init__()
        channels, height, width = shape
        trunk, image = channel_groups(config.width, channels), channel_groups(channels, channels)
        self.input_conv_above = CausalConv(image, trunk, config.first_kernel, view="vertical")
        self.input_conv_left = CausalConv(image, trunk, config.first_kernel, view="horizontal", kind="A")
        self.position_bias = nn.Parameter(torch.zeros(config.width, height, width)) if config.position_bias else None
        self.body = GatedLevel(config, channels, classes)
        self.head = Head(trunk, outputs, config, channels)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, C, H, W) in [0, 1] -> (B, C · K, H, W), or the next pixel (B, C) -> (B, C · K)."""
        x = 2 * x - 1
        links = self._above(F.pad(x, (0, 0, 1, -1)), y) if self.cache is None else self.cache.buffers
        out: Tensor = self.head(self.body.beside(self.input_conv_left(x), links, y))
        return out

    def begin_row(self, x: Tensor, y: Tensor | None = None) -> None:
        """Take in the row of images x (B, C, H, W) above the next one."""
        i = self.active_cache.row
        self._above(2 * x[:, :, i - 1 : i] - 1 if i else torch.zeros_like(x[:, :, :1]), y)

    def remember(self, x: Tensor) -> None:
        """The next pixel (B, C) is known now."""
        self.input_conv_left.remember(2 * x - 1)

    def _above(self, rows: Tensor, y: Tensor | None) -> Links:
        """What the rows above have to say to each block, for all rows or the next."""
        links: Links = {} if self.cache is None else self.cache.buffers
        v = self.input_conv_above(rows)
        if self.position_bias is not None:
            v = v + (self.position_bias if self.cache is None else self.position_bias[:, self.cache.row, None])
        self.body.above(v, links, y)
        return links


class GatedLevel(nn.Module):
    """Gated blocks at one resolution, around those at half of it, first for the rows above, then along the row."""

    def __init__(self, config: settings.PixelCNN, channels: int, classes: int, depth: int = 0) -> None:
        super().__init__()
        here, there, before, after = plan(config, channels, depth)
        self.before = nn.ModuleList(Gated(here, config, classes, 2**depth) for _ in range(before))
        self.after = nn.ModuleList(Gated(here, config, classes, 2**depth) for _ in range(after))
        if after:
            self.coarser_above = Coarser(here, there, "vertical", 2**depth)
            self.coarser_beside = Coarser(here, there, "horizontal", 2**depth)
            self.lower = GatedLevel(config, channels, classes, depth + 1)

    def above(self, v: Tensor, links: Links, y: Tensor | None) -> Tensor:
        """(B, D, H, W) -> (B, D, H, W), or a row (B, D, 1, W) -> (B, D, 1, W)."""
        for block in self.before:
            v = cast(Gated, block).above(v, links, y)
        if self.after:
            v = v + self.coarser_above(v, lambda low: self.lower.above(low, links, y))
        for block in self.after:
            v = cast(Gated, block).above(v, links, y)
        return v

    def beside(self, h: Tensor, links: Links, y: Tensor | None) -> Tensor:
        """(B, D, H, W) -> (B, D, H, W), or a pixel (B, D) -> (B, D)."""
        for block in self.before:
            h = cast(Gated, block).beside(h, links, y)
        if self.after:
            h = h + self.coarser_beside(h, lambda low: self.lower.beside(low, links, y))
        for block in self.after:
            h = cast(Gated, block).beside(h, links, y)
        return h


class Gated(Causal):
    """v' = gate(W ∗ v), h' = h + 1×1(gate(U ∗ h + 1×1(W ∗ v))), where gate(a, b) = tanh(a) · σ(b)."""

    def __init__(self, here: Tensor, config: settings.PixelCNN, classes: int, rate: int) -> None:
        super().__init__()
        self.rate, two = rate, here.repeat(2)
        nothing = torch.zeros_like(two)  # what the rows above say may be heard by every colour
        self.vertical = CausalConv(nothing[: len(here)], nothing, config.kernel, view="vertical", rate=rate)
        self.horizontal = CausalConv(here, two, config.kernel, view="horizontal", rate=rate)
        self.link = CausalConv(nothing, two)
        self.out = CausalConv(here, here)
        self.label = label_bias(classes, 2 * len(two))

    def above(self, v: Tensor, links: Links, y: Tensor | None) -> Tensor:
        """(B, D, H, W) -> (B, D, H, W), or a row (B, D, 1, W) -> (B, D, 1, W); leaves `links` for `beside`."""
        a = self.vertical(v)
        if self.label is not None:
            a = a + spread(self.label(y).chunk(2, 1)[0], a)
        links[self] = self.link(a)
        return gate(a)

    def beside(self, h: Tensor, links: Links, y: Tensor | None) -> Tensor:
        """(B, D, H, W) -> (B, D, H, W), or a pixel (B, D) -> (B, D)."""
        word = links[self]
        a = self.horizontal(h) + (word if self.cache is None else word[:, :, 0, self.cache.column // self.rate])
        if self.label is not None:
            a = a + spread(self.label(y).chunk(2, 1)[1], a)
        out: Tensor = h + self.out(gate(a))
        return out


def gate(x: Tensor) -> Tensor:
    """(B, 2D, ...) -> (B, D, ...)."""
    a, b = x.chunk(2, 1)
    return a.tanh() * b.sigmoid()
