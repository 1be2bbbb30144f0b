"""Filters of the first layer, and the real images that activate a unit most. Zeiler & Fergus 2013, arXiv:1311.2901."""

import math
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
def strongest(network: nn.Module, images: Tensor, unit: Unit, count: int) -> Strongest:
    """The `count` of the normalised images (N, C, H, W) in which a unit is largest at any position."""
    layers = up_to(network, unit.block)
    parts = [layers(chunk)[:, unit.index] for chunk in torch.split(images, CHUNK_SIZE)]
    activation = torch.cat(parts)  # (N, h, w) or (N,)
    largest, position = activation.reshape(len(images), -1).max(1)
    value, index = largest.sort(descending=True, stable=True)
    value, index = value[:count], index[:count]
    if activation.ndim == 1:
        return Strongest(index, value, None, None)
    rows, columns = receptive_fields(network, unit.block, tuple(images.shape[1:]))
    width = activation.shape[-1]
    at = position[index]
    height, across = (int((side[:, 1] - side[:, 0]).max()) for side in (rows, columns))
    return Strongest(index, value, torch.cat([rows[at // width], columns[at % width]], 1), (height, across))


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
