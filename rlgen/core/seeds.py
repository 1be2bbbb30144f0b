"""One random stream per purpose, and several independent copies of one network trained in one batch."""

import copy
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import vmap


def numpy_stream(seed: int, purpose: str) -> np.random.Generator:
    """A numpy generator for `purpose`, independent of the streams of other purposes."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode())])


def stream(seed: int | Sequence[int], purpose: str) -> "np.random.Generator | Streams":
    """A generator for `purpose`, or one for each of several seeds."""
    return numpy_stream(seed, purpose) if isinstance(seed, int) else Streams(seed, purpose)


class Streams:
    """A numpy generator for `purpose` of each of S seeds; the first axis of what is drawn is split among them.

    Each draws as `numpy_stream` of its seed alone does.
    """

    def __init__(self, seeds: Sequence[int], purpose: str) -> None:
        self.generators = [numpy_stream(seed, purpose) for seed in seeds]
        self.drawing: Sequence[int] = range(len(self.generators))

    def random(self, size: int | tuple[int, ...]) -> NDArray[np.float64]:
        """Uniform numbers in [0, 1), (L, ...)."""
        drawn = np.zeros(self._shares(size))
        for s in self.drawing:
            self.generators[s].random(out=drawn[s])
        return drawn.reshape(size)

    def integers(self, low: int, high: int | None = None, size: int | tuple[int, ...] = 1) -> NDArray[np.int64]:
        """Integers from `low` to `high` - 1, or from 0 to `low` - 1, (L, ...)."""
        drawn = np.zeros(self._shares(size), np.int64)
        for s in self.drawing:
            drawn[s] = self.generators[s].integers(low, high, drawn.shape[1:])
        return drawn.reshape(size)

    def only(self, which: NDArray[np.bool_]) -> "Streams":
        """The same generators, of which those not in `which` (S,) draw nothing: their rows are zeros."""
        part = copy.copy(self)
        part.drawing = which.nonzero()[0].tolist()
        return part

    def state_dict(self) -> dict[str, Any]:
        """The state of each generator."""
        return {"generators": [generator.bit_generator.state for generator in self.generators]}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Restore the result of `state_dict`. Raises ValueError for another number of generators."""
        for generator, state in zip(self.generators, saved["generators"], strict=True):
            generator.bit_generator.state = state

    def _shares(self, size: int | tuple[int, ...]) -> tuple[int, ...]:
        """(L, ...) -> (S, L / S, ...)"""
        length, *rest = (size,) if isinstance(size, int) else size
        return len(self.generators), length // len(self.generators), *rest


def torch_stream(seed: int, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator for `purpose` on `device`."""
    return torch.Generator(device).manual_seed(derive(seed, purpose))


def derive(seed: int, purpose: str) -> int:
    """An integer seed for `purpose`."""
    return int(numpy_stream(seed, purpose).integers(2**63))


@contextmanager
def initial_weights(seed: int) -> Iterator[None]:
    """Within it, the weights of new networks come from a stream of their own; torch's global stream is unchanged."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "weights"))
        yield


class Seeds(nn.Module):
    """S = `count` copies of a network with independent weights; every input and output has a leading S axis.

    With S > 1 each weight and buffer is a stack (S, ...). Adam and SGD act elementwise, so one optimiser trains S
    independent networks. Every layer with weights must accept such stacks, as `Linear` and `Conv2d` below do.
    """

    def __init__(self, build: Callable[[], nn.Module], count: int) -> None:
        super().__init__()
        self.count = count
        copies = [build() for _ in range(count)]
        self.network = copies[0]
        if count == 1:  # without a stack, which would only cost time
            return
        for modules in zip(*(network.modules() for network in copies), strict=True):
            first = modules[0]
            for name in dict(first.named_parameters(recurse=False)):
                stack = torch.stack([getattr(m, name).detach() for m in modules])
                setattr(first, name, nn.Parameter(stack, getattr(first, name).requires_grad))
            for name in dict(first.named_buffers(recurse=False)):
                setattr(first, name, torch.stack([getattr(m, name) for m in modules]))

    def forward(self, *inputs: Tensor) -> Any:
        """Inputs (S, B, ...) -> one output or a tuple of outputs (S, B, ...): network s applied to x[s]."""
        if self.count > 1:
            return self.network(*inputs)
        out = self.network(*(x[0] for x in inputs))
        return tuple(x[None] for x in out) if isinstance(out, tuple) else out[None]

    def weight(self, name: str) -> Tensor:
        """A view (S, ...) of the weight of this name in every copy."""
        weight = self.network.get_parameter(name)
        return weight if self.count > 1 else weight[None]

    def alone(self, s: int = 0) -> nn.Module:
        """A copy of network s, whose inputs and outputs have no S axis."""
        network = copy.deepcopy(self.network)
        for module in network.modules() if self.count > 1 else ():
            for name, p in dict(module.named_parameters(recurse=False)).items():
                setattr(module, name, nn.Parameter(p.detach()[s].clone(), p.requires_grad))
            for name, buffer in dict(module.named_buffers(recurse=False)).items():
                setattr(module, name, buffer[s].clone())
        return network


class Linear(nn.Linear):
    """A linear layer, (..., features) -> (..., outputs), or S of them, (S, ..., features) -> (S, ..., outputs)."""

    def forward(self, x: Tensor) -> Tensor:
        """y = x Wᵀ + b"""
        return linear(x, self.weight, self.bias)


class Conv2d(nn.Conv2d):
    """A convolution, (..., C, H, W) -> (..., C', H', W'), or S of them, (S, ..., C, H, W) -> (S, ..., C', H', W')."""

    def forward(self, x: Tensor) -> Tensor:
        """The convolution of every image."""
        if self.weight.dim() > 4:
            maps = self._each(x)
        else:
            maps = self._conv_forward(x.flatten(0, -4), self.weight, self.bias)
            if x.dim() == 4:  # an activation in place on a view would copy the gradient
                return maps  # type: ignore[no-any-return]
        return maps.view(*x.shape[:-3], *maps.shape[-3:])

    def _each(self, x: Tensor) -> Tensor:
        """S convolutions, (S, ..., C, H, W) -> (S, N, C', H', W').

        One by one on a CPU: forward and backward of C1 and C3 of LeNet-5 for 8 x 128 images take 71 ms, 109 ms as one
        grouped convolution and 228 ms as a batched product with the patches; with 24 channels and more all are alike.
        """
        if x.device.type != "cpu":
            dims = (0, 0, None if self.bias is None else 0)
            return vmap(self._conv_forward, dims)(x.flatten(1, -4), self.weight, self.bias)  # type: ignore[no-any-return]
        biases = [None] * len(self.weight) if self.bias is None else self.bias
        return torch.stack(
            [self._conv_forward(*each) for each in zip(x.flatten(1, -4), self.weight, biases, strict=True)]
        )


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x Wᵀ + b, (..., features) -> (..., outputs); for each s by itself where W is (S, outputs, features)."""
    if weight.dim() == 2:
        return F.linear(x, weight, bias)
    rows = x.flatten(1, -2)  # (S, N, features)
    y = torch.bmm(rows, weight.mT) if bias is None else torch.baddbmm(bias.unsqueeze(1), rows, weight.mT)
    return y.view(*x.shape[:-1], -1)
