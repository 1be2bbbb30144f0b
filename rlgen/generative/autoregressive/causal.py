"""Convolutions that see only what comes before, over whole images and over one pixel at a time.

Before means: in rows above, or to the left in the same row, or an earlier colour of the same pixel. van den Oord et al.
2016, arXiv:1601.06759. The cache of activations: Ramachandran et al. 2017, arXiv:1704.06001.
"""

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

View = Literal["raster", "vertical", "horizontal"]


class SamplingCache:
    """An image while it is drawn: the pixel that is next, and what was computed for those before it."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.row = self.column = 0
        self.buffers: dict[nn.Module, Any] = {}


class Causal(nn.Module):
    """Runs on whole images (B, C, H, W), in `incremental_mode` on one pixel (B, C) or one row (B, C, 1, W)."""

    cache: SamplingCache | None = None

    @property
    def active_cache(self) -> SamplingCache:
        """The cache of the `incremental_mode` this runs in."""
        assert self.cache is not None, "a single pixel has a meaning only within `incremental_mode`"
        return self.cache


class Network(Causal):
    """Predicts each pixel from those before it: of whole images or, in `incremental_mode`, the next pixel."""

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, C, H, W) in [0, 1], (B,) -> (B, C · K, H, W), a colour's K numbers side by side; (B, C) -> (B, C · K)."""
        raise NotImplementedError

    def begin_row(self, x: Tensor, y: Tensor | None = None) -> None:
        """All rows of images x (B, C, H, W) above the next pixel are known now."""

    def remember(self, x: Tensor) -> None:
        """The next pixel (B, C) is known now."""
        raise NotImplementedError


@contextmanager
def incremental_mode(network: nn.Module, height: int, width: int) -> Iterator[SamplingCache]:
    """Within, `network` takes pixels (B, C) or rows (B, C, 1, W) in order and remembers what later ones need."""
    parts = [module for module in network.modules() if isinstance(module, Causal)]
    cache = SamplingCache(height, width)
    try:
        for part in parts:
            part.cache = cache
        with torch.inference_mode():
            yield cache
    finally:
        for part in parts:
            part.cache = None


class CausalConv(Causal):
    """A convolution whose output at a pixel sees, of a kernel x kernel square around it, only what comes before.

    As `raster` sees it that is the rows above and the pixels to the left; `vertical` takes the whole row of the pixel
    as well, `horizontal` nothing but what is to the left. The pixel itself is seen by kind B alone. Where features
    belong to the channels of a pixel (see `channel_groups`), A lets pass those of earlier channels, B the same one too.
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
        if self.cache is not None:
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
        past, _, _ = self._memory(x)
        past.put(x, *self._place)

    def _pixel(self, x: Tensor) -> Tensor:
        """(B, I) -> (B, O) at the next pixel."""
        past, weight, bias = self._memory(x)
        if past is not None:
            x = past.put(x, *self._place)
        return torch.addmm(bias, x, weight)

    def _row(self, x: Tensor) -> Tensor:
        """(B, I, 1, W) -> (B, O, 1, W'): the next row of a vertical view."""
        past, _, _ = self._memory(x)
        seen = x if past is None else past.put_row(x, self._place[0])
        return F.conv2d(seen, self.live, self.bias, self.stride)

    @property
    def _place(self) -> tuple[int, int]:
        """Row and column of the next pixel among its inputs."""
        return self.active_cache.row // self.rate, self.active_cache.column // self.rate

    def _memory(self, x: Tensor) -> tuple[Any, Tensor, Tensor]:
        """What it has seen; weight (columns · rows · I, O) and bias (O,)."""
        memory = self.active_cache.buffers
        if self not in memory:
            past = None
            if self.above or self.left:
                columns = -(-self.active_cache.width // self.rate)
                past = ActivationBuffer(x.new_zeros(columns, self.above + 1, *x.shape[1::-1]), self.left, self.right)
            memory[self] = past, self.live.permute(3, 2, 1, 0).flatten(0, 2).contiguous(), self.bias
        found: tuple[Any, Tensor, Tensor] = memory[self]
        return found


class ActivationBuffer:
    """The last rows of what a convolution was told, laid out so that what an output sees is one piece of memory."""

    def __init__(self, blank: Tensor, left: int, right: int) -> None:
        """`blank` is (columns, rows, I, B); an output sees `left` columns before its own and `right` after it."""
        columns = len(blank)
        self.row = 0
        self.rows = F.pad(blank, (0, 0, 0, 0, 0, 0, left, right))
        self.newest = self.rows[left : left + columns, -1]
        self.places = [place.T for place in self.newest]  # (B, I) each, views: where each column's newest goes
        self.seen = [self.rows[j : j + left + 1 + right].flatten(0, 2).T for j in range(columns)]

    def put(self, x: Tensor, row: int, column: int) -> Tensor:
        """Take in a pixel (B, I). -> what an output there sees: (B, columns · rows · I)."""
        self._reach(row)
        self.places[column].copy_(x)
        return self.seen[column]

    def put_row(self, x: Tensor, row: int) -> Tensor:
        """Take in a row (B, I, 1, W). -> all rows that outputs there see: (B, I, rows, left + W + right)."""
        self._reach(row)
        self.newest.copy_(x[:, :, 0].permute(2, 1, 0))
        return self.rows.permute(3, 2, 1, 0)

    def _reach(self, row: int) -> None:
        """Begin a row, where it is a new one."""
        if row > self.row:
            self.row = row
            above = list(self.rows.unbind(1))
            for older, newer in itertools.pairwise(above):
                older.copy_(newer)
            above[-1].zero_()


def hidden(network: nn.Module) -> int:
    """How many weights of a network never count, for a mask hides what they would see."""
    masks = (part.mask for part in network.modules() if isinstance(part, CausalConv))
    return sum(int((mask == 0).sum()) for mask in masks if mask is not None)


def channel_groups(features: int, channels: int) -> Tensor:
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
