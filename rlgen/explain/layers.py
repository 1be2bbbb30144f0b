"""The parts of a network by name: layers in their order, the last map, units and their receptive fields.

A network has `body`, an `nn.Sequential` of named blocks, and `head`, from features to logits.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rlgen.core.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Unit:
    """A channel of a map, or a feature, in the output of a block."""

    block: str  # name in `body`
    index: int

    def __str__(self) -> str:
        return f"{self.block}:{self.index}"


def blocks(network: nn.Module) -> nn.Sequential:
    """The blocks of a network in their order."""
    body = network.body
    assert isinstance(body, nn.Sequential)
    return body


def head(network: nn.Module) -> nn.Module:
    """The layers from features to logits."""
    last = network.head
    assert isinstance(last, nn.Module)
    return last


def flat(module: nn.Module) -> list[nn.Module]:
    """The layers of nested `nn.Sequential`s in their order."""
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        return [layer for child in module for layer in flat(child)]
    return [module]


def up_to(network: nn.Module, block: str) -> nn.Sequential:
    """The blocks up to the one called `block`, that one included."""
    children = list(blocks(network).named_children())
    last = [name for name, _ in children].index(block)
    return nn.Sequential(*(child for _, child in children[: last + 1]))


@torch.no_grad()
def split_at_map(network: nn.Module, x: Tensor) -> tuple[nn.Sequential, nn.Sequential] | None:
    """The layers up to the last map, and the rest with the head; None for a network without convolution.

    The last map is the last output of more than one position, before pooling; x (N, C, H, W) are images.
    """
    layers, found, convolved, out = flat(blocks(network)), None, False, x[:1]
    for i, layer in enumerate(layers):
        before, out = out, layer(out)
        convolved = convolved or any(isinstance(m, nn.Conv2d) for m in layer.modules())
        positions = out.shape[-2] * out.shape[-1] if out.ndim == 4 else 1
        pools = positions < before[0, 0].numel() and not any(True for _ in layer.parameters())
        if convolved and positions > 1 and not pools:
            found = i
    if found is None:
        return None
    return nn.Sequential(*layers[: found + 1]), nn.Sequential(*layers[found + 1 :], head(network))


@torch.no_grad()
def maps(network: nn.Module, x: Tensor) -> dict[str, tuple[int, ...]]:
    """The output of each block for images x (N, C, H, W): name -> (channels, h, w) or (features,)."""
    shapes, out = {}, x[:1]
    for name, block in blocks(network).named_children():
        out = block(out)
        shapes[name] = tuple(out.shape[1:])
    return shapes


def find_unit(network: nn.Module, x: Tensor, text: str) -> Unit:
    """The unit written as `block:index`. Raises UserError for an unknown block or an index beyond its channels."""
    shapes = maps(network, x)
    block, _, index = text.rpartition(":")
    if block not in shapes:
        hint = did_you_mean(block, shapes) or f": the blocks of this network are {', '.join(shapes)}"
        raise UserError(f"--unit {text}: write block:index, and there is no block {block!r}{hint}")
    count = shapes[block][0]
    if not index.isdecimal() or int(index) >= count:
        raise UserError(f"--unit {text}: {block} has the units 0 to {count - 1}")
    return Unit(block, int(index))


@torch.no_grad()
def receptive_fields(network: nn.Module, block: str, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """The pixels on which each position of a block's map depends: rows (h, 2) and columns (w, 2), each first and end.

    Measured: a row or column of NaN reaches exactly those positions whose receptive field it crosses. `shape` is
    (C, H, W). In float64, whose convolutions compute each position by itself.
    """
    layers = copy.deepcopy(up_to(network, block)).cpu().double()
    channels, height, width = shape
    rows = torch.zeros(height, channels, height, width, dtype=torch.float64)
    rows[torch.arange(height), :, torch.arange(height)] = torch.nan
    columns = torch.zeros(width, channels, height, width, dtype=torch.float64)
    columns[torch.arange(width), :, :, torch.arange(width)] = torch.nan
    reached = layers(rows).isnan().any(1).any(-1).T  # (h, H)
    crossed = layers(columns).isnan().any(1).any(-2).T  # (w, W)
    return _range(reached), _range(crossed)


def _range(reached: Tensor) -> Tensor:
    """First and end (n, 2) of the true values in each row of (n, side)."""
    side = reached.shape[1]
    first = reached.int().argmax(1)
    end = side - reached.flip(1).int().argmax(1)
    return torch.stack([first, end], 1)
