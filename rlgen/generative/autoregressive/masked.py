"""The masked network of PixelCNN and PixelRNN; residual blocks of PixelCNN. van den Oord et al. 2016, arXiv:1601.06759.

Shapes: B images, C channels of an image, D features of a pixel, K outputs per channel, height H, width W.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlgen.generative import settings
from rlgen.generative.autoregressive.causal import (
    CausalConv,
    PixelNetwork,
    channel_groups,
    expand_to_pixels,
    label_bias,
)
from rlgen.generative.autoregressive.resample import Downsample, Upsample


class MaskedNetwork(PixelNetwork):
    """An input convolution of mask type A, a body of causal layers of mask type B, and a prediction head."""

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        config: settings.Autoregressive,
        body: nn.Module,
        input_channels: int | None = None,
    ) -> None:
        """`shape` is (C, H, W), `outputs` is K; `encode_input` returns `input_channels` channels, by default C."""
        super().__init__()
        channels, height, width = shape
        groups, input_groups = (channel_groups(n, channels) for n in (config.width, input_channels or channels))
        self.input_conv = CausalConv(input_groups, groups, config.first_kernel, mask_type="A")
        self.position_bias = nn.Parameter(torch.zeros(config.width, height, width)) if config.position_bias else None
        self.body = body
        self.head = PredictionHead(groups, outputs, config, channels)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Images (B, C, H, W) in [0, 1], labels (B,) -> (B, C · K, H, W); the next pixel (B, C) -> (B, C · K)."""
        h = self.input_conv(self.encode_input(x))
        if (bias := self.position_bias) is not None:
            h = h + (bias if self.cache is None else bias[:, self.cache.row, self.cache.column]).to(h)
        out: Tensor = self.head(self.body(h, y))
        return out

    def encode_input(self, x: Tensor) -> Tensor:
        """Inputs of the first convolution: [0, 1] to [-1, 1], as the padding 0 is then neither black nor white."""
        return 2 * x - 1

    def append_pixel(self, x: Tensor) -> None:
        """Store the values of the next pixel (B, C), once all its channels are sampled."""
        self.input_conv.append_pixel(self.encode_input(x))


class ResidualStack(nn.Module):
    """Residual blocks at one resolution and, between two groups of them, a stack at half the resolution.

    x ← blocks(x), x ← x + upsample(stack(downsample(x))), x ← blocks(x). At a low resolution few convolutions, of
    little cost, reach distant pixels. Resolutions as in PixelCNN++ (Salimans et al. 2017, arXiv:1701.05517); one level
    is the stack of the PixelCNN paper.
    """

    def __init__(self, config: settings.PixelCNN, channels: int, classes: int, level: int = 0) -> None:
        super().__init__()
        groups, lower_groups, before, after = plan_level(config, channels, level)
        self.before = nn.ModuleList(ResidualBlock(groups, config, classes, 2**level) for _ in range(before))
        self.after = nn.ModuleList(ResidualBlock(groups, config, classes, 2**level) for _ in range(after))
        if after:
            self.downsample = Downsample(groups, lower_groups, "raster", 2**level)
            self.upsample = Upsample(lower_groups, groups, 2**level)
            self.lower = ResidualStack(config, channels, classes, level + 1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, D, H, W) -> (B, D, H, W); a pixel (B, D) -> (B, D)."""
        for block in self.before:
            x = block(x, y)
        if self.after:
            low = self.downsample(x)
            x = x + self.upsample(None if low is None else self.lower(low, y), x)
        for block in self.after:
            x = block(x, y)
        return x


class ResidualBlock(nn.Module):
    """x + conv₁ₓ₁(relu(conv(x))); with a bottleneck, as in the paper, x + conv₁ₓ₁(relu(conv(relu(conv₁ₓ₁(relu(x)))))).

    conv is the masked k x k convolution, of half the features in the bottleneck.
    """

    def __init__(self, groups: Tensor, config: settings.PixelCNN, classes: int, pixel_stride: int) -> None:
        super().__init__()
        inner = groups[::2] if config.bottleneck else groups
        residual_gain = (config.levels * config.blocks) ** -0.5  # variances of the blocks add up
        self.reduce = CausalConv(groups, inner, gain=2**0.5) if config.bottleneck else None
        self.conv = CausalConv(inner, inner, config.kernel, pixel_stride=pixel_stride, gain=2**0.5)
        self.expand = CausalConv(inner, groups, gain=residual_gain)
        self.label_bias = label_bias(classes, len(inner))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, D, H, W) -> (B, D, H, W); a pixel (B, D) -> (B, D)."""
        h = x if self.reduce is None else F.relu_(self.reduce(F.relu(x)))
        h = self.conv(h)
        if self.label_bias is not None:
            h = h + expand_to_pixels(self.label_bias(y), h)
        out: Tensor = x + self.expand(F.relu_(h))
        return out


class PredictionHead(nn.Module):
    """conv₁ₓ₁(relu(conv₁ₓ₁(relu(x)))): features of a pixel to the parameters of the distribution of its channels."""

    def __init__(self, groups: Tensor, outputs: int, config: settings.Autoregressive, channels: int) -> None:
        super().__init__()
        hidden_groups = channel_groups(config.head_width, channels)
        self.hidden = CausalConv(groups, hidden_groups, gain=2**0.5)
        self.output = CausalConv(hidden_groups, channel_groups(channels * outputs, channels), gain=0.1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, H, W) -> (B, C · K, H, W); a pixel (B, D) -> (B, C · K)."""
        out: Tensor = self.output(F.relu_(self.hidden(F.relu(x))))
        return out


def plan_level(config: settings.PixelCNN, channels: int, level: int) -> tuple[Tensor, Tensor, int, int]:
    """Channel groups of the features at `level` and the next, and the number of blocks before and after the next."""
    groups, lower_groups = (
        channel_groups(config.width * config.width_multiplier**i, channels) for i in (level, level + 1)
    )
    before = config.blocks if level + 1 == config.levels else config.blocks // 2
    return groups, lower_groups, before, config.blocks - before
