"""Exponential moving average (EMA) of weights. Polyak & Juditsky 1992, doi:10.1137/0330046."""

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def average_of(module: Network) -> Network:
    """A copy of `module` for its EMA: in evaluation mode, without gradients."""
    return copy.deepcopy(module).eval().requires_grad_(False)


def decay_at(step: int, decay: float) -> float:
    """The decay of gradient step number `step`: below `decay` at first, so that the average leaves the start sooner."""
    return float(min(decay, step / (10 + step)))


@torch.no_grad()
def update_ema(ema: nn.Module, module: nn.Module, decay: float) -> None:
    """ema ← decay · ema + (1 - decay) · module, for weights and batch statistics alike; integers are copied."""
    pairs = list(zip(_stored(ema), _stored(module), strict=True))
    floats = [pair for pair in pairs if pair[0].is_floating_point()]
    torch._foreach_lerp_([averaged for averaged, _ in floats], [current for _, current in floats], 1 - decay)
    if len(floats) < len(pairs):
        for averaged, current in pairs:
            if not averaged.is_floating_point():
                averaged.copy_(current)


def _stored(module: nn.Module) -> list[Tensor]:
    """The tensors of a state_dict, whose names take longer than the average of a small network."""
    found: list[Tensor | None] = []
    for part in module.modules():
        found += part._parameters.values()
        found += [x for name, x in part._buffers.items() if name not in part._non_persistent_buffers_set]
    return [x for x in found if x is not None]
