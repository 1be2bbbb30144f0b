"""Filters of the first layer, and the real images that activate a unit most. Zeiler & Fergus 2013, arXiv:1311.2901."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rlgen.explain.layers import Unit, blocks, head, receptive_fields, up_to

CHUNK_SIZE = 256  # images at once, to bound the memory


@dataclass(frozen=True)
class Strongest:
    """The images that activate a unit most, the strongest first."""

    index: Tensor  # (n,) of the images
    value: Tensor  # (n,) of the unit, its maximum over positions
    box: Tensor | None  # (n, 4) rows and columns, first and end, of the receptive field there; None without positions
    field: tuple[int, int] | None  # height and width of the largest receptive field of all positions


@torch.no_grad()
def strongest(network: nn.Module, images: Tensor, units: Sequence[Unit], count: int) -> list[Strongest]:
    """For each of `units` of one block, the `count` of the normalised images (N, C, H, W) in which it is largest."""
    block, channels = units[0].block, [unit.index for unit in units]
    layers = up_to(network, block)
    peaks = []
    width = 0  # of the map; 0: features have no positions
    for chunk in torch.split(images, CHUNK_SIZE):
        activation = layers(chunk)[:, channels]  # (n, U, h, w) or (n, U)
        width = activation.shape[-1] if activation.ndim == 4 else 0
        peaks.append(activation.reshape(*activation.shape[:2], -1).max(2))
    values, positions = (torch.cat(parts).T for parts in zip(*peaks, strict=True))  # (U, N)
    values, index = values.sort(dim=1, descending=True, stable=True)
    values, index = values[:, :count], index[:, :count]
    if not width:
        return [Strongest(at, value, None, None) for at, value in zip(index, values, strict=True)]
    rows, columns = receptive_fields(network, block, tuple(images.shape[1:]))
    height, across = (int((side[:, 1] - side[:, 0]).max()) for side in (rows, columns))
    at = positions.gather(1, index)
    boxes = torch.cat([rows[at // width], columns[at % width]], 2)
    return [Strongest(*found, (height, across)) for found in zip(index, values, boxes, strict=True)]


def first_filters(network: nn.Module, shape: tuple[int, ...]) -> Tensor | None:
    """The weights of the first layer as images (F, C, h, w): of a convolution, or of a linear layer of all pixels.

    `shape` is (C, H, W). None where the first layer with such weights sees a group of the channels only.
    """
    for layer in (*blocks(network).modules(), *head(network).modules()):
        weight = getattr(layer, "weight", None)
        if isinstance(weight, Tensor) and weight.ndim == 4:
            return weight.detach() if weight.shape[1] == shape[0] else None
        if isinstance(weight, Tensor) and weight.ndim == 2:
            return weight.detach().view(-1, *shape) if weight.shape[1] == math.prod(shape) else None
    return None
