"""Checkpoints: a folder with the tensors in safetensors, the rest in JSON, and a manifest. No pickle.

The folder is written under a temporary name, flushed to the disk and renamed, so that it is complete or absent. The
manifest holds the size and sha256 of every file; a checkpoint that does not match it is not loaded. Rows of ring
buffers have files of their own, see `rlgen.core.segments`.
"""

import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as read_tensors
from safetensors.torch import load_file, save_file
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from rlgen.core import files, segments
from rlgen.core.errors import CheckpointError, NewerCheckpoint, NotFinite
from rlgen.core.files import PARTIAL, folders, remove_folder, sync, sync_all
from rlgen.core.leftovers import time_of
from rlgen.core.ring import Ring
from rlgen.core.state import State

SCHEMA = 3  # of new checkpoints: 2 had ring buffers as plain tensors, 1 former names as well
HEADER = 1 << 21  # bytes of the names and shapes of tensors in a file, at most
NAMED = 2  # first schema with current names, see `former_names`
TENSORS, PLAIN, MANIFEST = "tensors.safetensors", "state.json", "manifest.json"
LARGEST = 2**26  # bytes of a file of JSON


def save(folder: Path, state: State, *, durable: bool = True, after: Iterable[Path] = ()) -> None:
    """Write `state`, nested dicts of tensors, rings and plain values, as `folder`, unless it is there undamaged.

    Rows that the newest checkpoint beside it holds are shared with it. It is on the disk no earlier than the files
    `after`, the log; where it is not `durable` it is not flushed, and a loss of power may damage it. Raises NotFinite,
    with nothing written, where a value is not finite; OSError, with nothing left behind, where the disk is full.
    """
    found = _Found()
    plain = {name: found.split(value, name) for name, value in state.items()}
    for key, tensor in found.tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise NotFinite(f"{key} holds values that are not finite, so {folder.name} was not written")
    if folder.exists():
        try:
            verify(folder)
            sync_all(after if durable else ())
            return  # training is deterministic: the state at this time is the same
        except CheckpointError:
            remove_folder(folder)
    partial = folder.with_name(f"{PARTIAL}{os.getpid()}-{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        folder.parent.mkdir(exist_ok=True)  # but not that of a run which was removed
        partial.mkdir()
        digests: dict[str, str] = {}
        shared = segments.Shared(_before(folder) if found.rings else None)
        for key, (ring, description) in found.rings.items():
            description["$ring"] = segments.write(partial, key, ring, shared, digests, durable=durable)
        save_file({key: t.detach().cpu().contiguous() for key, t in found.tensors.items()}, partial / TENSORS)
        (partial / PLAIN).write_text(json.dumps(plain, allow_nan=False))
        (partial / MANIFEST).write_bytes(_manifest(partial, SCHEMA, digests))
        if durable:
            new = (path for path in partial.iterdir() if path.name not in shared.flushed)
            sync_all((*after, *new, partial))
        partial.rename(folder)
        if durable:
            sync(folder.parent)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, SafetensorError):  # raised where the disk is full
            raise OSError(str(error)) from None
        raise


def load(folder: Path, upgrade: Callable[[State], State] | None = None, *, rows: bool = True) -> State:
    """The state in a checkpoint, tensors on the CPU; one of an earlier schema is passed through `upgrade`.

    Where not `rows`, those of ring buffers are not checked, and must not be read. Raises CheckpointError for a damaged
    checkpoint, NewerCheckpoint for one of a later version of rlgen.
    """
    schema = verify(folder, rows=rows)
    try:
        plain = files.parse(files.read_bytes(folder / PLAIN, LARGEST))
        for path in folder.glob("*.safetensors"):
            _check_header(path)
        tensors = load_file(folder / TENSORS)
        state = {name: _join(value, tensors, folder) for name, value in plain.items()}
        return upgrade(state) if upgrade and schema < NAMED else state
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError) as error:
        raise CheckpointError(f"{folder} cannot be read: {error}") from None


def to_bytes(state: State) -> bytes:
    """`state`, without rings, in memory: for the other processes of a training."""
    found = _Found()
    plain = json.dumps(found.split(state, "state")).encode()
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in found.tensors.items()}
    return len(plain).to_bytes(8, "big") + plain + tensors_to_bytes(tensors)


def from_bytes(data: bytes) -> State:
    """The state of `to_bytes`, tensors on the CPU."""
    end = 8 + int.from_bytes(data[:8], "big")
    state: State = _join(json.loads(data[8:end]), read_tensors(data[end:]), Path())
    return state


def newest_first(folder: Path) -> list[Path]:
    """The checkpoints in `folder`, each named by its time, the latest first; their content is unchecked."""
    found = ((time_of(path.name), path) for path in folders(folder))
    return [path for _, path in sorted((pair for pair in found if pair[0] is not None), reverse=True)]


def verify(folder: Path, *, rows: bool = True, digests: dict[tuple[int, ...], str] | None = None) -> int:
    """The schema of a checkpoint. Raises CheckpointError unless every byte of `folder` is the one that was written.

    Where not `rows`, of the rows of ring buffers only the sizes are compared. `digests` holds those of files that were
    read before, by their identity: a file that several checkpoints share is read once.
    """
    try:
        manifest = files.read_bytes(folder / MANIFEST, LARGEST)
        schema, claimed = _claims(manifest)
        if schema > SCHEMA:
            raise NewerCheckpoint(
                f"{folder} has schema {schema} and this rlgen reads up to {SCHEMA}: install a newer rlgen"
            )
        unread = {} if rows else {name: sha256 for name, sha256 in claimed.items() if segments.is_segment(name)}
        intact = _has_sizes(folder, manifest) and manifest == _manifest(folder, schema, unread, digests)
    except OSError as error:
        raise CheckpointError(f"{folder} is not a complete checkpoint: {error}") from None
    if not intact:
        raise CheckpointError(f"{folder} is damaged: its files do not match its manifest")
    return schema


def _has_sizes(folder: Path, manifest: bytes) -> bool:
    """Whether the files have the sizes in the manifest: a wrong one is noticed before gigabytes of it are read."""
    try:
        claimed = files.parse(manifest)["files"]
        return all(
            claimed[path.name]["size"] == path.lstat().st_size for path in folder.iterdir() if path.name != MANIFEST
        )
    except (ValueError, KeyError, TypeError):
        return False


def _check_header(path: Path) -> None:
    """Raise ValueError where a safetensors file has a header of more than `HEADER` bytes, which takes long to read."""
    with files.opened(path) as file:
        if (size := int.from_bytes(file.read(8), "little")) > HEADER:
            raise ValueError(f"the header of {path.name} has {size:,} bytes, more than {HEADER:,}")


def _before(folder: Path) -> Path | None:
    """The newest checkpoint beside `folder` of an earlier time."""
    time = time_of(folder.name)
    earlier = (path for path in newest_first(folder.parent) if time is not None and int(path.name) < time)
    return next(earlier, None)


def _claims(manifest: bytes) -> tuple[int, dict[str, str]]:
    """Schema and digests in a manifest; the current schema where it is unreadable, which then fails in `verify`."""
    try:
        found = files.parse(manifest)
        schema, digests = found["schema"], {name: str(entry["sha256"]) for name, entry in found["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return SCHEMA, {}
    return (schema if isinstance(schema, int) else SCHEMA), digests


def _manifest(
    folder: Path,
    schema: int,
    known: Mapping[str, str] | None = None,
    digests: dict[tuple[int, ...], str] | None = None,
) -> bytes:
    """The manifest of an undamaged checkpoint, byte for byte; `known` are digests by name that need no reading."""
    known = known or {}
    found = {
        path.name: {"size": path.lstat().st_size, "sha256": known.get(path.name) or segments.digest(path, digests)}
        for path in sorted(folder.iterdir())
        if path.name != MANIFEST
    }
    return json.dumps({"schema": schema, "files": found}, indent=1).encode()


class _Found:
    """The tensors and rings of a state, taken out of it by their paths."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.rings: dict[str, tuple[Ring, dict[str, Any]]] = {}  # each with what stands in its place

    def split(self, value: Any, path: str) -> Any:
        """`value` as JSON; in the place of a tensor {"$tensor": path}, in that of a ring {"$ring": its segments}."""
        if isinstance(value, Tensor):
            while path in self.tensors:  # key "a.b" of one dict, key "b" within "a" of another
                path += "'"
            self.tensors[path] = value
            return {"$tensor": path}
        if isinstance(value, Ring):
            description: dict[str, Any] = {}
            self.rings[path] = value, description
            return description
        if isinstance(value, dict):
            pairs = [(key, self.split(item, f"{path}.{key}")) for key, item in value.items()]
            if all(isinstance(key, str) and not key.startswith("$") for key, _ in pairs):
                return dict(pairs)
            return {"$pairs": pairs}  # keys that are not strings: an optimiser has integers
        if isinstance(value, list | tuple):
            items = [self.split(item, f"{path}.{i}") for i, item in enumerate(value)]
            return {"$tuple": items} if isinstance(value, tuple) else items
        if isinstance(value, float) and not math.isfinite(value):
            raise NotFinite(f"{path} is {value}, so it was not written")
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise TypeError(f"{path} is a {type(value).__name__}, which a checkpoint cannot hold")


def _join(value: Any, tensors: dict[str, Tensor], folder: Path) -> Any:
    if isinstance(value, list):
        return [_join(item, tensors, folder) for item in value]
    if not isinstance(value, dict):
        return value
    if "$tensor" in value:
        return tensors[value["$tensor"]]
    if "$ring" in value:
        return segments.Stored.of(folder, value["$ring"])
    if "$tuple" in value:
        return tuple(_join(value["$tuple"], tensors, folder))
    if "$pairs" in value:
        return {key: _join(item, tensors, folder) for key, item in value["$pairs"]}
    return {key: _join(item, tensors, folder) for key, item in value.items()}
