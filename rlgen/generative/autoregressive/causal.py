"""Masked convolutions: an output at a pixel depends on earlier pixels, and on earlier channels of the same pixel.

Raster order: row by row from the top, from left to right within a row, then by channel (red, green, blue).
van den Oord et al. 2016, arXiv:1601.06759. The vertical and horizontal stacks: arXiv:1606.05328.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlgen.generative.autoregressive.cache import ActivationBuffer, CausalModule

Context = Literal["raster", "vertical", "horizontal"]


class PixelNetwork(CausalModule):
    """A network that predicts each pixel from earlier ones: of whole images or, in incremental mode, the next pixel."""

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Images (B, C, H, W) in [0, 1], labels (B,) -> (B, C · K, H, W); a pixel (B, C) -> (B, C · K).

        The K outputs of a channel are adjacent: they are the parameters of its distribution.
        """
        raise NotImplementedError

    def begin_row(self, x: Tensor, y: Tensor | None = None) -> None:
        """Process the row of images x (B, C, H, W) above the next pixel, where the network has a vertical stack."""

    def append_pixel(self, x: Tensor) -> None:
        """Store the values of the next pixel (B, C), once all its channels are sampled."""
        raise NotImplementedError


class CausalConv(CausalModule):
    """A convolution whose receptive field is part of a kernel x kernel square, by `context` and `mask_type`.

    raster      rows above, and pixels to the left in the same row
    vertical    rows above, and the whole row of the pixel
    horizontal  pixels to the left in the same row

    In raster and horizontal context an output also depends on the pixel itself, on its earlier channel groups
    (`channel_groups`) with mask type A, and with mask type B on its own group as well. Rows below the pixel are not
    stored, so they cost no arithmetic; the other taps outside of the receptive field are multiplied by 0.
    """

    mask: Tensor | None  # (O, I, rows, columns) of 0 and 1; None where no tap is masked

    def __init__(
        self,
        in_groups: Tensor,
        out_groups: Tensor,
        kernel: int = 1,
        *,
        context: Context = "raster",
        mask_type: Literal["A", "B"] = "B",
        stride: int = 1,
        pixel_stride: int = 1,
        gain: float = 1.0,
    ) -> None:
        """`in_groups` (I,) and `out_groups` (O,) are the channel groups of the features.

        `pixel_stride` is the distance between adjacent inputs in pixels of the image. The weights are normal with
        variance gain² / fan-in, the fan-in being the mean number of unmasked taps of an output.
        """
        super().__init__()
        side = kernel // 2
        self.stride, self.pixel_stride = stride, pixel_stride
        self.left = side  # columns of the receptive field to the left of the pixel, to its right, and rows above
        self.above = self.right = 0 if context == "horizontal" else side
        mask = torch.ones(len(out_groups), len(in_groups), self.above + 1, self.left + 1 + self.right)
        if context != "vertical":
            earlier = in_groups < out_groups[:, None] if mask_type == "A" else in_groups <= out_groups[:, None]
            mask[:, :, -1, side] = earlier.float()
            mask[:, :, -1, side + 1 :] = 0
        fan_in = max(1.0, mask.sum().item() / len(out_groups))
        weight = torch.randn(mask.shape) * gain / math.sqrt(fan_in) * mask
        self.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
        self.bias = nn.Parameter(torch.zeros(len(out_groups)))
        self.register_buffer("mask", None if mask.all() else mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, I, H, W) -> (B, O, ⌈H / stride⌉, ⌈W / stride⌉); a pixel (B, I) -> (B, O); a row (B, I, 1, W)."""
        if self.cache is not None:
            return self._pixel(x) if x.dim() == 2 else self._row(x)
        if not (self.above or self.left):
            return F.conv2d(x, self.masked_weight, self.bias)
        x = F.pad(x, (self.left - self.right, 0, self.above, 0))
        y = F.conv2d(x, self.masked_weight, self.bias, self.stride, (0, self.right))
        return y.contiguous(memory_format=torch.channels_last)

    @property
    def masked_weight(self) -> Tensor:
        """The weight (O, I, rows, columns) times the mask, so that masked taps get no gradient either."""
        return self.weight if self.mask is None else self.weight * self.mask

    def append_pixel(self, x: Tensor) -> None:
        """Store the next pixel (B, I) without an output."""
        buffer, _, _ = self._cached(x)
        assert buffer is not None, "a 1x1 convolution stores no pixels"
        buffer.write_pixel(x, *self._position)

    def _pixel(self, x: Tensor) -> Tensor:
        """(B, I) -> (B, O) at the next pixel."""
        buffer, weight, bias = self._cached(x)
        if buffer is not None:
            x = buffer.write_pixel(x, *self._position)
        return torch.addmm(bias, x, weight)

    def _row(self, x: Tensor) -> Tensor:
        """(B, I, 1, W) -> (B, O, 1, ⌈W / stride⌉): the next row in vertical context."""
        buffer, _, _ = self._cached(x)
        rows = x if buffer is None else buffer.write_row(x, self._position[0])
        return F.conv2d(rows, self.masked_weight, self.bias, self.stride)

    @property
    def _position(self) -> tuple[int, int]:
        """Row and column of the next pixel in the grid of the inputs."""
        return self.active_cache.row // self.pixel_stride, self.active_cache.column // self.pixel_stride

    def _cached(self, x: Tensor) -> tuple[ActivationBuffer | None, Tensor, Tensor]:
        """Buffer of the inputs, None for a 1x1 convolution; weight as a matrix (columns · rows · I, O); bias (O,)."""
        cache = self.active_cache
        if self not in cache.activations:
            buffer = None
            if self.above or self.left:
                columns = -(-cache.width // self.pixel_stride)
                zeros = x.new_zeros(columns, self.above + 1, *x.shape[1::-1])
                buffer = ActivationBuffer(zeros, self.left, self.right)
            matrix = self.masked_weight.permute(3, 2, 1, 0).flatten(0, 2).contiguous()
            cache.activations[self] = buffer, matrix, self.bias
        cached: tuple[ActivationBuffer | None, Tensor, Tensor] = cache.activations[self]
        return cached


def masked_weight_count(network: nn.Module) -> int:
    """Number of weights of a network that a mask multiplies by 0."""
    masks = (module.mask for module in network.modules() if isinstance(module, CausalConv))
    return sum(int((mask == 0).sum()) for mask in masks if mask is not None)


def channel_groups(features: int, channels: int) -> Tensor:
    """The channel of the image each of `features` belongs to, in order and as evenly as possible: (features,)."""
    return torch.arange(features) * channels // features


def label_bias(classes: int, features: int) -> nn.Embedding | None:
    """A bias per class (classes, features), initially 0; None without classes."""
    if not classes:
        return None
    bias = nn.Embedding(classes, features)
    nn.init.zeros_(bias.weight)
    return bias


def expand_to_pixels(per_image: Tensor, like: Tensor) -> Tensor:
    """(B, D) with the dimensions of `like`: a pixel (B, D), or images and rows (B, D, 1, 1)."""
    return per_image if like.dim() == 2 else per_image[:, :, None, None]
