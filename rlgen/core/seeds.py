"""One random stream per purpose, and several independent copies of one network trained side by side."""

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import vmap


def numpy_stream(seed: int, purpose: str) -> np.random.Generator:
    """A generator of its own for `purpose`: drawing from one stream never moves another."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode())])


def torch_stream(seed: int, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """The same for tensors, on `device`."""
    return torch.Generator(device).manual_seed(derive(seed, purpose))


def derive(seed: int, purpose: str) -> int:
    """A seed of its own for `purpose`."""
    return int(numpy_stream(seed, purpose).integers(2**63))


@contextmanager
def initial_weights(seed: int) -> Iterator[None]:
    """Networks built inside draw their weights from a stream of their own; torch's global one stays where it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "weights"))
        yield


class Seeds(nn.Module):
    """`count` copies of a network with their own weights; every input and output has a leading S axis.

    Of several, each weight and buffer is a stack (S, ...): Adam and SGD act on each number alone, so one optimiser
    trains S networks that never mix. All layers with weights must be at home with that, as the two below are.
    """

    def __init__(self, build: Callable[[], nn.Module], count: int) -> None:
        super().__init__()
        self.count = count
        copies = [build() for _ in range(count)]
        self.network = copies[0]
        if count == 1:  # a stack of one would only cost time
            return
        for modules in zip(*(copy.modules() for copy in copies), strict=True):
            first = modules[0]
            for name in dict(first.named_parameters(recurse=False)):
                setattr(first, name, nn.Parameter(torch.stack([getattr(m, name).detach() for m in modules])))
            for name in dict(first.named_buffers(recurse=False)):
                setattr(first, name, torch.stack([getattr(m, name) for m in modules]))

    def forward(self, *inputs: Tensor) -> Any:
        """(S, B, ...) each -> (S, B, ...), one or several: network s sees x[s] of every input x."""
        if self.count > 1:
            return self.network(*inputs)
        out = self.network(*(x[0] for x in inputs))
        return tuple(x[None] for x in out) if isinstance(out, tuple) else out[None]

    def weight(self, name: str) -> Tensor:
        """The weight of this name in every copy, (S, ...), sharing their memory."""
        weight = self.network.get_parameter(name)
        return weight if self.count > 1 else weight[None]


class Linear(nn.Linear):
    """A linear layer, (..., features) -> (..., outputs), or S of them: (S, ..., features) -> (S, ..., outputs)."""

    def forward(self, x: Tensor) -> Tensor:
        """y = x Wᵀ + b"""
        return linear(x, self.weight, self.bias)


class Conv2d(nn.Conv2d):
    """A convolution, (..., C, H, W) -> (..., filters, height, width), or S of them, all with a leading S axis."""

    def forward(self, x: Tensor) -> Tensor:
        """Of every image."""
        if self.weight.dim() == 4:
            maps = super().forward(x.flatten(0, -4))
        else:
            maps = vmap(self._conv_forward)(x.flatten(1, -4), self.weight, self.bias)
        return maps.view(*x.shape[:-3], *maps.shape[-3:])


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x Wᵀ + b, (..., features) -> (..., outputs); S times side by side where W is (S, outputs, features)."""
    if weight.dim() == 2:
        return F.linear(x, weight, bias)
    rows = x.flatten(1, -2)  # (S, N, features)
    y = torch.bmm(rows, weight.mT) if bias is None else torch.baddbmm(bias.unsqueeze(1), rows, weight.mT)
    return y.view(*x.shape[:-1], -1)
