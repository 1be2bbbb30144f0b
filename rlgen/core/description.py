"""The description of a run, run.json: read with its seal, checked for the types of its entries, written in one step."""

import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from rlgen.core import files, seal
from rlgen.core.errors import CheckpointError, NewerCheckpoint, UserError
from rlgen.core.terminal import visible

FILE = "run.json"
SCHEMA = 1  # of its entries; one without a schema is of an earlier version
BLOCK = 4096  # bytes of a block of a disk, at most
LARGEST = 2**63  # of a time and a budget
TYPES: dict[type, tuple[str, ...]] = {  # types of entries
    str: ("created", "status", "algorithm", "task", "kind", "name"),
    dict: ("plan", "config", "setup"),
    int: ("time",),
}


def read(directory: Path, *, sealed: bool = False) -> dict[str, Any]:
    """The entries of the run.json in `directory`, without its seal. Raises UserError where it cannot be read.

    Raises NewerCheckpoint for one of a later version of rlgen. Where it is to be `sealed`, raises CheckpointError for
    one that was changed after it was written.
    """
    path = directory / FILE
    try:
        content = files.read_bytes(path)
        info = files.parse(content, finite=False)
    except files.Refused as error:
        raise UserError(f"{error}; repair it, or remove the folder") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"it is not valid JSON: {error}"
        raise UserError(f"{path} cannot be read: {reason}; repair it, or remove the folder") from None
    if not isinstance(info, dict):
        raise UserError(f"{path} does not describe a run: repair it, or remove the folder")
    schema = info.pop("schema", SCHEMA)
    if not isinstance(schema, int) or schema > SCHEMA:
        raise NewerCheckpoint(
            f"{path} has schema {_shortened(schema)} and this rlgen reads up to {SCHEMA}: install a newer rlgen"
        )
    if sealed and not seal.is_intact(content):
        raise CheckpointError(
            f"{path} was changed after it was written, its checksum differs:"
            f" `rlgen verify {directory}` says what can be saved"
        )
    info.pop(seal.SEAL, None)
    return info


def write(directory: Path, info: Mapping[str, Any]) -> None:
    """Replace run.json in one step. Raises StorageError where the disk is full."""
    with files.replacing(directory / FILE, parents=False) as partial:
        partial.write_bytes(seal.dump({"schema": SCHEMA, **info}))


def overwrite(directory: Path, info: Mapping[str, Any]) -> None:
    """Write run.json in its place, which takes no room on a full disk, if it fits into the blocks that it has."""
    content = seal.dump({"schema": SCHEMA, **info})
    with suppress(OSError), (directory / FILE).open("r+b", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if len(content) <= -(-size // BLOCK) * BLOCK:
            file.write(content)
            file.truncate()


def fault(info: Mapping[str, Any]) -> str | None:
    """Why these are no entries of a run of this program; None where each entry has its type."""
    for kind, names in TYPES.items():
        for name in names:
            if name in info and (not isinstance(info[name], kind) or isinstance(info[name], bool)):
                return f"{name} is {_shortened(info[name])}"
    try:
        if datetime.fromisoformat(info.get("created", "")).tzinfo is None:
            return "created has no time zone"
    except ValueError:
        return f"created is {_shortened(info.get('created'))}"
    budget = info.get("plan", {}).get("budget", 1)
    if not isinstance(budget, int) or isinstance(budget, bool) or not 0 < budget < LARGEST:
        return f"budget is {_shortened(budget)}"
    return None if 0 <= info.get("time", 0) < LARGEST else f"time is {_shortened(info['time'])}"


def logged(info: Mapping[str, Any], name: str) -> int:
    """How many lines a log had at the newest checkpoint, at least; 0 where that is not known."""
    counts = info.get("lines")
    count = counts.get(name) if isinstance(counts, dict) else None
    return count if isinstance(count, int) else 0


def _shortened(value: object) -> str:
    """A value of a foreign file in a message."""
    text = repr(value)
    return visible(text if len(text) <= 40 else f"{text[:37]}...")
