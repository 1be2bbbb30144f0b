"""Grids of samples, reconstructions, interpolations and latent manifolds, with their captions.

A grid is images in order and their captions; `rlgen.report.pictures` lays it out.
"""

import torch
from torch import Tensor

from rlgen.core.images import Grid

ROWS, COLUMNS = 8, 8  # of a grid of samples, reconstructions or interpolations
MAX_COLUMNS = 20  # classes that get a column each in a grid of samples
MANIFOLD_SIDE = 20  # images along each side of a manifold


def sample_grid(images: Tensor, classes: tuple[str, ...] = ()) -> Grid:
    """Samples (N, C, H, W) in rows: a column per class in the order of `classes`, or `COLUMNS` without classes."""
    return Grid(images, len(classes) or COLUMNS, "samples", column_labels=classes)


def comparison_grid(title: str, **rows: Tensor) -> Grid:
    """Versions of the same images, each (N, C, H, W) with N a multiple of `COLUMNS`; the keywords label the rows.

    Rows take turns: the first row of each argument, then the second of each.
    """
    return Grid(interleave_rows(*rows.values()), COLUMNS, title, row_labels=tuple(rows))


def interpolation_grid(images: Tensor) -> Grid:
    """Images (rows, columns, C, H, W), each row from one image to another."""
    columns = images.shape[1]
    ends = ("start", *[""] * (columns - 2), "end")
    return Grid(images.flatten(0, 1), columns, "interpolations", column_labels=ends)


def manifold_grid(images: Tensor) -> Grid:
    """Images (side · side, C, H, W) of the codes of `latent_grid(side)`; labels are the two coordinates."""
    side = round(len(images) ** 0.5)
    across, up = latent_grid(side)[:side, 0].tolist(), latent_grid(side)[::side, 1].tolist()
    columns, rows = (tuple(f"{value:.1f}" for value in values) for values in (across, up))
    return Grid(images, side, "manifold: z1 to the right, z2 upwards", rows, columns)


def interleave_rows(*images: Tensor) -> Tensor:
    """Several times (N, C, H, W) as rows of `COLUMNS` images that take turns: (N + N + ..., C, H, W)."""
    return torch.stack([torch.unflatten(part, 0, (-1, COLUMNS)) for part in images], 1).flatten(0, 2)


def latent_grid(side: int = MANIFOLD_SIDE) -> Tensor:
    """(side · side, 2): standard normal quantiles in steps of equal probability, to the right and upwards."""
    steps = torch.special.ndtri((torch.arange(side) + 0.5) / side)
    return torch.stack([steps.repeat(side), -steps.repeat_interleave(side)], 1)
