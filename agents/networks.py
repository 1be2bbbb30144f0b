"""Networks that map observations to K numbers per action."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn


class QNetwork(nn.Module):
    """`depth` hidden layers of `width` ReLU units, then K numbers for each of A actions: (B, *obs) -> (B, A, K)."""

    def __init__(self, obs: tuple[int, ...], actions: int, k: int, width: int, depth: int) -> None:
        super().__init__()
        inputs = 1
        for size in obs:
            inputs *= size
        layers: list[nn.Module] = [nn.Flatten()]
        for _ in range(depth):
            layers += [nn.Linear(inputs, width), nn.ReLU()]
            inputs = width
        self.layers = nn.Sequential(*layers, nn.Linear(inputs, actions * k), nn.Unflatten(-1, (actions, k)))

    def forward(self, obs: Tensor) -> Tensor:
        """(B, *obs) -> (B, A, K)"""
        return self.layers(obs)  # type: ignore[no-any-return]


def in_numpy(network: QNetwork) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """The same function on the same weights, which stay shared: (B, *obs) -> (B, A * K).

    For the one or few observations an agent acts on, dispatching to torch costs more than the arithmetic.
    """
    layers = [layer for layer in network.layers if isinstance(layer, nn.Linear)]
    *hidden, (last, bias) = [(layer.weight.detach().numpy().T, layer.bias.detach().numpy()) for layer in layers]

    @np.errstate(over="ignore", invalid="ignore")  # `descend` has the say on what is not finite
    def forward(obs: NDArray[np.float32]) -> NDArray[np.float32]:
        h = obs.reshape(len(obs), -1)
        for weight, bias_ in hidden:
            h = h @ weight
            h += bias_
            np.maximum(h, 0, out=h)
        return np.asarray(h @ last + bias)

    return forward
