"""Networks for images, a paper a file, and the table of their names. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from rlgen.core.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from rlgen.networks.base import ConvNet
    from rlgen.networks.settings import NetworkSettings

IMAGE_SIDE = 64  # pixels from which `--stem auto` takes the published form, for 224 pixels


@dataclass(frozen=True)
class Network:
    """A network by its name on the command line."""

    name: str
    lives: str  # module:class in this package
    summary: str
    own: Mapping[str, Any]  # the options it takes, with its own values in place of `auto`
    arguments: Mapping[str, Any] = field(default_factory=dict)  # of the class, such as the depth
    smallest: int = 1  # side of the smallest image in pixels, in the form for small images
    smallest_image: int | None = None  # the same in the published form; None: the network has one form
    parameters: int | None = None  # published count, at 1000 classes and 224 or 227 pixels in colour

    def form(self, shape: tuple[int, int, int], stem: str) -> str:
        """`image` or `small`: the form for images of a shape (C, H, W) where `--stem` is `stem`."""
        if self.smallest_image is None or stem == "small":
            return "small"
        return "image" if stem == "image" or min(shape[1:]) >= IMAGE_SIDE else "small"

    def check(self, shape: tuple[int, int, int], stem: str = "auto") -> None:
        """Raise UserError where images of a shape (C, H, W) are too small, with the size that is large enough."""
        form = self.form(shape, stem)
        smallest = self.smallest_image if form == "image" and self.smallest_image else self.smallest
        if min(shape[1:]) < smallest:
            ways = " or --stem small" if form == "image" and min(shape[1:]) >= self.smallest else ""
            raise UserError(
                f"--network {self.name} needs images of at least {smallest}x{smallest} pixels, these have"
                f" {shape[2]}x{shape[1]}: --size {-(-smallest // 4) * 4}{ways}"
            )


_PLAIN = {"activation": "relu", "norm": "none", "dropout": 0.0, "width": 1.0, "init": "auto"}
_ALL = [
    Network("linear", "mlp:LinearClassifier", "one linear layer: softmax regression, or an SVM", {"init": "auto"}),
    Network("mlp", "mlp:MLP", "fully connected hidden layers of 512 units", {**_PLAIN, "depth": 2}),
    Network(
        "fast", "fast:Fast", "few operations per image: strided convolutions for grey, whitened patches for colour",
        {**_PLAIN, "norm": "batch", "activation": "auto", "pooling": "max"}, smallest=8,
    ),
    Network(
        "lenet5", "lenet:LeNet5", "LeNet-5 (LeCun 1998) as it is used today",
        {**_PLAIN, "pooling": "max"}, smallest=12,
    ),
]  # fmt: skip
NETWORKS: dict[str, Network] = {network.name: network for network in _ALL}


def find(name: str) -> Network:
    """The network of this name. Raises UserError for an unknown one."""
    if name not in NETWORKS:
        choices = did_you_mean(name, NETWORKS) or ": there are " + ", ".join(NETWORKS)
        raise UserError(f"no network {name!r}{choices}")
    return NETWORKS[name]


def build(name: str, shape: tuple[int, int, int], classes: int, settings: "NetworkSettings | None" = None) -> "ConvNet":
    """The network of this name for images (C, H, W): (..., C, H, W) -> logits (..., classes), in float32.

    Weights are drawn from torch's global stream: see `rlgen.core.seeds.initial_weights`. Raises UserError for an
    unknown name and for images that are too small.
    """
    from rlgen.networks.settings import NetworkSettings

    entry, settings = find(name), settings or NetworkSettings(network=name)
    entry.check(shape, settings.stem)
    module, _, cls = entry.lives.partition(":")
    build_class: Any = getattr(import_module(f"rlgen.networks.{module}"), cls)
    resolved = settings.resolved(entry, entry.form(shape, settings.stem))
    network: ConvNet = build_class(shape, classes, resolved, **entry.arguments)
    network.initialise(resolved)
    return network
