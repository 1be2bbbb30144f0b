"""Settings of the networks for images. Imports no torch.

A field is an option, the comment beside it its help, the comment line above a group its panel.
"""

from collections.abc import Container
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, PositiveFloat
from pydantic.dataclasses import dataclass

from rlgen import networks
from rlgen.core.errors import UserError
from rlgen.core.settings import Layers

OPTIONS = (
    "activation", "norm", "init", "dropout", "pooling", "width", "depth", "shortcut", "bottleneck_stride", "stem",
    "groups", "factorised", "auxiliary",
)  # fmt: skip

Activation = Literal["auto", "relu", "leaky", "elu", "gelu", "silu", "tanh", "sigmoid"]


def _known(name: str) -> str:
    return networks.find(name).name


NetworkName = Annotated[str, AfterValidator(_known)]


@dataclass(frozen=True)
class NetworkSettings:
    """Settings of a network. `auto` and none are the network's own choice."""

    # Network
    network: NetworkName = "fast"  # network, such as lenet5 or resnet20: see `rlgen list networks`
    activation: Activation = "auto"  # nonlinearity
    norm: Literal["auto", "none", "batch", "layer", "group", "lrn"] = "auto"  # normalisation after convolutions
    init: Literal["auto", "zeros", "gaussian", "xavier", "he", "orthogonal", "identity"] = "auto"  # initial weights
    init_std: PositiveFloat = 0.01  # standard deviation of --init gaussian
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None  # probability of dropout; none: the network's own
    pooling: Literal["auto", "max", "average"] = "auto"  # maximum or mean of each window
    width: Annotated[float, Field(gt=0, le=1_000)] = 1.0  # factor on the channels or units of every hidden layer
    depth: Layers | None = None  # hidden layers of mlp, or 3x3 convolutions of encoder; none: 2
    shortcut: Literal["auto", "A", "B"] = "auto"  # of residual networks: zeros for new channels, or 1x1 convolutions
    bottleneck_stride: Literal["3x3", "1x1"] = "3x3"  # convolution with the stride in a bottleneck; 1x1: He 2015
    stem: Literal["auto", "image", "small"] = "auto"  # form for images of 224 pixels, or of 32; auto: by their size
    groups: bool | None = None  # convolutions 2, 4 and 5 of alexnet in two groups; none: in its form for 224 pixels
    factorised: bool = False  # two 3x3 convolutions in googlenet in place of each 5x5 (Szegedy 2015)
    auxiliary: bool | None = None  # auxiliary classifiers of googlenet; none: in its form for 224 pixels

    def unused(self) -> dict[str, str]:
        """Options without an effect on this network, and the reason."""
        takes = networks.find(self.network).takes
        found = {name: f"it belongs to {_takers(name)}, not to {self.network}" for name in OPTIONS if name not in takes}
        if self.init != "gaussian":
            found["init_std"] = "it belongs to --init gaussian"
        return found

    def check(self, given: Container[str]) -> None:
        """Raise UserError where settings contradict each other."""
        if self.network == "mlp" and self.norm == "lrn":
            raise UserError("--norm lrn is of neighbouring maps, of which mlp has none: take batch or layer")

    def own(self, **values: Any) -> Self:
        """The same with these values in place of `auto` and none."""
        return replace(self, **{name: value for name, value in values.items() if getattr(self, name) in ("auto", None)})

    def formed(self, form: Literal["image", "small"]) -> Self:
        """The same with the form of the network in place of `--stem auto`."""
        return replace(self, stem=form)

    def without_lrn(self) -> Self:
        """The same, for layers where a network has no local response normalisation."""
        return replace(self, norm="none") if self.norm == "lrn" else self


def _takers(option: str) -> str:
    """The networks that take an option: `resnet18, resnet34, resnet50 and others`."""
    names = [name for name, network in networks.NETWORKS.items() if option in network.takes]
    return ", ".join(names[:3]) + " and others" if len(names) > 3 else ", ".join(names)
