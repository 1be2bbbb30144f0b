"""Exponential moving average (EMA) of weights. Polyak & Juditsky 1992, doi:10.1137/0330046."""

import copy
from typing import TypeVar

import torch
from torch import nn

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
    averaged, current = ema.state_dict(), module.state_dict()
    floats = [name for name, value in averaged.items() if value.is_floating_point()]
    torch._foreach_lerp_([averaged[name] for name in floats], [current[name] for name in floats], 1 - decay)
    for name in averaged.keys() - set(floats):
        averaged[name].copy_(current[name])
