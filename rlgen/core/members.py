"""Several independent copies of one network, each computed on one thread, as many at a time as there are threads.

One convolution with a stack of weights takes longer than one convolution per copy, and a small convolution split over
threads hardly less than on one: 8 x 128 images of LeNet-5, forward and backward on two cores, take 84 ms as a stack,
87 ms one network after the other, and 48 ms here. So each thread computes whole copies.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from rlgen.core.layers import Dropout
from rlgen.core.seeds import Seeds
from rlgen.core.workers import Pace

MANY = 50_000  # weights from which a network takes longer as a stack: casts and transposes of stacks copy them


class Members(Seeds):
    """`Seeds` whose copies are computed side by side on the CPU: the same weights, inputs, outputs and gradients.

    Small networks without convolutions, which are fast as stacks, and those with random draws or further outputs are
    computed by `Seeds`. There are no gradients of gradients.
    """

    _copies: list[nn.Module] | None = None  # S networks whose weights and buffers are views of the stacks

    def __init__(self, build: Callable[[], nn.Module], count: int) -> None:
        super().__init__(build, count)
        self.forwards, self.backwards, self.evaluations = Pace(), Pace(), Pace()

    def forward(self, *inputs: Tensor) -> Any:
        """Inputs (S, B, ...) -> outputs (S, B, ...): network s applied to x[s]."""
        (x,) = inputs
        if self.count == 1 or x.device.type != "cpu" or not self.separable():
            return super().forward(x)
        copies, weights = self.copies(), tuple(self.network.parameters())
        if torch.is_grad_enabled() and any(weight.requires_grad for weight in weights):
            return _SideBySide.apply(copies, (self.forwards, self.backwards), x, *weights)  # type: ignore[no-untyped-call]
        return torch.stack(self.evaluations(lambda s: copies[s](x[s]), range(self.count)))

    def separable(self) -> bool:
        """Whether the network has convolutions or many weights, no random draws in training, and one output."""
        modules = list(self.network.modules())
        random = any(isinstance(m, Dropout) and m.p for m in modules)
        further = len(getattr(self.network, "auxiliary_heads", ()))
        large = sum(weight[0].numel() for weight in self.network.parameters()) >= MANY
        apart = large or any(isinstance(m, nn.Conv2d) for m in modules)
        return apart and not (self.network.training and (random or further))

    def copies(self) -> list[nn.Module]:
        """S networks with views of the weights and buffers, in the same mode of training or evaluation."""
        stacks = [*self.network.parameters(), *self.network.buffers()]
        if self._copies is not None:
            views = [*self._copies[0].parameters(), *self._copies[0].buffers()]
            if any(view.data_ptr() != stack.data_ptr() for view, stack in zip(views, stacks, strict=True)):
                self._copies = None  # the stacks are others, on another device perhaps
        if self._copies is None:
            self._copies = [_view(self.network, s) for s in range(self.count)]
        for network in self._copies:
            if network.training != self.network.training:
                network.train(self.network.training)
            for view, stack in zip(network.parameters(), stacks, strict=False):
                view.requires_grad_(stack.requires_grad)
        return self._copies

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_copies"}


class _SideBySide(torch.autograd.Function):
    """The forward and backward pass of every copy, by an autograd graph per copy."""

    @staticmethod
    def forward(ctx: Any, copies: list[nn.Module], paces: tuple[Pace, Pace], x: Tensor, *weights: Tensor) -> Tensor:
        with torch.enable_grad():
            outputs = paces[0](lambda s: copies[s](x[s]), range(len(copies)))
        ctx.outputs, ctx.copies, ctx.pace = outputs, copies, paces[1]
        return torch.stack([y.detach() for y in outputs])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        learned = [[p for p in network.parameters() if p.requires_grad] for network in ctx.copies]
        outputs, (gradient,) = ctx.outputs, gradients
        ctx.outputs = None
        found = ctx.pace(lambda s: torch.autograd.grad(outputs[s], learned[s], gradient[s]), range(len(outputs)))
        stacks = iter(map(torch.stack, zip(*found, strict=True)))
        return None, None, None, *(next(stacks) if p.requires_grad else None for p in ctx.copies[0].parameters())


def _view(network: nn.Module, s: int) -> nn.Module:
    """Network `s` of a network of stacks (S, ...): its weights and buffers share the memory of the stacks."""
    with torch.no_grad():
        views = {id(p): nn.Parameter(p[s], p.requires_grad) for p in network.parameters()}
        return copy.deepcopy(network, {**views, **{id(b): b[s] for b in network.buffers()}})
