"""A small Q-network in numpy: for a few observations, dispatching to torch costs more than the arithmetic."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import nn

from rlgen.core.seeds import Seeds

Function = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def in_numpy(q: Seeds) -> Function:
    """The function of S multilayer `QNetwork`s with K = 1 on shared weights, (S, B, *obs) -> (S, B, A)."""
    torso, advantage, value = (_layers(q, part) for part in ("torso", "head.advantage", "head.value"))

    @np.errstate(over="ignore", invalid="ignore")  # `descend` raises for weights that are not finite
    def forward(obs: NDArray[np.float32]) -> NDArray[np.float32]:
        h = _apply(torso, obs.reshape(*obs.shape[:2], -1))
        out = _apply(advantage, h)
        return _apply(value, h) + out - out.mean(-1, keepdims=True) if value else out

    return forward


def _apply(layers: list[Function], h: NDArray[np.float32]) -> NDArray[np.float32]:
    for layer in layers:
        h = layer(h)
    return h


def _layers(q: Seeds, part: str) -> list[Function]:
    """One function on (S, B, features) per layer of this part of the network; empty where it has no such part."""
    layers = dict(q.network.named_modules()).get(part, nn.Sequential())
    assert isinstance(layers, nn.Sequential)
    return [
        _function(q, f"{part}.{place}", layer)
        for place, layer in enumerate(layers)
        if not isinstance(layer, nn.Flatten | nn.Unflatten)
    ]


def _function(q: Seeds, name: str, layer: nn.Module) -> Function:
    if isinstance(layer, nn.ReLU):
        return lambda h: np.maximum(h, 0, out=h)
    if isinstance(layer, nn.LayerNorm):
        return lambda h: _normalize(h, layer.eps)
    weight = q.weight(f"{name}.weight").detach().numpy().swapaxes(1, 2)
    bias = q.weight(f"{name}.bias").detach().numpy()[:, None]

    def affine(h: NDArray[np.float32]) -> NDArray[np.float32]:
        h = h @ weight
        h += bias
        return h

    return affine


def _normalize(h: NDArray[np.float32], eps: float) -> NDArray[np.float32]:
    h = h - h.mean(-1, keepdims=True)
    h /= np.sqrt(np.square(h).mean(-1, keepdims=True) + eps)
    return h
