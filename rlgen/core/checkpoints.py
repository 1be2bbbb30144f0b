"""The state in the checkpoints of a run: that of the newest undamaged one, or of a certain one."""

import logging
from pathlib import Path

from rlgen.core import checkpoint, former_names, leftovers
from rlgen.core.errors import CheckpointError, NewerCheckpoint
from rlgen.core.state import State

log = logging.getLogger("rlgen")


def newest(directory: Path, algorithm: type, *, rows: bool = True) -> State | None:
    """The state in the newest undamaged checkpoint of a run, for this class of algorithm; None without any checkpoint.

    Where not `rows`, those of ring buffers are neither checked nor read. Raises CheckpointError where all are damaged,
    or where a later version of rlgen wrote one. One that another process deletes meanwhile is not damaged: that process
    trains, and there is a newer one.
    """
    tried: set[Path] = set()
    while left := [p for p in checkpoint.newest_first(directory / "checkpoints") if p not in tried]:
        tried.add(left[0])
        try:
            return _load(left[0], algorithm, rows)
        except NewerCheckpoint:
            raise
        except CheckpointError as error:
            if left[0].exists():
                log.warning(f"{error}; trying the checkpoint before it")
    if not tried:
        return None
    way = f"train again, with `--config {directory}/run.json`"
    if rows and any(map(_acts, tried)):
        way += "; its weights are whole, so that `rlgen eval` and `rlgen play` work"
    raise CheckpointError(f"every checkpoint of {directory.name} is damaged: {way}")


def at(directory: Path, time: int, algorithm: type, *, rows: bool = True) -> State:
    """The state in the checkpoint of a run at a time; `rows` as of `newest`. Raises CheckpointError."""
    return _load(directory / "checkpoints" / leftovers.dated(time), algorithm, rows)


def _load(folder: Path, algorithm: type, rows: bool) -> State:
    return checkpoint.load(folder, lambda state: former_names.current_state(algorithm, state), rows=rows)


def _acts(folder: Path) -> bool:
    """Whether all of a checkpoint but rows of ring buffers is undamaged."""
    try:
        checkpoint.verify(folder, rows=False)
        return True
    except CheckpointError:
        return False
