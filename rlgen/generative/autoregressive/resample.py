"""Down- and upsampling between the resolutions of a PixelCNN. Salimans et al. 2017 (PixelCNN++), arXiv:1701.05517.

Cell (i, j) of the lower resolution covers the pixels (2i, 2j) to (2i + 1, 2j + 1). It depends on the pixels that
(2i, 2j), the earliest of the four, may depend on, so all four may depend on it.
"""

import torch.nn.functional as F
from torch import Tensor

from rlgen.generative.autoregressive.cache import CausalModule
from rlgen.generative.autoregressive.causal import CausalConv, Context


class Downsample(CausalModule):
    """Half the resolution: a causal 3x3 convolution of stride 2 after a ReLU."""

    def __init__(self, groups: Tensor, lower_groups: Tensor, context: Context, pixel_stride: int) -> None:
        """Channel groups of the features (D,) and of the features at the lower resolution (D',)."""
        super().__init__()
        self.pixel_stride = pixel_stride
        self.conv = CausalConv(groups, lower_groups, 3, context=context, stride=2, pixel_stride=pixel_stride)

    def forward(self, x: Tensor) -> Tensor | None:
        """(B, D, H, W) -> (B, D', ⌈H / 2⌉, ⌈W / 2⌉).

        In incremental mode: a pixel (B, D) -> (B, D'), a row (B, D, 1, W) -> (B, D', 1, ⌈W / 2⌉); None where the pixel
        is not the first of its cell, or the row not the first of its cells.
        """
        low = self.conv(F.relu(x))  # in incremental mode x is stored for later cells in any case
        return low if self.cache is None or _pixel_in_cell(self) == (0, 0) else None


class Upsample(CausalModule):
    """Twice the resolution: a causal 1x1 convolution after a ReLU gives the four pixels of each cell."""

    def __init__(self, lower_groups: Tensor, groups: Tensor, pixel_stride: int) -> None:
        """Channel groups of the features at the lower resolution (D',) and here (D,)."""
        super().__init__()
        self.pixel_stride = pixel_stride
        self.conv = CausalConv(lower_groups, groups.repeat_interleave(4))

    def forward(self, low: Tensor | None, like: Tensor) -> Tensor:
        """(B, D', ⌈H / 2⌉, ⌈W / 2⌉) -> (B, D, H, W), the shape of `like`.

        In incremental mode `like` is a pixel (B, D) or a row (B, D, 1, W), and `low` the output of the network at the
        lower resolution at the first pixel of a cell; its four pixels are cached. At the others `low` is None.
        """
        if self.cache is None:
            assert low is not None
            return F.pixel_shuffle(self.conv(F.relu(low)), 2)[:, :, : like.shape[2], : like.shape[3]]
        (i, j), cell = _pixel_in_cell(self), self.cache.column // self.pixel_stride // 2
        cells: dict[int, Tensor] = self.cache.activations.setdefault(self, {})  # of this row, by column
        if low is not None:
            four = self.conv(F.relu(low))
            cells[cell] = four.reshape(len(four), -1, 2, 2, *four.shape[2:])  # (B, D, 2, 2), or (B, D, 2, 2, 1, W / 2)
        row = cells[cell][:, :, i]
        if like.dim() == 2:
            return row[:, :, j]
        return row.movedim(2, -1).flatten(-2)[..., : like.shape[3]]


def _pixel_in_cell(module: Downsample | Upsample) -> tuple[int, int]:
    """Row and column of the next pixel in its cell, 0 or 1 each."""
    cache, pixel_stride = module.active_cache, module.pixel_stride
    return cache.row // pixel_stride % 2, cache.column // pixel_stride % 2
