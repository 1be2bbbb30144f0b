"""Multilayer Q-networks in numpy on shared weights, with their gradient by hand.

For small networks, dispatch to torch and recording for autograd cost more than the arithmetic. Rumelhart et al. 1986,
doi:10.1038/323533a0. Shapes: S seeds, B observations, A actions, K numbers per action. Layers are (S, B, features).
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rlgen.agents.networks import QNetwork
from rlgen.agents.noise import NoisyLinear
from rlgen.core.seeds import Seeds

Floats = NDArray[np.float32]


class Perceptron:
    """S multilayer `QNetwork`s: (S, B, *obs) -> (S, B, A, K), and the gradient of their weights.

    The hidden layers of the two streams of a dueling network are one, of twice the width. Hidden activations are kept
    for `backward` until the next `forward`.
    """

    def __init__(self, q: Seeds) -> None:
        network = q.network
        assert isinstance(network, QNetwork)
        self.scale, head = network.scale, network.head
        streams = ["head.advantage"] if head.value is None else ["head.advantage", "head.value"]
        *hidden, _, shape = head.advantage
        assert isinstance(shape, nn.Unflatten)
        self.actions, self.k = torch.Size(shape.unflattened_size)
        self.layers = [_layer(q, [f"torso.{i}"]) for i in range(1, len(network.torso))]  # the first one flattens
        self.layers += [_layer(q, [f"{stream}.{i}" for stream in streams]) for i in range(len(hidden))]
        self.last = [Affine(q, [f"{stream}.{len(hidden)}"]) for stream in streams]
        width = self.last[0].weight.shape[-1]
        self.streams = [slice(i * width, (i + 1) * width) for i in range(len(streams))]

    @np.errstate(over="ignore", invalid="ignore")  # what is not finite is found in the loss or the gradient
    def forward(self, obs: NDArray[np.generic]) -> Floats:
        """(S, B, *obs) -> (S, B, A, K). Dueling: Q(s, a) = V(s) + A(s, a) - mean A(s, ·), Wang et al. 2016, eq. 9"""
        h = obs.reshape(*obs.shape[:2], -1).astype(np.float32, copy=False)
        if not np.issubdtype(obs.dtype, np.floating):
            h = h / np.float32(self.scale)
        for layer in self.layers:
            h = layer.forward(h)
        out, *value = [last.forward(h[..., part]) for last, part in zip(self.last, self.streams, strict=True)]
        out = out.reshape(*h.shape[:2], self.actions, self.k)
        for v in value:
            out += (v - out.sum(2) / np.float32(self.actions))[:, :, None]
        return out

    @np.errstate(over="ignore", invalid="ignore")
    def backward(self, gradient: Floats) -> None:
        """Set the gradients of all weights from those of the first B outputs of the last `forward`, (S, B, A, K)."""
        seeds, batch = gradient.shape[:2]
        by_stream = [gradient]
        if len(self.last) > 1:
            value = gradient.sum(2)
            by_stream = [gradient - value[:, :, None] / np.float32(self.actions), value]
        parts = zip(self.last, by_stream, strict=True)
        g = np.concatenate([last.backward(part.reshape(seeds, batch, -1)) for last, part in parts], -1)
        for layer in self.layers[:0:-1]:
            g = layer.backward(g)
        first = self.layers[0]
        assert isinstance(first, Affine)
        first.set_gradients(g)


class Affine:
    """y = x Wᵀ + b of one linear layer, or of several side by side."""

    def __init__(self, q: Seeds, names: Sequence[str]) -> None:
        blocks = [Block(q, name) for name in names]
        ends = np.cumsum([block.weight.shape[1] for block in blocks]).tolist()
        rows = [slice(end - block.weight.shape[1], end) for block, end in zip(blocks, ends, strict=True)]
        self.blocks = list(zip(blocks, rows, strict=True))
        self.weight, self.bias = blocks[0].weight, blocks[0].bias
        self.computed = len(blocks) > 1 or blocks[0].noisy
        if self.computed:
            self.weight = np.empty((len(self.weight), ends[-1], self.weight.shape[2]), np.float32)
            self.bias = np.empty(self.weight.shape[:2], np.float32)
        self.x: Floats = self.bias

    def forward(self, x: Floats) -> Floats:
        """(S, B, inputs) -> (S, B, outputs)"""
        self.x = x
        if self.computed:
            for block, rows in self.blocks:
                block.compute(self.weight[:, rows], self.bias[:, rows])
        y: Floats = x @ self.weight.swapaxes(1, 2)
        y += self.bias[:, None]
        return y

    def backward(self, g: Floats) -> Floats:
        """Set the gradients of the weights; returns that of the inputs, g W, (S, B, inputs)."""
        self.set_gradients(g)
        of_inputs: Floats = g @ self.weight
        return of_inputs

    def set_gradients(self, g: Floats) -> None:
        """∂W = gᵀ x, ∂b = Σ g"""
        x = self.x[:, : g.shape[1]]
        if not self.computed:  # in place
            gradients = self.blocks[0][0].current_gradients()
            np.matmul(g.swapaxes(1, 2), x, out=gradients["weight"])
            np.add.reduce(g, 1, out=gradients["bias"])
            return
        weight, bias = g.swapaxes(1, 2) @ x, g.sum(1)
        for block, rows in self.blocks:
            block.set_gradients(weight[:, rows], bias[:, rows])


class Block:
    """The weights (S, outputs, inputs) and biases (S, outputs) of one linear layer; of a noisy one means and σ."""

    def __init__(self, q: Seeds, name: str) -> None:
        layer = q.network.get_submodule(name)
        self.parameters = dict(layer.named_parameters())
        shown = {key: q.weight(f"{name}.{key}").detach().numpy() for key in self.parameters}
        self.weight, self.bias = shown["weight"], shown["bias"]
        self.tensors: dict[str, torch.Tensor] = {}
        self.gradients: dict[str, Floats] = {}
        self.shapes = {key: array.shape for key, array in shown.items()}  # (S, ...)
        self.noisy = isinstance(layer, NoisyLinear)
        if isinstance(layer, NoisyLinear):
            self.weight_sigma, self.bias_sigma = shown["weight_sigma"], shown["bias_sigma"]
            self.noise_in = layer.noise_in.numpy().reshape(q.count, 1, -1)
            self.noise_out = layer.noise_out.numpy().reshape(q.count, -1, 1)
            self.noise = np.empty_like(self.weight)

    def compute(self, weight: Floats, bias: Floats) -> None:
        """W = μ + σ ⊙ ε_out ε_inᵀ and b = μ_b + σ_b ⊙ ε_out, Fortunato et al. 2018, eq. 9 to 11, into the arguments."""
        if not self.noisy:
            weight[...], bias[...] = self.weight, self.bias
            return
        np.multiply(self.noise_out, self.noise_in, out=self.noise)
        np.add(self.weight, np.multiply(self.weight_sigma, self.noise, out=weight), out=weight)
        np.add(self.bias, self.bias_sigma * self.noise_out[..., 0], out=bias)

    def set_gradients(self, weight: Floats, bias: Floats) -> None:
        """The gradients of the means are those of W and b; those of σ these times the noise."""
        gradients = self.current_gradients()
        gradients["weight"][...], gradients["bias"][...] = weight, bias
        if self.noisy:
            np.multiply(weight, self.noise, out=gradients["weight_sigma"])
            np.multiply(bias, self.noise_out[..., 0], out=gradients["bias_sigma"])

    def current_gradients(self) -> dict[str, Floats]:
        """The gradients of the parameters as arrays (S, ...), on the memory of the tensors."""
        for name, parameter in self.parameters.items():
            if parameter.grad is None:
                parameter.grad = torch.empty_like(parameter)
            if parameter.grad is not self.tensors.get(name):
                self.tensors[name] = parameter.grad
                self.gradients[name] = parameter.grad.numpy().reshape(self.shapes[name])
        return self.gradients


class Normalize:
    """Layer normalisation of each of several streams side by side, without gains and biases."""

    def __init__(self, width: int, eps: float) -> None:
        self.width, self.eps, self.mean = width, eps, np.full(width, 1 / width, np.float32)
        self.y: Floats = self.mean
        self.scale: Floats = self.mean

    def forward(self, x: Floats) -> Floats:
        """y = (x - mean x) / √(var x + ε)"""
        x = x.reshape(*x.shape[:2], -1, self.width)
        x -= (x @ self.mean)[..., None]
        variance: Floats = np.square(x) @ self.mean
        variance[np.isinf(variance)] = np.nan  # an overflow is a divergence, and no layer of zeros
        self.scale = np.reciprocal(np.sqrt(variance + np.float32(self.eps)))[..., None]
        x *= self.scale
        self.y = x
        return x.reshape(*x.shape[:2], -1)

    def backward(self, g: Floats) -> Floats:
        """∂x = (∂y - mean ∂y - y mean (y ⊙ ∂y)) / √(var x + ε)"""
        g = g.reshape(*g.shape[:2], -1, self.width)
        y, scale = self.y[:, : g.shape[1]], self.scale[:, : g.shape[1]]
        slope = ((g * y) @ self.mean)[..., None]
        g -= (g @ self.mean)[..., None]
        g -= slope * y
        g *= scale
        return g.reshape(*g.shape[:2], -1)


class Rectify:
    """ReLU"""

    def __init__(self) -> None:
        self.y: Floats = np.empty(0, np.float32)
        self.zeros = self.y  # in the shape of the input: numpy's maximum with a scalar takes three times as long

    def forward(self, x: Floats) -> Floats:
        """y = max(x, 0)"""
        if self.zeros.shape != x.shape:
            self.zeros = np.zeros_like(x)
        self.y = np.maximum(x, self.zeros)
        return self.y

    def backward(self, g: Floats) -> Floats:
        """∂x = ∂y where y > 0, else 0"""
        g *= self.y[:, : g.shape[1]] > 0
        return g


def _layer(q: Seeds, names: Sequence[str]) -> Affine | Normalize | Rectify:
    """The layer of this name, or of these names side by side."""
    layer = q.network.get_submodule(names[0])
    if isinstance(layer, nn.ReLU):
        return Rectify()
    if isinstance(layer, nn.LayerNorm):
        return Normalize(layer.normalized_shape[0], layer.eps)
    return Affine(q, names)
