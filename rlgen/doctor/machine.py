"""Versions, device, folders and extras of this machine. Imports torch when the device is asked for."""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rlgen import provenance
from rlgen.core import cores
from rlgen.core.findings import Finding

ROOM = 2.0  # GiB on the disk of the runs, below which it is a problem
EXTRAS = {  # extra of the installation -> the module it brings
    "atari": "ale_py",
    "box2d": "Box2D",
    "explain": "captum",
    "minatar": "minatar",
    "parquet": "pyarrow",
    "sweep": "optuna",
    "tensorboard": "tensorboard",
}


def device() -> dict[str, Any]:
    """Accelerator, CPU cores, threads of tensor operations, and whether bfloat16 is a type of the hardware."""
    import torch

    from rlgen.core import device

    accelerator = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return {
        "accelerator": device.describe(accelerator) if accelerator.type == "cuda" else "none",
        "cores": cores.available(),
        "threads": torch.get_num_threads(),
        "bfloat16": device.half(accelerator),
    }


def folders(runs: Path) -> dict[str, dict[str, Any]]:
    """The folders of runs, datasets and downloads: path, whether it can be written, room in GiB."""
    from pooch import os_cache

    data = Path(os.environ.get("RLGEN_DATA") or "data")
    return {name: _folder(path) for name, path in (("runs", runs), ("data", data), ("cache", os_cache("rlgen")))}


def _folder(path: Path) -> dict[str, Any]:
    """A folder that is missing is judged by the nearest one above it."""
    there = next((p for p in (path.absolute(), *path.absolute().parents) if p.exists()), Path("/"))
    return {
        "path": str(path),
        "exists": path.is_dir(),
        "writable": there.is_dir() and os.access(there, os.W_OK | os.X_OK),
        "free_gib": round(shutil.disk_usage(there).free / 2**30, 1),
    }


def extras() -> dict[str, bool]:
    """The extras of rlgen, and whether each is installed."""
    return {extra: find_spec(module) is not None for extra, module in EXTRAS.items()}


def findings(runs: Path) -> list[Finding]:
    """Findings about folders and extras."""
    found = []
    for name, facts in folders(runs).items():
        if name == "runs" and not facts["writable"]:
            text = f"the folder of runs, {facts['path']}, cannot be written"
            found.append(Finding("folder not writable", "problem", text, 0, "rlgen doctor --runs DIR"))
        if name == "runs" and facts["free_gib"] < ROOM:
            text = f"the disk of {facts['path']} has {facts['free_gib']} GiB left"
            found.append(Finding("little room", "problem", text, facts["free_gib"], "rlgen runs"))
    missing = [extra for extra, installed in extras().items() if not installed]
    if missing:
        text = f"not installed: {', '.join(missing)}"
        found.append(Finding("missing extras", "note", text, len(missing), f"pip install 'rlgen[{','.join(missing)}]'"))
    return found


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a run depends on."""
    return provenance.versions()
