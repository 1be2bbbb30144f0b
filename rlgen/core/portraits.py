"""Portraits: the weights alone at evaluations, so that every age of a run can be evaluated, played and drawn.

They are checkpoints in `portraits/TIME` of the folder of a run, of what an algorithm names in `learned`. They are
thinned in training: of evaluations number 0, 1, 2, ... the multiples of a power of 2 are kept, and the newest.
"""

import logging
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlgen.core.errors import CheckpointError, Diverged, NewerCheckpoint, NotFinite, UserError
from rlgen.core.files import folders, remove_folder
from rlgen.core.leftovers import dated, time_of
from rlgen.core.restoring import fitting

if TYPE_CHECKING:
    from rlgen.core.state import State

MOST = 32  # portraits of a run
MAX_BYTES = 20_000_000  # of all portraits of a run; a network of more than half of it has none


def times(directory: Path) -> list[int]:
    """The times of the portraits of the run in `directory`, in ascending order; their content is unchecked."""
    found = (time_of(path.name) for path in folders(directory / "portraits"))
    return sorted(time for time in found if time is not None)


def nearest(directory: Path, time: int) -> int:
    """The time of the portrait nearest to `time`, the earlier of two. Raises UserError where there is none."""
    found = times(directory)
    if not found:
        raise UserError(
            f"{directory.name} has no portraits, the weights at its evaluations: use its checkpoints, `last` or `best`"
        )
    return min(found, key=lambda each: abs(each - time))


def restore(directory: Path, algorithm: Any, at: int) -> None:
    """Load the portrait nearest to the time `at` into `algorithm`, whose `time` then is that of the portrait.

    Raises UserError where there is none, CheckpointError for a damaged one.
    """
    from rlgen.core import checkpoint

    time = nearest(directory, at)
    others = [f"{each:,}" for each in times(directory) if each != time]
    try:
        saved = checkpoint.load(_folder(directory, time))
    except NewerCheckpoint:
        raise
    except CheckpointError as error:
        if time not in times(directory):  # the process that trains has thinned it
            restore(directory, algorithm, at)
            return
        instead = f"another time, such as {others[-1]}, or " if others else ""
        raise CheckpointError(
            f"the portrait of {directory.name} at {time:,}: {error}; use {instead}a checkpoint"
        ) from None
    with fitting(f"the portrait of {directory.name} at {time:,}"):
        algorithm.load_learned(saved)


def number_of(state: "State") -> int:
    """How many portraits of this `state` a run has at most: `MOST`, fewer for a large network, 0 for none."""
    most = MAX_BYTES // max(1, _size(state))
    return 0 if most < 2 else min(MOST, most)


def thinned(taken: list[list[int]], most: int) -> list[list[int]]:
    """Of [number of the evaluation, time] in ascending order at most `most` ≥ 2, evenly: the first, the last, and more.

    The number of each that is kept is a multiple of the smallest sufficient power of 2, but for the last. So the choice
    depends on the number of evaluations alone, and whatever was thinned before is thinned again after a resume.
    """
    last, stride = taken[-1][0], 1
    while -(-last // stride) + 1 > most:
        stride *= 2
    return [pair for pair in taken if pair[0] % stride == 0 or pair[0] == last]


def add(directory: Path, algorithm: Any, taken: list[list[int]]) -> list[list[int]]:
    """Write a portrait, and delete those earlier ones that are thinned; returns `taken` with it, thinned.

    `taken` holds the number of an evaluation and its time. Without `learned` state, and for a large network, there is
    none. Where it cannot be written, that is a warning. Raises Diverged where a weight is not finite.
    """
    from rlgen.core import checkpoint
    from rlgen.core.state import Stateful

    state = algorithm.learned_dict() if isinstance(algorithm, Stateful) else {}
    time: int = algorithm.time
    if not state or not (most := number_of(state)):
        return []
    kept = thinned([*taken, [taken[-1][0] + 1 if taken else 0, time]], most)
    try:
        # Not flushed to the disk, which would take longer than the writing: checksums reveal a loss of power.
        checkpoint.save(_folder(directory, time), state, durable=False)
        thin(directory, kept)
    except NotFinite as error:
        raise Diverged(f"at {time:,} {error}: try a smaller --lr") from None
    except OSError as error:
        logging.getLogger("rlgen").warning(f"the portrait at {time:,} was not written ({error}); training continues")
    return kept


def thin(directory: Path, kept: list[list[int]]) -> None:
    """Delete every portrait but those at the times in `kept`, pairs of a number and a time."""
    for time in set(times(directory)) - {each for _, each in kept}:
        with suppress(OSError):
            remove_folder(_folder(directory, time))


def _folder(directory: Path, time: int) -> Path:
    return directory / "portraits" / dated(time)


def _size(value: Any) -> int:
    """Bytes of the tensors in a state."""
    if isinstance(value, dict):
        return sum(map(_size, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(_size, value))
    return value.numel() * value.element_size() if hasattr(value, "element_size") else 0
