"""Convolutions that see only what comes before, over whole images and over one pixel at a time.

Before means: in rows above, or to the left in the same row, or an earlier colour of the same pixel. van den Oord et al.
2016, arXiv:1601.06759. The cache of activations: Ramachandran et al. 2017, arXiv:1704.06001.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

View = Literal["raster", "vertical", "horizontal"]


class Canvas:
    """An image while it is drawn: the pixel that is next, and what was computed for those before it."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.row = self.column = 0
        self.memory: dict[nn.Module, Any] = {}


class Causal(nn.Module):
    """What can run on a whole image (B, C, H, W), and within `drawing` on one pixel (B, C) or one row (B, C, 1, W)."""

    canvas: Canvas | None = None

    @property
    def drawn(self) -> Canvas:
        """The canvas of the `drawing` this runs in."""
        assert self.canvas is not None, "a single pixel has a meaning only within `drawing`"
        return self.canvas


class Network(Causal):
    """What predicts each pixel from those before it, of whole images or, within `drawing`, of the next pixel."""

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, C, H, W) in [0, 1], (B,) -> (B, C · K, H, W), a colour's K numbers side by side; (B, C) -> (B, C · K)."""
        raise NotImplementedError

    def begin_row(self, x: Tensor, y: Tensor | None = None) -> None:
        """All rows of images x (B, C, H, W) above the next pixel are known now."""

    def remember(self, x: Tensor) -> None:
        """The next pixel (B, C) is known now."""
        raise NotImplementedError


@contextmanager
def drawing(network: nn.Module, height: int, width: int) -> Iterator[Canvas]:
    """Within, `network` takes pixels (B, C) or rows (B, C, 1, W) in order and remembers what later ones need."""
    parts = [module for module in network.modules() if isinstance(module, Causal)]
    canvas = Canvas(height, width)
    try:
        for part in parts:
            part.canvas = canvas
        with torch.inference_mode():
            yield canvas
    finally:
        for part in parts:
            part.canvas = None


class CausalConv(Causal):
    """A convolution whose output at a pixel sees, of a kernel x kernel square around it, only what comes before.

    As `raster` sees it that is the rows above and the pixels to the left; `vertical` takes the whole row of the pixel
    as well, `horizontal` nothing but what is to the left. The pixel itself is seen by kind B alone. Where features
    belong to the colours of a pixel (see `colours`), A lets pass what belongs to earlier colours, B the same one too.
    The taps below the pixel are not stored, so they cost nothing; those that remain hidden are zeroed.
    """

    def __init__(
        self,
        inputs: Tensor,
        outputs: Tensor,
        kernel: int = 1,
        *,
        view: View = "raster",
        kind: Literal["A", "B"] = "B",
        stride: int = 1,
        rate: int = 1,
        gain: float = 1.0,
    ) -> None:
        """`inputs` (I,) and `outputs` (O,) name the colour of each feature; its inputs lie `rate` pixels apart."""
        super().__init__()
        side = kernel // 2
        above = 0 if view == "horizontal" else side
        right = 0 if view == "horizontal" else side
        self.stride, self.rate = stride, rate
        self.above, self.left, self.right = above, side, right
        mask = torch.ones(len(outputs), len(inputs), above + 1, side + 1 + right)
        if view != "vertical":
            mask[:, :, -1, side + 1 :] = 0
            mask[:, :, -1, side] = (inputs < outputs[:, None]) if kind == "A" else (inputs <= outputs[:, None])
        seen = max(1.0, mask.sum().item() / len(outputs))  # numbers one output sees
        weight = torch.randn(mask.shape) * gain / math.sqrt(seen) * mask
        self.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
        self.bias = nn.Parameter(torch.zeros(len(outputs)))
        self.mask: Tensor | None
        self.register_buffer("mask", None if mask.all() else mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, I, H, W) -> (B, O, H', W'), sides divided by the stride and rounded up; or a pixel or a row."""
        if self.canvas is not None:
            return self._pixel(x) if x.dim() == 2 else self._row(x)
        if not (self.above or self.left):
            return F.conv2d(x, self.live, self.bias)
        x = F.pad(x, (self.left - self.right, 0, self.above, 0))
        y = F.conv2d(x, self.live, self.bias, self.stride, (0, self.right))
        return y.contiguous(memory_format=torch.channels_last)

    @property
    def live(self) -> Tensor:
        """The weight (O, I, rows, columns) with what must stay hidden zeroed, in its gradient too."""
        return self.weight if self.mask is None else self.weight * self.mask

    def remember(self, x: Tensor) -> None:
        """Keep what is known of the next pixel (B, I), for later ones to see."""
        canvas = self.drawn
        self._memory(x)[0][:, canvas.row // self.rate + self.above, canvas.column // self.rate + self.left] = x

    def _pixel(self, x: Tensor) -> Tensor:
        """(B, I) -> (B, O) at the next pixel."""
        past, weight, bias = self._memory(x)
        if past is None:
            return F.linear(x, weight, bias)
        canvas, above, left = self.drawn, self.above, self.left
        i, j = canvas.row // self.rate, canvas.column // self.rate
        past[:, i + above, j + left] = x
        seen = past[:, i : i + above + 1, j : j + left + self.right + 1]
        return F.linear(seen.reshape(len(x), -1), weight, bias)

    def _row(self, x: Tensor) -> Tensor:
        """(B, I, 1, W) -> (B, O, 1, W'): the next row of a vertical view."""
        past = self._memory(x)[0]
        if past is None:
            return F.conv2d(x, self.live, self.bias)
        i = self.drawn.row // self.rate
        past[:, i + self.above, self.left : self.left + x.shape[3]] = x[:, :, 0].transpose(1, 2)
        seen = past[:, i : i + self.above + 1].permute(0, 3, 1, 2)
        return F.conv2d(seen, self.live, self.bias, self.stride)

    def _memory(self, x: Tensor) -> tuple[Any, Tensor, Tensor]:
        """All past inputs (B, rows, columns, I) within a margin of zeros; weight (O, rows · columns · I) and bias."""
        memory = self.drawn.memory
        if self not in memory:
            past = None
            if self.above or self.left:
                rows, columns = (-(-side // self.rate) for side in (self.drawn.height, self.drawn.width))
                past = x.new_zeros(len(x), rows + self.above, columns + self.left + self.right, self.weight.shape[1])
            memory[self] = past, self.live.permute(0, 2, 3, 1).flatten(1).contiguous(), self.bias
        found: tuple[Any, Tensor, Tensor] = memory[self]
        return found


def hidden(network: nn.Module) -> int:
    """How many weights of a network never count, for a mask hides what they would see."""
    masks = (part.mask for part in network.modules() if isinstance(part, CausalConv))
    return sum(int((mask == 0).sum()) for mask in masks if mask is not None)


def colours(features: int, channels: int) -> Tensor:
    """Which of the `channels` of an image each of some `features` belongs to: (features,)."""
    return torch.arange(features) * channels // features


def label_bias(classes: int, features: int) -> nn.Embedding | None:
    """What each class adds to some features, nothing at first; None where there are no classes."""
    if not classes:
        return None
    bias = nn.Embedding(classes, features)
    nn.init.zeros_(bias.weight)
    return bias


def spread(per_image: Tensor, like: Tensor) -> Tensor:
    """(B, C) as what can be added to pixels (B, C) or images (B, C, H, W)."""
    return per_image if like.dim() == 2 else per_image[:, :, None, None]
