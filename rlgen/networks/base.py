"""What every network for images has in common: named blocks, a head, and the layers of its settings."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from rlgen.core import layers
from rlgen.core.seeds import Conv2d, Linear
from rlgen.networks import initial
from rlgen.networks.settings import NetworkSettings

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),
    "leaky": lambda: nn.LeakyReLU(initial.LEAK, inplace=True),
    "elu": lambda: nn.ELU(inplace=True),
    "gelu": nn.GELU,
    "silu": lambda: nn.SiLU(inplace=True),
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
GROUPS = 32  # of `--norm group`, or the most that divide the channels


class ConvNet(nn.Module):
    """A network of named blocks, `body`, from images to features, and a `head` from features to logits.

    (..., C, H, W) -> (..., K). Every layer with weights accepts stacks, so that `rlgen.core.seeds.Seeds` trains S
    networks side by side. Blocks whose outputs are (..., C, H, W) come before those whose outputs are (..., F).
    """

    auxiliary_weight = 0.0  # in the loss, of the cross entropy of each of `auxiliary`

    def __init__(self, body: dict[str, nn.Module], head: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(OrderedDict(body))
        self.head = head
        self.auxiliary: tuple[Tensor, ...] = ()  # logits (..., K) of auxiliary classifiers in the last training pass

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes: all but the outputs of the last pass, which hold its graph."""
        return {**self.__dict__, "auxiliary": ()}

    def forward(self, x: Tensor) -> Tensor:
        """Images (..., C, H, W) -> logits (..., K)."""
        logits: Tensor = self.head(self.features(x))
        return logits

    def features(self, x: Tensor) -> Tensor:
        """Images (..., C, H, W) -> inputs of the head (..., F)."""
        h: Tensor = self.body(x)
        return h

    @property
    def feature_count(self) -> int:
        """F, the number of inputs of the head."""
        counts = (getattr(layer, "in_features", 0) for layer in self.head.modules())
        return next(count for count in counts if count)

    def prepare(self, images: Tensor) -> None:
        """Set weights that are computed from training images (N, C, H, W), normalised; called once before training."""

    def initialise(self, settings: NetworkSettings) -> None:
        """Draw all weights by the settings, `auto` as in the network's paper."""
        if settings.init == "auto":
            self.initialise_as_published(settings)
        else:
            initial.fill(self, settings.init, settings.activation, settings.init_std)

    def initialise_as_published(self, settings: NetworkSettings) -> None:
        """Draw all weights as in the network's paper; here by He's scheme."""
        initial.fill(self, "he", settings.activation)


class Layers:
    """The layers of a network by its settings, `auto` replaced (`NetworkSettings.resolved`)."""

    def __init__(self, settings: NetworkSettings, biases: bool = False) -> None:
        """With `biases` convolutions have them before a normalisation too, where they have no effect."""
        self.settings = settings
        self.biased = biases or settings.norm in ("none", "lrn")

    def width(self, channels: int) -> int:
        """`channels` times `--width`, at least 1."""
        return max(1, round(channels * self.settings.width))

    def convolution(
        self, before: int, after: int, kernel: int, stride: int = 1, padding: int | None = None, groups: int = 1
    ) -> nn.Sequential:
        """Convolution, normalisation, activation; local response normalisation after the activation.

        Without `padding` the map keeps its size at stride 1.
        """
        padding = kernel // 2 if padding is None else padding
        layers: list[nn.Module] = [Conv2d(before, after, kernel, stride, padding, groups=groups, bias=self.biased)]
        return nn.Sequential(*layers, *self.after(after))

    def linear(self, before: int, after: int) -> nn.Sequential:
        """Linear layer, normalisation, activation, dropout."""
        norm = self.settings.norm
        normalised = self.norm(after, maps=False) if norm not in ("none", "lrn") else []
        linear = Linear(before, after, bias=not normalised)
        return nn.Sequential(linear, *normalised, self.activation(), *self.dropout())

    def after(self, channels: int, shared: bool = False) -> list[nn.Module]:
        """Normalisation and activation in their order; `shared`: of maps with another use, which stay as they are."""
        norm, activation = self.norm(channels), self.activation()
        if shared and hasattr(activation, "inplace"):
            activation.inplace = False  # type: ignore[assignment]  # an attribute that nn.Module does not declare
        return [activation, *norm] if self.settings.norm == "lrn" else [*norm, activation]

    def norm(self, channels: int, maps: bool = True) -> list[nn.Module]:
        """The normalisation of maps (..., C, H, W), or of features (..., C); empty without one."""
        match self.settings.norm:
            case "batch":
                return [layers.BatchNorm2d(channels) if maps else layers.BatchNorm1d(channels)]
            case "layer":
                return [layers.GroupNorm(1, channels, maps)]
            case "group":
                groups = next(n for n in range(min(GROUPS, channels), 0, -1) if channels % n == 0)
                return [layers.GroupNorm(groups, channels, maps)]
            case "lrn" if maps:
                return [layers.LocalResponseNorm()]
        return []

    def activation(self) -> nn.Module:
        """The nonlinearity."""
        return ACTIVATIONS[self.settings.activation]()

    def pool(self, kernel: int, stride: int, padding: int = 0, ceil_mode: bool = False, own: str = "max") -> nn.Module:
        """Maximum or mean of each window; as in `own` where `--pooling` is `auto`."""
        if self._pooling(own) == "average":
            return layers.AvgPool2d(kernel, stride, padding, ceil_mode)
        return layers.MaxPool2d(kernel, stride, padding, ceil_mode=ceil_mode)

    def global_pool(self, own: str = "average") -> nn.Module:
        """Maximum or mean over all positions: (..., C, H, W) -> (..., C, 1, 1)."""
        return layers.AdaptivePool2d(1, maximum=self._pooling(own) == "max")

    def dropout(self) -> list[nn.Module]:
        """Dropout, or nothing where its probability is 0."""
        return [layers.Dropout(self.settings.dropout)] if self.settings.dropout else []

    def _pooling(self, own: str) -> str:
        return own if self.settings.pooling == "auto" else self.settings.pooling


def flatten() -> nn.Module:
    """(..., C, H, W) -> (..., C · H · W)"""
    return nn.Flatten(-3)


def pooled(side: int, kernel: int, stride: int, padding: int = 0, ceil_mode: bool = False) -> int:
    """Side of a map of this side after a convolution or pooling: ⌊(N + 2P - F) / S⌋ + 1; ⌈⌉ with `ceil_mode`."""
    rest = side + 2 * padding - kernel
    return (-(-rest // stride) if ceil_mode else rest // stride) + 1
