"""Pictures of the plane: points over data, and a discriminator's field, as colour images (3, H, W) in [0, 1]."""

import torch
from torch import Tensor

PIXELS = 320  # side of a picture
GREY, ORANGE, BLACK = (0.72, 0.72, 0.72), (0.84, 0.37, 0.0), (0.1, 0.1, 0.1)
BLUE, RED = (0.13, 0.40, 0.67), (0.70, 0.09, 0.17)  # ends of the scale of a field; its middle is white
DOT = 2  # side of a point in pixels


def lattice(extent: float, side: int) -> Tensor:
    """(side · side, 2) centres of the pixels of a square from -extent to extent, row by row, the upper one first."""
    axis = ((torch.arange(side) + 0.5) / side * 2 - 1) * extent
    return torch.stack([axis.repeat(side), -axis.repeat_interleave(side)], 1)


def scatter(data: Tensor, samples: Tensor, extent: float) -> Tensor:
    """Points (N, 2) of the data in grey, below generated ones (M, 2) in orange: (3, PIXELS, PIXELS)."""
    picture = torch.ones(3, PIXELS, PIXELS)
    dots(picture, data, extent, GREY)
    dots(picture, samples, extent, ORANGE)
    return picture


def field(logits: Tensor, threshold: float | None, samples: Tensor, extent: float) -> Tensor:
    """Logits (PIXELS, PIXELS) in colours around the threshold, with generated points (M, 2) in black: (3, H, W).

    Blue is below the threshold, red above, white at it; without a threshold it is the median.
    """
    picture = colours(relative(logits, threshold))
    dots(picture, samples, extent, BLACK)
    return picture


def relative(logits: Tensor, threshold: float | None) -> Tensor:
    """Logits as distances from the threshold, or else from their median, in units of the largest: in [-1, 1]."""
    distance = logits - (logits.median() if threshold is None else threshold)
    return distance / distance.abs().max().clamp(min=1e-12)


def colours(values: Tensor) -> Tensor:
    """Numbers (H, W) in [-1, 1] as colours (3, H, W) from blue over white to red."""
    ends = torch.where(values[None] < 0, torch.tensor(BLUE).view(3, 1, 1), torch.tensor(RED).view(3, 1, 1))
    return 1 + values.abs() * (ends - 1)


def dots(picture: Tensor, points: Tensor, extent: float, colour: tuple[float, float, float]) -> None:
    """Draw points (N, 2) into a picture (3, H, W) in place; those outside of the square are left out."""
    side = picture.shape[-1]
    column = ((points[:, 0] / extent + 1) / 2 * side - DOT / 2).round().long()
    row = ((1 - points[:, 1] / extent) / 2 * side - DOT / 2).round().long()
    inside = (column >= 0) & (column <= side - DOT) & (row >= 0) & (row <= side - DOT)
    for i in range(DOT):
        for j in range(DOT):
            picture[:, row[inside] + i, column[inside] + j] = torch.tensor(colour).view(3, 1)
