"""Checkpoints: a folder with the tensors in safetensors, the rest in JSON, and a manifest. No pickle.

The folder is written under a temporary name, flushed to the disk and renamed, so that it is complete or absent. The
manifest holds the size and sha256 of every file; a checkpoint that does not match it is not loaded.
"""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from rlgen.core.errors import CheckpointError, NewerCheckpoint, NotFinite
from rlgen.core.files import PARTIAL, folders, remove_folder, sync
from rlgen.core.leftovers import time_of
from rlgen.core.state import State

SCHEMA = 2  # of new checkpoints; those of schema 1 have former names, see `former_names`


def save(folder: Path, state: State, *, durable: bool = True) -> None:
    """Write `state`, nested dicts of tensors and plain values, as `folder`, unless it is there undamaged.

    Where it is not `durable` it is not flushed to the disk, and a loss of power may damage it. Raises NotFinite, before
    anything is written, where a value is not finite; OSError, with nothing left behind, where the disk is full.
    """
    tensors: dict[str, Tensor] = {}
    plain = {name: _split(value, name, tensors) for name, value in state.items()}
    for key, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise NotFinite(f"{key} holds values that are not finite, so {folder.name} was not written")
    if folder.exists():
        try:
            verify(folder)
            return  # training is deterministic: the state at this time is the same
        except CheckpointError:
            remove_folder(folder)
    partial = folder.with_name(f"{PARTIAL}{os.getpid()}-{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        save_file({key: t.detach().cpu().contiguous() for key, t in tensors.items()}, partial / "tensors.safetensors")
        (partial / "state.json").write_text(json.dumps(plain, allow_nan=False))
        (partial / "manifest.json").write_bytes(_manifest(partial, SCHEMA))
        for path in (*partial.iterdir(), partial) if durable else ():
            sync(path)
        partial.rename(folder)
        if durable:
            sync(folder.parent)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, SafetensorError):  # raised where the disk is full
            raise OSError(str(error)) from None
        raise


def load(folder: Path, upgrade: Callable[[State], State] | None = None) -> State:
    """The state in a checkpoint, tensors on the CPU; one of an earlier schema is passed through `upgrade`.

    Raises CheckpointError for a damaged checkpoint, NewerCheckpoint for one of a later version of rlgen.
    """
    schema = verify(folder)
    try:
        plain = json.loads((folder / "state.json").read_text())
        tensors = load_file(folder / "tensors.safetensors")
        state = {name: _join(value, tensors) for name, value in plain.items()}
        return upgrade(state) if upgrade and schema < SCHEMA else state
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError) as error:
        raise CheckpointError(f"{folder} cannot be read: {error}") from None


def newest_first(folder: Path) -> list[Path]:
    """The checkpoints in `folder`, each named by its time, the latest first; their content is unchecked."""
    found = ((time_of(path.name), path) for path in folders(folder))
    return [path for _, path in sorted((pair for pair in found if pair[0] is not None), reverse=True)]


def verify(folder: Path) -> int:
    """The schema of a checkpoint. Raises CheckpointError unless every byte of `folder` is the one that was written."""
    try:
        manifest = (folder / "manifest.json").read_bytes()
        schema = _schema(manifest)
        if schema > SCHEMA:
            raise NewerCheckpoint(
                f"{folder} has schema {schema} and this rlgen reads up to {SCHEMA}: install a newer rlgen"
            )
        intact = manifest == _manifest(folder, schema)
    except OSError as error:
        raise CheckpointError(f"{folder} is not a complete checkpoint: {error}") from None
    if not intact:
        raise CheckpointError(f"{folder} is damaged: its files do not match its manifest")
    return schema


def _schema(manifest: bytes) -> int:
    """The schema in a manifest; the current one where the manifest is unreadable, which then fails in `verify`."""
    try:
        schema = json.loads(manifest)["schema"]
    except (ValueError, KeyError, TypeError):
        return SCHEMA
    return schema if isinstance(schema, int) else SCHEMA


def _manifest(folder: Path, schema: int) -> bytes:
    """The manifest of an undamaged checkpoint, byte for byte."""
    files = {
        path.name: {"size": path.stat().st_size, "sha256": _digest(path)}
        for path in sorted(folder.iterdir())
        if path.name != "manifest.json"
    }
    return json.dumps({"schema": schema, "files": files}, indent=1).encode()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _split(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """`value` as JSON; its tensors are moved to `tensors`, with {"$tensor": path} in their place."""
    if isinstance(value, Tensor):
        while path in tensors:  # key "a.b" of one dict, key "b" within "a" of another
            path += "'"
        tensors[path] = value
        return {"$tensor": path}
    if isinstance(value, dict):
        pairs = [(key, _split(item, f"{path}.{key}", tensors)) for key, item in value.items()]
        if all(isinstance(key, str) and not key.startswith("$") for key, _ in pairs):
            return dict(pairs)
        return {"$pairs": pairs}  # keys that are not strings: an optimiser has integers
    if isinstance(value, list | tuple):
        items = [_split(item, f"{path}.{i}", tensors) for i, item in enumerate(value)]
        return {"$tuple": items} if isinstance(value, tuple) else items
    if isinstance(value, float) and not math.isfinite(value):
        raise NotFinite(f"{path} is {value}, so it was not written")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{path} is a {type(value).__name__}, which a checkpoint cannot hold")


def _join(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_join(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if "$tensor" in value:
        return tensors[value["$tensor"]]
    if "$tuple" in value:
        return tuple(_join(value["$tuple"], tensors))
    if "$pairs" in value:
        return {key: _join(item, tensors) for key, item in value["$pairs"]}
    return {key: _join(item, tensors) for key, item in value.items()}
