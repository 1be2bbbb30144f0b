"""What is kept of a failure in the folder of a run: the episode of an environment that failed."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rlgen.core.errors import EnvironmentFault, StorageError
from rlgen.core.files import replacing

NAME = "failed_episode.json"
place: Path | None = None  # the folder of the run in progress


@contextmanager
def kept_in(directory: Path) -> Iterator[None]:
    """Within it the episode of an EnvironmentFault is written to `directory`, and its message names the file."""
    global place
    before, place = place, directory
    try:
        yield
    except EnvironmentFault as failure:
        keep(failure)
        raise
    finally:
        place = before


def keep(failure: EnvironmentFault) -> None:
    """Write the episode of the failure, over an earlier one; nothing without an episode or a run in progress."""
    if failure.episode is None or place is None:
        return
    path = place / NAME
    with suppress(StorageError):  # the failure is what counts
        with replacing(path) as partial:
            partial.write_text(json.dumps({**failure.episode, "error": str(failure)}) + "\n", "utf-8")
        trust = " --trust" if ":" in str(failure.episode.get("environment")) else ""
        failure.args = (f"{failure}: `rlgen play --episode {path}{trust}` repeats it",)
