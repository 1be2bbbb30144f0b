"""Checkpoints and portraits, compared with their manifests. Imports no torch, unlike `rlgen.core.checkpoint`."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rlgen.core import files
from rlgen.core.leftovers import dated, time_of
from rlgen.verify.damage import Damage

MANIFEST = "manifest.json"
LARGEST = 2**26  # bytes of a manifest
PART = 2**20  # bytes that are read at a time
SEEN = dict[tuple[int, ...], str]  # digests of files by their identity: checkpoints share files


def checkpoints(directory: Path, info: Mapping[str, Any]) -> Iterator[Damage]:
    """Damage to the checkpoints of the run in `directory`, of which run.json says `info`."""
    folder, seen = directory / "checkpoints", SEEN()
    wrong = {name: fault(folder / name, seen) for name in _names(folder)}
    whole = [int(name) for name, reason in wrong.items() if reason is None]
    saved = f"train again, with `--config {directory}/run.json`"
    if whole:
        saved = f"`rlgen resume` and `rlgen eval` use that at {max(whole):,}"
    reached, best = (_time(info.get(name)) for name in ("time", "best_time"))
    for name, reason in wrong.items():
        if reason is not None:
            at_best = best is not None and int(name) == best
            yield Damage(f"checkpoints/{name}", reason, saved + "; the best weights are lost" * at_best)
    expected = {reached: "the latest"} if reached else {}
    expected |= {best: "the best"} if best else {}
    for time, which in expected.items():
        if time is not None and dated(time) not in wrong:
            yield Damage(f"checkpoints/{dated(time)}", f"{which} checkpoint is missing", saved)


def portraits(directory: Path) -> Iterator[Damage]:
    """Damage to the portraits of the run in `directory`."""
    for name in _names(directory / "portraits"):
        if reason := fault(directory / "portraits" / name, SEEN()):
            yield Damage(f"portraits/{name}", reason, "the portraits at other times are whole unless named here")


def fault(folder: Path, seen: SEEN) -> str | None:
    """Why a checkpoint is not as it was written; None for an undamaged one."""
    try:
        manifest = files.read_bytes(folder / MANIFEST, LARGEST)
        schema = files.parse(manifest)["schema"]
        found = {
            path.name: {"size": path.lstat().st_size, "sha256": _digest(path, seen)}
            for path in sorted(folder.iterdir())
            if path.name != MANIFEST
        }
        if manifest == json.dumps({"schema": schema, "files": found}, indent=1).encode():
            return None
        claimed = files.parse(manifest)["files"]
        names = sorted(name for name in {*found, *claimed} if found.get(name) != claimed.get(name))
        return f"{', '.join(names[:3]) or MANIFEST} does not match its checksum"
    except OSError as error:
        return f"not complete: {error.strerror or error}"
    except (ValueError, KeyError, TypeError):
        return f"{MANIFEST} is damaged"


def _names(folder: Path) -> list[str]:
    """The checkpoints in a folder, the earliest first."""
    return sorted((path.name for path in files.folders(folder) if time_of(path.name) is not None), key=int)


def _time(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def _digest(path: Path, seen: SEEN) -> str:
    with files.opened(path) as file:
        state = path.lstat()
        key = state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns
        if key not in seen:
            found = hashlib.sha256()
            while part := file.read(PART):
                found.update(part)
            seen[key] = found.hexdigest()
    return seen[key]
