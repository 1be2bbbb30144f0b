"""Pixels as bytes or as numbers in [0, 1], and grids of images with their captions. Nothing here draws or writes."""

from typing import NamedTuple

import torch
from torch import Tensor


class Grid(NamedTuple):
    """Images in rows of `columns`, with captions; `rlgen.report.pictures` lays it out."""

    images: Tensor  # (N, C, H, W) in [0, 1], row by row; N is a multiple of `columns`
    columns: int
    title: str = ""  # one line, such as "samples"; the step of training is added where the grid is drawn
    row_labels: tuple[str, ...] = ()  # one per row, or none; they repeat where there are fewer of them than rows
    column_labels: tuple[str, ...] = ()  # one per column, or none
    captions: tuple[str, ...] = ()  # one per image, of one line or more, or none


def to_bytes(x: Tensor) -> Tensor:
    """Numbers in [0, 1] as bytes 0 to 255, rounded to the nearest; what lies outside is clipped."""
    return x.clamp(0, 1).mul(255).round().to(torch.uint8)


def from_bytes(x: Tensor) -> Tensor:
    """Bytes 0 to 255 as float32 in [0, 1]."""
    return x / 255


def rows(x: Tensor, index: Tensor) -> Tensor:
    """x[index] of a contiguous tensor (N, ...), for an index of any shape: a copy per row, not per number."""
    return x.index_select(0, index.flatten()).view(*index.shape, *x.shape[1:])
