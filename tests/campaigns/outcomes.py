"""What a training leaves behind, without what depends on the clock: two outcomes are equal, or they differ by name."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from rlgen.core import checkpoint
from rlgen.core.files import PARTIAL
from rlgen.core.segments import Stored

IGNORED = ("run.lock", "log.txt", "files.json")  # digests, and the lines of log.txt, depend on the clock
CLOCK = {"created", "updated", "seconds", "pid", "memory", "sha256", "git"}  # of run.json and lesson.json; git: edits
Outcome = dict[str, str]  # path in the folder -> digest of its content


def outcome(folder: Path) -> Outcome:
    """Every file below a folder of runs and every value of their checkpoints, by digest."""
    found: Outcome = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if _begun(folder, path):
            continue
        if path.parent.name == "checkpoints":
            found |= {f"{name}/{key}": digest for key, digest in _state(path).items()}
        elif path.name == "run.json":
            described = _timeless(json.loads(path.read_bytes()))
            found |= {f"{name}/{key}": json.dumps(value, sort_keys=True) for key, value in described.items()}
        elif path.is_file() and path.name not in IGNORED and "checkpoints" not in path.parts:
            found[name] = hashlib.sha256(_content(path)).hexdigest()
    return found


def _begun(folder: Path, path: Path) -> bool:
    """Whether `path` is of a run that was killed before it had its name: hidden in a folder of runs, `lessons` too."""
    first, *_ = path.relative_to(folder / "lessons" if (folder / "lessons") in path.parents else folder).parts
    return first.startswith(PARTIAL)


def differences(one: Outcome, other: Outcome) -> list[str]:
    """Names that are in one alone or differ."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _state(folder: Path) -> Outcome:
    """A digest per value of a checkpoint; one for a folder that is not a checkpoint."""
    if not folder.name.isdecimal():
        return {"": "unfinished"}
    state = checkpoint.load(folder)
    for name in ("seconds", "flushed"):
        del state["run"][name]
    found: Outcome = {}
    digests("state", state, found)
    return found


def digests(name: str, value: Any, found: Outcome) -> None:
    """Add a digest per value of a state to `found`."""
    if isinstance(value, dict):
        for key, item in value.items():
            digests(f"{name}.{key}", item, found)
        found[name] = f"{len(value)} names"
    elif isinstance(value, list | tuple) and any(
        isinstance(item, dict | list | tuple | torch.Tensor) for item in value
    ):
        for number, item in enumerate(value):
            digests(f"{name}.{number}", item, found)
        found[name] = f"{type(value).__name__} of {len(value)}"
    elif isinstance(value, torch.Tensor):
        data = value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if value.numel() else b""
        found[name] = f"{value.dtype} {tuple(value.shape)} {hashlib.sha256(data).hexdigest()}"
    elif isinstance(value, Stored):  # rows of a ring buffer, in whatever files
        pieces = [columns for _, columns in value.pieces()]
        rows = {column: torch.cat([each[column] for each in pieces]) for column in (pieces or [{}])[0]}
        digests(name, {"first": value.first, "end": value.end, **rows}, found)
    else:
        found[name] = repr(value)


def _content(path: Path) -> bytes:
    """The bytes of a file, without durations and dates."""
    content = path.read_bytes()
    if path.name == "timing.jsonl":
        return "".join(f"{json.loads(line)['time']}\n" for line in content.splitlines()).encode()
    if path.name == "lesson.json":
        return json.dumps(_timeless(json.loads(content))).encode()
    return content


def _timeless(value: Any) -> Any:
    """JSON without what depends on the clock."""
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if key not in CLOCK}
    return [_timeless(item) for item in value] if isinstance(value, list) else value
