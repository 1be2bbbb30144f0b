"""Units of a network that are 0 on every input and have no gradient: dead ReLUs."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from rlgen.core.findings import Finding

DEAD_LAYER, DEAD_NETWORK = 0.9, 0.25  # shares of dead units in a layer, and in all layers of a network


@torch.no_grad()
def dead_units(network: nn.Module, *inputs: Tensor) -> dict[str, tuple[int, int]]:
    """Dead units and all units of each ReLU layer: those that are 0 for all of `inputs` (B, ...).

    A unit is a channel of an image (B, C, H, W), or a column of (..., units). Layers by their names in `network`.
    """
    active: dict[str, Tensor] = {}  # (units,) bool

    def watch(name: str) -> Any:
        def hook(module: nn.Module, given: Any, out: Tensor) -> None:
            units = out.movedim(1, -1) if out.ndim == 4 else out
            found = (units.flatten(0, -2) > 0).any(0)
            active[name] = active[name] | found if name in active else found

        return hook

    layers = ((name, module) for name, module in network.named_modules() if isinstance(module, nn.ReLU))
    hooks = [module.register_forward_hook(watch(name)) for name, module in layers]
    training = network.training
    try:
        network.eval()(*inputs)
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return {name: (int((~units).sum()), len(units)) for name, units in active.items()}


def dead_relus(name: str, found: Mapping[str, tuple[int, int]], command: str) -> Iterator[Finding]:
    """The finding on ReLU units of the network `name` that no input activates; `found` as by `dead_units`."""
    dead, units = (sum(counts) for counts in zip(*found.values(), strict=True)) if found else (0, 0)
    worst = max(found, key=lambda layer: found[layer][0] / found[layer][1], default="")
    share = found[worst][0] / found[worst][1] if found else 0.0
    if not units or (dead / units <= DEAD_NETWORK and share <= DEAD_LAYER):
        return
    yield Finding(
        "dead ReLUs",
        "problem" if share > DEAD_LAYER else "note",
        f"{dead:,} of {units:,} ReLU units of the {name} are 0 on every input,"
        f" {found[worst][0]:,} of {found[worst][1]:,} in layer {worst}: they have no gradient",
        dead / units,
        command,
    )
