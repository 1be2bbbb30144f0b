"""Gated PixelCNN: two stacks, so that no earlier pixel is outside of the receptive field. van den Oord et al. 2016,
arXiv:1606.05328, figure 2.

The vertical stack v depends on the rows above, the horizontal stack h on v and on the pixels to the left.
Shapes: B images, C channels of an image, D features of a pixel, K outputs per channel, height H, width W.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlgen.generative import settings
from rlgen.generative.autoregressive.cache import CausalModule
from rlgen.generative.autoregressive.causal import (
    CausalConv,
    PixelNetwork,
    channel_groups,
    expand_to_pixels,
    label_bias,
)
from rlgen.generative.autoregressive.masked import PredictionHead, plan_level
from rlgen.generative.autoregressive.resample import Downsample, Upsample

Links = dict[nn.Module, Any]  # block -> features (B, 2D, ...) its vertical half contributes to its horizontal half


class GatedNetwork(PixelNetwork):
    """Input convolutions, gated blocks in a vertical and a horizontal stack, and a head on the horizontal one."""

    def __init__(self, shape: Sequence[int], outputs: int, config: settings.PixelCNN, classes: int) -> None:
        """`shape` is (C, H, W), `outputs` is K."""
        super().__init__()
        channels, height, width = shape
        groups, image = channel_groups(config.width, channels), channel_groups(channels, channels)
        self.vertical_input_conv = CausalConv(image, groups, config.first_kernel, context="vertical")
        self.horizontal_input_conv = CausalConv(image, groups, config.first_kernel, context="horizontal", mask_type="A")
        self.position_bias = nn.Parameter(torch.zeros(config.width, height, width)) if config.position_bias else None
        self.body = GatedStacks(config, channels, classes)
        self.head = PredictionHead(groups, outputs, config, channels)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Images (B, C, H, W) in [0, 1], labels (B,) -> (B, C · K, H, W); the next pixel (B, C) -> (B, C · K)."""
        x = _centred(x)
        links = self._vertical_stack(F.pad(x, (0, 0, 1, -1)), y) if self.cache is None else self.cache.activations
        out: Tensor = self.head(self.body.horizontal(self.horizontal_input_conv(x), links, y))
        return out

    def begin_row(self, x: Tensor, y: Tensor | None = None) -> None:
        """The vertical stack at the row of the next pixel, from the row of images x (B, C, H, W) above it."""
        i = self.active_cache.row
        self._vertical_stack(_centred(x[:, :, i - 1 : i]) if i else torch.zeros_like(x[:, :, :1]), y)

    def append_pixel(self, x: Tensor) -> None:
        """Store the values of the next pixel (B, C), once all its channels are sampled."""
        self.horizontal_input_conv.append_pixel(_centred(x))

    def _vertical_stack(self, above: Tensor, y: Tensor | None) -> Links:
        """The links of all blocks, from the row above each row (B, C, H, W) or above the next one (B, C, 1, W)."""
        links: Links = {} if self.cache is None else self.cache.activations
        v = self.vertical_input_conv(above)
        if (bias := self.position_bias) is not None:
            v = v + (bias if self.cache is None else bias[:, self.cache.row, None]).to(v)
        self.body.vertical(v, links, y)
        return links


class GatedStacks(nn.Module):
    """Gated blocks at one resolution and, between two groups of them, stacks at half of it, as in `ResidualStack`."""

    def __init__(self, config: settings.PixelCNN, channels: int, classes: int, level: int = 0) -> None:
        super().__init__()
        groups, lower_groups, before, after = plan_level(config, channels, level)
        self.before = nn.ModuleList(GatedBlock(groups, config, classes, 2**level) for _ in range(before))
        self.after = nn.ModuleList(GatedBlock(groups, config, classes, 2**level) for _ in range(after))
        if after:
            self.vertical_downsample = Downsample(groups, lower_groups, "vertical", 2**level)
            self.vertical_upsample = Upsample(lower_groups, groups, 2**level)
            self.horizontal_downsample = Downsample(groups, lower_groups, "horizontal", 2**level)
            self.horizontal_upsample = Upsample(lower_groups, groups, 2**level)
            self.lower = GatedStacks(config, channels, classes, level + 1)

    def vertical(self, v: Tensor, links: Links, y: Tensor | None) -> Tensor:
        """(B, D, H, W) -> (B, D, H, W); a row (B, D, 1, W) -> (B, D, 1, W). Fills `links`."""
        for block in self.before:
            v = cast(GatedBlock, block).vertical(v, links, y)
        if self.after:
            low = self.vertical_downsample(v)
            v = v + self.vertical_upsample(None if low is None else self.lower.vertical(low, links, y), v)
        for block in self.after:
            v = cast(GatedBlock, block).vertical(v, links, y)
        return v

    def horizontal(self, h: Tensor, links: Links, y: Tensor | None) -> Tensor:
        """(B, D, H, W) -> (B, D, H, W); a pixel (B, D) -> (B, D). Reads `links`."""
        for block in self.before:
            h = cast(GatedBlock, block).horizontal(h, links, y)
        if self.after:
            low = self.horizontal_downsample(h)
            h = h + self.horizontal_upsample(None if low is None else self.lower.horizontal(low, links, y), h)
        for block in self.after:
            h = cast(GatedBlock, block).horizontal(h, links, y)
        return h


class GatedBlock(CausalModule):
    """v' = gate(a), h' = h + conv₁ₓ₁(gate(U ∗ h + conv₁ₓ₁(a))), where a = W ∗ v and gate(p, q) = tanh(p) σ(q)."""

    def __init__(self, groups: Tensor, config: settings.PixelCNN, classes: int, pixel_stride: int) -> None:
        super().__init__()
        self.pixel_stride, two = pixel_stride, groups.repeat(2)
        first = torch.zeros_like(two)  # the vertical stack is of earlier rows, so any channel may depend on it
        self.vertical_conv = CausalConv(
            first[: len(groups)], first, config.kernel, context="vertical", pixel_stride=pixel_stride
        )
        self.horizontal_conv = CausalConv(groups, two, config.kernel, context="horizontal", pixel_stride=pixel_stride)
        self.link = CausalConv(first, two)
        self.output = CausalConv(groups, groups)
        self.label_bias = label_bias(classes, 2 * len(two))

    def vertical(self, v: Tensor, links: Links, y: Tensor | None) -> Tensor:
        """(B, D, H, W) -> (B, D, H, W); a row (B, D, 1, W) -> (B, D, 1, W). Stores conv₁ₓ₁(W ∗ v) in `links`."""
        a = self.vertical_conv(v)
        if self.label_bias is not None:
            a = a + expand_to_pixels(self.label_bias(y).chunk(2, 1)[0], a)
        links[self] = self.link(a)
        return gate(a)

    def horizontal(self, h: Tensor, links: Links, y: Tensor | None) -> Tensor:
        """(B, D, H, W) -> (B, D, H, W); a pixel (B, D) -> (B, D)."""
        link = links[self]
        if self.cache is not None:  # a row (B, 2D, 1, W)
            link = link[:, :, 0, self.cache.column // self.pixel_stride]
        a = self.horizontal_conv(h) + link
        if self.label_bias is not None:
            a = a + expand_to_pixels(self.label_bias(y).chunk(2, 1)[1], a)
        out: Tensor = h + self.output(gate(a))
        return out


def gate(x: Tensor) -> Tensor:
    """tanh of the first half of the features times the sigmoid of the second: (B, 2D, ...) -> (B, D, ...)."""
    p, q = x.chunk(2, 1)
    return p.tanh() * q.sigmoid()


def _centred(x: Tensor) -> Tensor:
    """[0, 1] to [-1, 1], as the padding 0 is then neither black nor white."""
    return 2 * x - 1
