"""What must be the same for a resumed run to equal an uninterrupted one to the bit: device, processor, versions."""

from collections.abc import Mapping
from typing import Any

import torch

from rlgen import provenance
from rlgen.core import torchrun
from rlgen.core.device import arithmetic, describe

PACKAGES = ("torch", "numpy", "gymnasium")  # packages of which another version may round or draw otherwise


def facts(device: torch.device) -> dict[str, Any]:
    """For run.json: device, number of threads and processes, precision, instructions of the processor, versions."""
    return {
        "device": describe(device),
        "threads": torch.get_num_threads(),
        "processes": torchrun.count(),
        "arithmetic": arithmetic(),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "versions": provenance.versions(),
    }


def changes(info: Mapping[str, Any], device: torch.device) -> list[str]:
    """What differs from the facts in run.json: `torch 2.9.0 then, 2.10.0 now`. Facts that it lacks are left out."""
    now = facts(device)
    pairs = [(name, info.get(name), now[name]) for name in ("device", "processor")]
    for part, names in (("arithmetic", tuple(now["arithmetic"])), ("versions", PACKAGES)):
        then = found if isinstance(found := info.get(part), dict) else {}
        pairs += [(name, then.get(name), now[part][name]) for name in names]
    return [f"{name} {before} then, {after} now" for name, before, after in pairs if before not in (None, after)]
