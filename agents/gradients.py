"""Outputs of Q-networks and the gradients of their weights: by autograd, or by hand where that is faster."""

from typing import Protocol

import torch
from torch import Tensor, nn

from rlgen.agents.networks import QNetwork
from rlgen.agents.perceptron import Perceptron
from rlgen.core.seeds import Seeds


class Gradients(Protocol):
    """A Q-network whose weights get the gradient of a loss, of which only the derivative by its outputs is given."""

    def forward(self, *obs: Tensor) -> list[Tensor]:
        """Outputs without a graph for one or several batches: (S, B, *obs) each -> (S, B, A, K) each."""
        ...

    def backward(self, gradient: Tensor) -> None:
        """Set the gradients of the weights from that of the first outputs of the last `forward`, (S, B, A, K)."""
        ...


class Autograd:
    """Any network; the graph of the first batch is kept."""

    def __init__(self, q: nn.Module) -> None:
        self.q, self.weights, self.out = q, list(q.parameters()), torch.zeros(0)

    def forward(self, *obs: Tensor) -> list[Tensor]:
        """(S, B, *obs) each -> (S, B, A, K) each"""
        self.out = self.q(obs[0])
        with torch.no_grad():
            return [self.out.detach(), *(self.q(other) for other in obs[1:])]

    def backward(self, gradient: Tensor) -> None:
        """Set the gradients of all weights."""
        for weight in self.weights:
            weight.grad = None
        self.out.backward(gradient)  # type: ignore[no-untyped-call]


class ByHand:
    """A multilayer perceptron on the CPU. All batches go through the network as one."""

    def __init__(self, q: Seeds) -> None:
        self.perceptron = Perceptron(q)

    def forward(self, *obs: Tensor) -> list[Tensor]:
        """(S, B, *obs) each -> (S, B, A, K) each"""
        rows = obs[0] if len(obs) == 1 else torch.cat(obs, 1)
        out = torch.from_numpy(self.perceptron.forward(rows.numpy()))
        return list(torch.split(out, [x.shape[1] for x in obs], 1))

    def backward(self, gradient: Tensor) -> None:
        """Set the gradients of all weights."""
        self.perceptron.backward(gradient.numpy())


def gradients(q: nn.Module) -> Gradients:
    """By hand for multilayer perceptrons on the CPU, by autograd for all other networks."""
    network = q.network if isinstance(q, Seeds) and next(q.parameters()).device.type == "cpu" else q
    plain = isinstance(network, QNetwork) and isinstance(network.torso[0], nn.Flatten)
    return ByHand(q) if isinstance(q, Seeds) and plain else Autograd(q)
