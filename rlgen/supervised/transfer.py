"""Transfer: a network that starts from the layers of another run, and layers that stay as they are.

Yosinski et al. 2014, arXiv:1411.1792.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rlgen.core import checkpoint
from rlgen.core.errors import CheckpointError, NewerCheckpoint, UserError
from rlgen.core.folder import Folder
from rlgen.core.seeds import Seeds
from rlgen.core.state import State
from rlgen.networks.base import ConvNet
from rlgen.networks.settings import NetworkSettings
from rlgen.supervised.settings import Classifier

SHAPED = ("network", "width", "depth")  # settings to copy where layers do not fit
# Settings of a network that its weights do not show.
UNSEEN = ("activation", "norm", "pooling", "shortcut", "bottleneck_stride", "groups", "factorised", "stem")
LARGEST = 6  # layers named in a message
Layers = dict[str, dict[str, Tensor]]  # layer -> name of its weight or statistic -> values


@dataclass(frozen=True)
class Source:
    """The layers of a trained run before its head, or of its encoder; averaged weights."""

    name: str  # of the run
    info: Mapping[str, Any]  # its run.json
    time: int  # of the checkpoint
    layers: Layers  # values (S, ...)
    mean: Tensor | None  # (C,) of the images of a classifier; None: an encoder, of images in [0, 1]
    std: Tensor | None  # (C,)


def initialise(network: Seeds, settings: Classifier, runs: Path, mean: Tensor, std: Tensor) -> dict[str, Any]:
    """Copy the layers of the run `--init-from` in the folder `runs`, and its statistics of images to `mean` and `std`.

    Returns what was copied, for run.json; empty without the option.
    """
    if settings.init_from is None:
        return {}
    try:
        source = read(Folder.find(runs, settings.init_from))
        copied = start_from(source, network, settings)
    except UserError as error:
        raise type(error)(f"--init-from {settings.init_from}: {error}") from None
    mean.copy_(torch.zeros_like(mean) if source.mean is None else source.mean)
    std.copy_(torch.ones_like(std) if source.std is None else source.std)
    return copied


def facts(init_from: str | None, copied: Mapping[str, Any], frozen: list[str]) -> dict[str, str]:
    """Lines of the start panel: the origin of the weights by the result of `initialise`, and the frozen layers."""
    found = {}
    if copied:
        left = f", left out: {_short(copied['left_out'])}" if copied["left_out"] else ""
        found["weights"] = (
            f"{_short(copied['layers'])} of {copied['run']} ({copied['algorithm']} on {copied['task']},"
            f" {copied['time']:,} images){left}; new: the head"
        )
    elif init_from:
        found["weights"] = f"those of {init_from}"  # of a resumed run
    return found | ({"frozen": ", ".join(frozen)} if frozen else {})


def read(folder: Folder) -> Source:
    """The layers in the newest undamaged checkpoint of a run.

    Raises UserError for a run without an encoder or layers before a head, CheckpointError without a checkpoint.
    """
    time, state = _newest(folder)
    weights = state.get("ema")
    found = _layers(weights, "network.body.") if isinstance(weights, dict) else {}
    statistics = (state["mean"], state["std"]) if found and "mean" in state else (None, None)
    if not found and isinstance(weights, dict):
        found = _layers(weights, "encoder.")
    if not found:
        raise UserError(
            f"{folder.name}, a run of {folder.info['algorithm']}, has neither layers before a head nor an encoder:"
            " give a run of ae, vae or vqvae, or of classify with another network than linear"
        )
    if _side_by_side(folder.info["config"]) == 1:
        found = {layer: {name: x.unsqueeze(0) for name, x in values.items()} for layer, values in found.items()}
    return Source(folder.name, folder.info, time, found, *statistics)


def start_from(source: Source, network: Seeds, settings: NetworkSettings) -> dict[str, Any]:
    """Copy the layers of `source` into those before the head of `network`; returns what was copied, for run.json.

    Seed s starts from seed s of the source, modulo their number. Raises UserError, before anything is copied, where a
    layer before the head does not fit, or computes something else by the settings.
    """
    body = _layers(network.network.state_dict(), "body.")
    if not body:
        raise UserError(f"{settings.network} has no layers with weights before its head")
    theirs = dict(zip(body, source.layers.values(), strict=False)) if source.mean is None else source.layers
    pairs = [(layer, values, theirs.get(layer, {})) for layer, values in body.items()]
    shapes = {
        name: {key: tuple(x.shape[network.count > 1 :]) for key, x in layer.items()} for name, layer in body.items()
    }
    fitting = {name: shapes[name] == {key: tuple(x.shape[1:]) for key, x in given.items()} for name, _, given in pairs}
    differing = _differing(source, settings)
    if not all(fitting.values()) or differing:
        raise UserError(_misfit(source, fitting, differing))
    with torch.no_grad():
        for _, ours, given in pairs:
            for key, values in given.items():
                each = values[torch.arange(network.count) % len(values)]  # (S, ...)
                ours[key].copy_(each if network.count > 1 else each[0])
    left = list(source.layers)[len(body) :]
    return {
        "run": source.name,
        **{key: source.info.get(key) for key in ("algorithm", "task", "seed")},
        "time": source.time,
        "layers": _blocks(body),
        "left_out": left,
    }


def frozen_blocks(network: ConvNet, freeze: str) -> list[tuple[str, nn.Module]]:
    """The blocks of the body that `--freeze` names, by name. Raises UserError for more than have weights."""
    blocks = [(name, block) for name, block in network.body.named_children() if block.state_dict()]
    count = {"none": 0, "all": len(blocks)}.get(freeze)
    if count is None:
        count = int(freeze)
    if count and not blocks:
        raise UserError(f"--freeze {freeze}: the network has no layers with weights before its head: leave it out")
    if count > len(blocks):
        names = ", ".join(name for name, _ in blocks)
        raise UserError(
            f"--freeze {count}: there are {len(blocks)} layers before the head ({_short(names.split(', '))}):"
            f" --freeze all takes them all"
        )
    return blocks[:count]


def freeze_blocks(network: nn.Module, freeze: str) -> list[str]:
    """Make the first blocks constant, weights and batch statistics; returns their names. Their dropout is off."""
    assert isinstance(network, ConvNet)
    found = frozen_blocks(network, freeze)
    for _, block in found:
        block.requires_grad_(False).eval()
    return [name for name, _ in found]


def _side_by_side(config: Mapping[str, Any]) -> int:
    """Number of networks in the stacks of a run with these settings: seeds, folds, or members trained together."""
    if config.get("ensemble"):
        return int(config["members"]) if config["ensemble"] in ("average", "bagging") else 1
    return int(config.get("folds") or config.get("seeds", 1))


def _newest(folder: Folder) -> tuple[int, State]:
    """Time and state of the newest undamaged checkpoint."""
    for path in checkpoint.newest_first(folder.directory / "checkpoints"):
        try:
            return int(path.name), checkpoint.load(path)
        except NewerCheckpoint:
            raise
        except CheckpointError:
            continue
    raise CheckpointError(f"{folder.name} has no undamaged checkpoint: train it first")


def _layers(weights: Mapping[str, Tensor], prefix: str) -> Layers:
    """The layers whose names begin with `prefix`, in order, without it."""
    found: Layers = {}
    for name, values in weights.items():
        if name.startswith(prefix):
            layer, _, key = name.removeprefix(prefix).rpartition(".")
            found.setdefault(layer, {})[key] = values
    return found


def _differing(source: Source, settings: NetworkSettings) -> list[str]:
    """Options that would make the network compute what the source does, other than the shapes of its layers."""
    config = source.info["config"]
    if source.mean is None:
        return [] if settings.activation in ("auto", "relu") else ["--activation relu"]
    if config.get("network") != settings.network:
        return [f"--network {config.get('network')}"]
    pairs = ((name, config.get(name, getattr(settings, name))) for name in UNSEEN)
    return [f"--{name.replace('_', '-')} {value}" for name, value in pairs if value != getattr(settings, name)]


def _misfit(source: Source, fitting: Mapping[str, bool], differing: list[str]) -> str:
    """Which layers fit and which do not, and the options with which they would."""
    yes, no = (_blocks([name for name, fits in fitting.items() if fits is which]) for which in (True, False))
    layers = f"layers that fit: {_short(yes) or 'none'}; that do not: {_short(no)}" if no else "all layers fit"
    config = source.info["config"]
    if source.mean is not None:
        names = (name for name in SHAPED if config.get(name) is not None)
        ways = list(dict.fromkeys([*(f"--{name} {config[name]}" for name in names), *differing]))
    elif config.get("conditional") and config.get("network") == "dense":
        return f"{layers}; its encoder takes labels as well: train it without --conditional"
    else:
        kind = "mlp" if config.get("network") == "dense" else "encoder"
        width = (config.get("width") or 0) / {"mlp": 512, "encoder": 32}[kind] or 1.0
        ways = [f"--network {kind} --width {width:g} --depth {config.get('depth')}", *differing]
    return f"{layers}; its network is that of {' '.join(ways)}, for images of its size and channels"


def _blocks(layers: Mapping[str, Any] | list[str]) -> list[str]:
    """The names of blocks, each once: the first part of the paths of their layers."""
    return list(dict.fromkeys(layer.partition(".")[0] for layer in layers))


def _short(names: list[str]) -> str:
    """Names with commas, the middle ones of many left out."""
    if len(names) > LARGEST:
        names = [*names[: LARGEST - 1], "...", names[-1]]
    return ", ".join(names)
