"""One random stream per purpose, and several independent copies of one network trained side by side."""

import copy
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap


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

    The weights carry a leading S axis. Adam and SGD act on each number alone, so one
    optimiser over the stack trains S networks that never mix.
    """

    def __init__(self, build: Callable[[], nn.Module], count: int) -> None:
        super().__init__()
        self.count = count
        if count == 1:
            self.only = build()  # no vmap: it costs as much again as a tiny network
            return
        copies = [build() for _ in range(count)]
        params, buffers = stack_module_state(copies)
        self.params = nn.ParameterDict({_flat(k): nn.Parameter(v.detach()) for k, v in params.items()})
        for name, value in buffers.items():
            self.register_buffer(_flat(name), value, persistent=name in copies[0].state_dict())
        self.__dict__["_template"] = copy.deepcopy(copies[0]).to("meta")  # shapes only: not a submodule

    def forward(self, *inputs: Tensor) -> Any:
        """(S, B, ...) each -> (S, B, ...), one or several: network s sees x[s] of every input x."""
        if self.count == 1:
            out = self.only(*(x[0] for x in inputs))
            return tuple(x[None] for x in out) if isinstance(out, tuple) else out[None]
        params = {_dotted(k): v for k, v in self.params.items()}
        buffers = {_dotted(k): v for k, v in self.named_buffers(recurse=False)}

        template: nn.Module = self.__dict__["_template"]

        def call(params: dict[str, Tensor], buffers: dict[str, Tensor], *inputs: Tensor) -> Any:
            return functional_call(template, (params, buffers), inputs)

        return vmap(call, randomness="different")(params, buffers, *inputs)


def _flat(name: str) -> str:
    return name.replace(".", "/")  # a module's attribute may hold no dot


def _dotted(name: str) -> str:
    return name.replace("/", ".")
