"""Networks that map observations to K numbers per action."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rlgen.core.seeds import Conv2d, Linear, Seeds, linear

Plain = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # a layer without torch


class Shape(Protocol):
    """What a network reads from the settings of its agent."""

    @property
    def width(self) -> int: ...  # noqa: D102  # explained in agents.settings, like the rest
    @property
    def depth(self) -> int: ...  # noqa: D102
    @property
    def dueling(self) -> bool: ...  # noqa: D102
    @property
    def noisy(self) -> bool: ...  # noqa: D102
    @property
    def layer_norm(self) -> bool: ...  # noqa: D102


class QNetwork(nn.Module):
    """Convolutions for images, `depth` hidden layers of `width` ReLU units, K numbers for each of A actions.

    (..., *obs) -> (..., A, K), pixels being divided by `scale`. Like all networks here it may be S of them.
    """

    def __init__(self, obs: tuple[int, ...], actions: int, k: int, shape: Shape, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        self.torso, features = torso(obs, shape, shape.depth - 1)
        self.head = Head(features, actions, k, shape)

    def forward(self, obs: Tensor) -> Tensor:
        """(..., *obs) -> (..., A, K)"""
        return self.head(self.torso(pixels(obs, self.scale)))  # type: ignore[no-any-return]


class RecurrentQNetwork(nn.Module):
    """The same with an LSTM before the last hidden layer.

    Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735.
    What it remembers is its output h and its cell c, M = 2 * width numbers.
    """

    def __init__(self, obs: tuple[int, ...], actions: int, k: int, shape: Shape, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        self.torso, features = torso(obs, shape, shape.depth - 1)
        self.inputs = Linear(features, 4 * shape.width)
        self.recurrent = Linear(shape.width, 4 * shape.width, bias=False)
        self.head = Head(shape.width, actions, k, shape)

    def forward(self, obs: Tensor, recurrent_state: Tensor, is_first: Tensor) -> tuple[Tensor, Tensor]:
        """(..., T, *obs), memory (..., M) before them, start (..., T) -> (..., T, A, K), memory (..., M) after them.

        Where `start` is true an episode begins, and nothing before it is remembered.
        """
        x = self.inputs(self.torso(pixels(obs, self.scale)))  # (..., T, 4 * width)
        kept = 1.0 - is_first.float().unsqueeze(-1)
        h, c = recurrent_state.chunk(2, -1)
        outputs = []
        for seen, keep in zip(x.unbind(-2), kept.unbind(-2), strict=True):
            h, c = h * keep, c * keep
            gate_in, forget, new, gate_out = (seen + self.recurrent(h)).chunk(4, -1)
            c = torch.sigmoid(forget + 1.0) * c + torch.sigmoid(gate_in) * torch.tanh(new)  # it begins by remembering
            h = torch.sigmoid(gate_out) * torch.tanh(c)
            outputs.append(h)
        return self.head(torch.stack(outputs, -2)), torch.cat([h, c], -1)


class Head(nn.Module):
    """A hidden layer, then K numbers for each action: (..., features) -> (..., A, K).

    Dueling, Wang et al. 2016, arXiv:1511.06581: the hidden layer is there twice, for the
    value of the state and for the advantages of the actions.
    """

    def __init__(self, features: int, actions: int, k: int, shape: Shape) -> None:
        super().__init__()
        layer = NoisyLinear if shape.noisy else Linear

        def stream(rows: int) -> nn.Sequential:
            layers = hidden(layer(features, shape.width), shape)
            return nn.Sequential(*layers, layer(shape.width, rows * k), nn.Unflatten(-1, (rows, k)))

        self.advantage = stream(actions)
        self.value = stream(1) if shape.dueling else None

    def forward(self, h: Tensor) -> Tensor:
        """Where dueling, Q(s, a) = V(s) + A(s, a) - mean A(s, ·) (eq. 9)."""
        advantage: Tensor = self.advantage(h)
        if self.value is None:
            return advantage
        return self.value(h) + advantage - advantage.mean(-2, keepdim=True)  # type: ignore[no-any-return]


def hidden(layer: nn.Module, shape: Shape) -> list[nn.Module]:
    """A hidden layer: a linear one, and where asked layer norm, Ba et al. 2016, arXiv:1607.06450.

    It keeps temporal-difference learning from running away: Gallici et al. 2024, arXiv:2407.04811.
    Without gains and shifts of its own, which the layer after it has anyway.
    """
    norm = [nn.LayerNorm(shape.width, elementwise_affine=False)] if shape.layer_norm else []
    return [layer, *norm, nn.ReLU(inplace=True)]


def torso(obs: tuple[int, ...], shape: Shape, depth: int) -> tuple[nn.Sequential, int]:
    """Layers from an observation to features, `depth` of them linear, and how many features there are.

    Images below 36 pixels: the one convolution of MinAtar, Young & Tian 2019, arXiv:1903.03176;
    larger ones: the three of Mnih et al. 2015, doi:10.1038/nature14236. Below 3 there is nothing to convolve.
    """
    layers: list[nn.Module] = []
    if len(obs) == 3 and min(obs[1:]) >= 3:
        channels, height, wide = obs
        large = min(height, wide) >= 36
        # A CPU is faster by a quarter where the channels of a pixel lie together, but not at a few pixels.
        layout = torch.channels_last if large else torch.contiguous_format
        for filters, kernel, stride in [(32, 8, 4), (64, 4, 2), (64, 3, 1)] if large else [(16, 3, 1)]:
            convolution = Conv2d(channels, filters, kernel, stride)
            layers += [convolution.to(memory_format=layout), nn.ReLU(inplace=True)]  # type: ignore[call-overload]
            channels, height, wide = filters, (height - kernel) // stride + 1, (wide - kernel) // stride + 1
        obs = (channels, height, wide)
    layers.append(nn.Flatten(-len(obs)))
    features = torch.Size(obs).numel()
    for _ in range(depth):
        layers += hidden(Linear(features, shape.width), shape)
        features = shape.width
    return nn.Sequential(*layers), features


def pixels(obs: Tensor, scale: float) -> Tensor:
    """Pixels as numbers from 0 to 1; vectors as they are."""
    return obs if obs.is_floating_point() else obs.float().div_(scale)


class NoisyLinear(nn.Module):
    """A linear layer with learned, factorised Gaussian noise. Fortunato et al. 2018, arXiv:1706.10295.

    The noise stands still until `draw_noise` or `silence`, and is no part of what is saved.
    """

    noise_in: Tensor
    noise_out: Tensor

    def __init__(self, inputs: int, outputs: int, sigma: float = 0.5) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound))
        self.weight_sigma = nn.Parameter(torch.full((outputs, inputs), sigma * bound))
        self.bias_sigma = nn.Parameter(torch.full((outputs,), sigma * bound))
        self.register_buffer("noise_in", torch.zeros(inputs), persistent=False)
        self.register_buffer("noise_out", torch.zeros(outputs), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """y = (μ + σ ⊙ ε_out ε_inᵀ) x + μ_b + σ_b ⊙ ε_out (eq. 9 to 11)"""
        noise = self.noise_out.unsqueeze(-1) * self.noise_in.unsqueeze(-2)
        weight = torch.addcmul(self.weight, self.weight_sigma, noise)
        return linear(x, weight, torch.addcmul(self.bias, self.bias_sigma, self.noise_out))


@torch.no_grad()
def draw_noise(network: nn.Module, generator: torch.Generator) -> None:
    """Fresh noise f(ε), f(x) = sgn(x) √|x|, in every noisy layer; of several seeds each has its own."""
    if old := _noise(network):
        sizes = [x.numel() for x in old]
        drawn = torch.randn(sum(sizes), generator=generator, device=generator.device)
        new = torch.split(drawn.abs().sqrt_().copysign_(drawn), sizes)
        torch._foreach_copy_(old, [fresh.view_as(x) for fresh, x in zip(new, old, strict=True)])


def zero_noise(network: nn.Module) -> None:
    """No noise, until it is drawn again."""
    for noise in _noise(network):
        noise.zero_()


def _noise(network: nn.Module) -> list[Tensor]:
    return [buffer for name, buffer in network.named_buffers() if name.endswith(("noise_in", "noise_out"))]


def in_numpy(q: Seeds) -> Plain:
    """The same function of vectors on the same weights, which stay shared: (S, B, *obs) -> (S, B, A), K being 1.

    For the one or few observations an agent acts on, dispatching to torch costs more than the arithmetic.
    """
    body, advantage, value = (_steps(q, part) for part in ("torso", "head.advantage", "head.value"))

    @np.errstate(over="ignore", invalid="ignore")  # `descend` has the say on what is not finite
    def forward(obs: NDArray[np.float32]) -> NDArray[np.float32]:
        h = _through(body, obs.reshape(*obs.shape[:2], -1))
        out = _through(advantage, h)
        return _through(value, h) + out - out.mean(-1, keepdims=True) if value else out

    return forward


def _through(steps: list[Plain], h: NDArray[np.float32]) -> NDArray[np.float32]:
    for step in steps:
        h = step(h)
    return h


def _steps(q: Seeds, part: str) -> list[Plain]:
    """What each layer of this part does to (S, B, features); nothing where there is no such part."""
    layers = dict(q.network.named_modules()).get(part, nn.Sequential())
    assert isinstance(layers, nn.Sequential)
    return [
        _plain(q, f"{part}.{place}", layer)
        for place, layer in enumerate(layers)
        if not isinstance(layer, nn.Flatten | nn.Unflatten)
    ]


def _plain(q: Seeds, name: str, layer: nn.Module) -> Plain:
    if isinstance(layer, nn.ReLU):
        return lambda h: np.maximum(h, 0, out=h)
    if isinstance(layer, nn.LayerNorm):
        return lambda h: _norm(h, layer.eps)
    weight = q.weight(f"{name}.weight").detach().numpy().swapaxes(1, 2)
    bias = q.weight(f"{name}.bias").detach().numpy()[:, None]

    def affine(h: NDArray[np.float32]) -> NDArray[np.float32]:
        h = h @ weight
        h += bias
        return h

    return affine


def _norm(h: NDArray[np.float32], eps: float) -> NDArray[np.float32]:
    h = h - h.mean(-1, keepdims=True)
    h /= np.sqrt(np.square(h).mean(-1, keepdims=True) + eps)
    return h
