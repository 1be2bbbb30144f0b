"""What differs between runs, for the page: the comparison of `rlgen compare` over files that were checked before."""

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlgen.core.errors import UserError
from rlgen.ui import reading
from rlgen.ui.logs import LOGS

MOST = 24  # runs at a time
BYTES = 2**26  # of a log
ONE_AT_A_TIME = threading.Lock()


def compare(root: Path, directories: Sequence[Path]) -> dict[str, Any]:
    """The comparison of runs below `root`. Raises UserError where they cannot be compared, Missing without a file."""
    if not 1 <= len(directories) <= MOST:
        raise UserError(f"{len(directories)} runs to compare: name 1 to {MOST}")
    for directory in directories:
        for name in ("run.json", *LOGS.values()):
            if os.path.lexists(directory / name):
                _check(root, directory / name)
    from rlgen.report import comparison

    try:
        with ONE_AT_A_TIME:
            found: dict[str, Any] = comparison.compare(directories)
            return found
    except UserError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError):
        names = ", ".join(directory.name for directory in directories)
        raise UserError(f"{names} cannot be compared: a log or a run.json of them is damaged") from None


def _check(root: Path, path: Path) -> None:
    """Raise Missing for what is no file of moderate size, such as a link or a pipe."""
    with reading.open_file(root, path) as file:
        if file.seek(0, 2) > BYTES:
            raise UserError(f"{path.parent.name}/{path.name} has more than {BYTES:,} bytes: too large to compare")
