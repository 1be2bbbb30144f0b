"""Networks for images, a paper a file. Imports no torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rlgen.core.errors import UserError, did_you_mean
from rlgen.networks.table import NETWORKS, Network

if TYPE_CHECKING:
    from rlgen.networks.base import ConvNet
    from rlgen.networks.settings import NetworkSettings

__all__ = ["NETWORKS", "Network", "build", "encoder", "find"]


def find(name: str) -> Network:
    """The network of this name; case and hyphens are free: `ResNet-20`. Raises UserError for an unknown one."""
    by_letters = {_letters(known): network for known, network in NETWORKS.items()}
    if network := by_letters.get(_letters(name)):
        return network
    choices = did_you_mean(name, NETWORKS) or ": there are " + ", ".join(NETWORKS)
    raise UserError(f"no network {name!r}{choices}")


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
    resolved = settings.own(**entry.own).formed(entry.form(shape, settings.stem))
    network: ConvNet = build_class(shape, classes, resolved, **entry.arguments)
    network.initialise(resolved)
    return network


def encoder(name: str, shape: tuple[int, int, int], option: str, way: str = "", **options: Any) -> "tuple[Any, int]":
    """The blocks of the network of this name, (..., C, H, W) -> (..., F), and F.

    Without dropout; of the options those that it takes. Raises UserError for images that are too small: `option` is
    where the name was given, `way` the way out in place of a larger size.
    """
    from rlgen.networks.settings import NetworkSettings

    entry = find(name)
    entry.check(shape, option=option, way=way)
    taken = {key: value for key, value in {"dropout": 0.0, **options}.items() if key in entry.takes}
    network = build(name, shape, 1, NetworkSettings(network=name, **taken))
    return network.body, network.feature_count


def _letters(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
