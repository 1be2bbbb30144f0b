"""The checkpoints that a run keeps, and what is left of them where the latest cannot be written."""

import logging
from collections.abc import Container
from contextlib import suppress
from pathlib import Path

from rlgen.core import checkpoint
from rlgen.core.errors import CheckpointError
from rlgen.core.files import remove_folder

log = logging.getLogger("rlgen")


def prune(folder: Path, kept: Container[int | None]) -> None:
    """Delete the checkpoints in `folder` but the newest two and those at the times in `kept`."""
    for old in checkpoint.newest_first(folder)[2:]:
        if int(old.name) not in kept:
            try:
                remove_folder(old)
            except OSError as error:
                log.warning(f"the checkpoint {old.name} cannot be deleted ({error.strerror}); training continues")


def way_out(directory: Path) -> str:
    """The newest intact checkpoint of the run in `directory`, if there is one, and how to continue."""
    for folder in checkpoint.newest_first(directory / "checkpoints"):
        with suppress(CheckpointError):
            checkpoint.verify(folder)
            return f"the checkpoint at {int(folder.name):,} is intact: make room, then `rlgen resume {directory}`"
    return f"there is no other: make room, then `rlgen resume {directory}` starts from the beginning"
