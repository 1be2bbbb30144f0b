"""Q-networks: from observations to K numbers per action."""

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from rlgen.agents.noise import NoisyLinear
from rlgen.core.errors import UserError
from rlgen.core.seeds import Conv2d, Linear
from rlgen.networks import encoder, find


class Shape(Protocol):
    """The settings of an agent that its network depends on."""

    @property
    def width(self) -> int: ...  # noqa: D102  # documented in agents.settings, like the rest
    @property
    def depth(self) -> int: ...  # noqa: D102
    @property
    def dueling(self) -> bool: ...  # noqa: D102
    @property
    def noisy(self) -> bool: ...  # noqa: D102
    @property
    def layer_norm(self) -> bool: ...  # noqa: D102
    @property
    def encoder(self) -> str | None: ...  # noqa: D102


class QNetwork(nn.Module):
    """Convolutions for images, `depth` hidden layers of `width` ReLU units, K numbers for each of A actions.

    (..., *obs) -> (..., A, K); bytes are divided by `scale`. Like every network here it may stand for S networks with
    stacked weights, see `rlgen.core.seeds.Seeds`.
    """

    def __init__(self, obs: tuple[int, ...], actions: int, k: int, shape: Shape, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        self.torso, features = torso(obs, shape, shape.depth - 1)
        self.head = Head(features, actions, k, shape)

    def forward(self, obs: Tensor) -> Tensor:
        """(..., *obs) -> (..., A, K)"""
        return self.head(self.torso(scaled(obs, self.scale)))  # type: ignore[no-any-return]


class RecurrentQNetwork(nn.Module):
    """A Q-network with an LSTM before the last hidden layer.

    Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735.
    The recurrent state is the output h and the cell c of the LSTM: M = 2 * width numbers.
    """

    def __init__(self, obs: tuple[int, ...], actions: int, k: int, shape: Shape, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        self.torso, features = torso(obs, shape, shape.depth - 1)
        self.inputs = Linear(features, 4 * shape.width)
        self.recurrent = Linear(shape.width, 4 * shape.width, bias=False)
        self.head = Head(shape.width, actions, k, shape)

    def forward(self, obs: Tensor, recurrent_state: Tensor, is_first: Tensor) -> tuple[Tensor, Tensor]:
        """(..., T, *obs), state before them (..., M), is_first (..., T) -> (..., T, A, K), state after them (..., M)

        The state is reset to 0 before the first observation of an episode.
        """
        x = self.inputs(self.torso(scaled(obs, self.scale)))  # (..., T, 4 * width)
        kept = 1.0 - is_first.float().unsqueeze(-1)
        h, c = recurrent_state.chunk(2, -1)
        outputs = []
        for x_t, kept_t in zip(x.unbind(-2), kept.unbind(-2), strict=True):
            h, c = h * kept_t, c * kept_t
            input_gate, forget_gate, cell, output_gate = (x_t + self.recurrent(h)).chunk(4, -1)
            # A bias of 1 on the forget gate keeps the cell at first: Jozefowicz et al. 2015.
            c = torch.sigmoid(forget_gate + 1.0) * c + torch.sigmoid(input_gate) * torch.tanh(cell)
            h = torch.sigmoid(output_gate) * torch.tanh(c)
            outputs.append(h)
        return self.head(torch.stack(outputs, -2)), torch.cat([h, c], -1)


class Head(nn.Module):
    """A hidden layer, then K numbers for each action: (..., features) -> (..., A, K)

    Dueling, Wang et al. 2016, arXiv:1511.06581: separate hidden layers for the value of the state and for the
    advantages of the actions.
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
        """Dueling: Q(s, a) = V(s) + A(s, a) - mean A(s, ·) (eq. 9)"""
        advantage: Tensor = self.advantage(h)
        if self.value is None:
            return advantage
        return self.value(h) + advantage - advantage.mean(-2, keepdim=True)  # type: ignore[no-any-return]

    def atom_weights(self) -> Iterator[tuple[nn.Parameter, bool]]:
        """Weights (S?, rows * K, ...) of the last layers, and whether they shift the logits of every action alike."""
        for stream in (self.advantage, self.value):
            if stream is not None:
                shared = stream is self.value or self.value is None
                for name, weight in stream[-2].named_parameters():
                    yield weight, shared and name == "bias"


@torch.no_grad()
def mix_atoms(network: nn.Module, mixture: Tensor, shift: Tensor, optimizer: Any = None) -> None:
    """Change a Q-network so that logits l (K,) of an action become M l + c: `mixture` M (S, K, K), `shift` c (S, K).

    The moments of the optimizer are mixed like the weights that they belong to.
    """
    seeds, k = shift.shape
    head = network.head
    assert isinstance(head, Head)
    for weight, shifted in head.atom_weights():
        moments = [] if optimizer is None else optimizer.state.get(weight, {}).values()
        for x in (weight, *(moment for moment in moments if moment.shape == weight.shape)):
            features = weight.shape[-1] if weight.ndim > (seeds > 1) + 1 else 1
            rows = x.reshape(seeds, -1, k, features)
            mixed = mixture.unsqueeze(1) @ rows  # (S, rows, K, features)
            if shifted and x is weight:
                mixed += shift[:, None, :, None]
            x.copy_(mixed.reshape(x.shape))


def hidden(layer: nn.Module, shape: Shape) -> list[nn.Module]:
    """A hidden layer: linear, layer norm where chosen (Ba et al. 2016, arXiv:1607.06450), ReLU.

    Layer norm keeps temporal-difference learning from diverging: Gallici et al. 2024, arXiv:2407.04811. It has no gains
    and biases of its own: the next layer has both.
    """
    norm = [nn.LayerNorm(shape.width, elementwise_affine=False)] if shape.layer_norm else []
    return [layer, *norm, nn.ReLU(inplace=True)]


def torso(obs: tuple[int, ...], shape: Shape, depth: int) -> tuple[nn.Sequential, int]:
    """Layers from an observation to features, `depth` of them hidden layers, and the number of features.

    Images below 36 pixels: the one convolution of MinAtar, Young & Tian 2019, arXiv:1903.03176. Larger images: the
    three convolutions of Mnih et al. 2015, doi:10.1038/nature14236. Images below 3 pixels: none. With
    `--encoder` one of the networks of `rlgen.networks` in their place.
    """
    if shape.encoder is not None:
        return _encoder(obs, shape, shape.encoder, depth)
    layers: list[nn.Module] = []
    if len(obs) == 3 and min(obs[1:]) >= 3:
        channels, height, wide = obs
        large = min(height, wide) >= 36
        # Channels last are faster by a quarter on a CPU, except for images of a few pixels.
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


def _encoder(obs: tuple[int, ...], shape: Shape, name: str, depth: int) -> tuple[nn.Sequential, int]:
    """The torso with a network of `rlgen.networks`, layer norm in place of its batch norm.

    Statistics of a batch would differ between acting and learning, and between states of one and of many episodes.
    Raises UserError for observations that are no images, and for images that are too small.
    """
    if len(obs) != 3:
        numbers = "x".join(map(str, obs))
        raise UserError(f"--encoder {name} takes images, the observations here are of shape {numbers}: leave it out")
    norm = "auto" if find(name).own.get("norm") == "none" else "layer"
    way = "a smaller network, such as --encoder fast, takes them"
    blocks, features = encoder(name, (obs[0], obs[1], obs[2]), "--encoder", way, norm=norm)
    layers: list[nn.Module] = [blocks]
    for _ in range(depth):
        layers += hidden(Linear(features, shape.width), shape)
        features = shape.width
    return nn.Sequential(*layers), features


def scaled(obs: Tensor, scale: float) -> Tensor:
    """Bytes as float32 divided by `scale`; float32 unchanged."""
    return obs if obs.is_floating_point() else obs.float().div_(scale)
