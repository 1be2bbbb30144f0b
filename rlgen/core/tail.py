"""The rows of a log that grows: only what was appended since the last look is read."""

from pathlib import Path
from typing import Any

from rlgen.core import files, logs
from rlgen.core.former_names import current_metrics


class Tail:
    """The rows of a log so far, by current names of metrics. A log that was replaced or cut is read from its start."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        self._offset, self._file = 0, 0
        self._reader = logs.Reader()

    def lost(self, expected: int = 0) -> int:
        """How many lines so far are damaged or missing, of `expected`, at least."""
        return self._reader.lost(expected)

    def update(self) -> bool:
        """Read the whole lines that were appended; returns whether there were any, or the log was cut."""
        try:
            status = self.path.stat()
        except OSError:
            changed = bool(self.rows)
            self.rows, self._offset, self._reader = [], 0, logs.Reader()
            return changed
        changed = status.st_ino != self._file or status.st_size < self._offset
        if changed:
            self.rows, self._offset, self._file, self._reader = [], 0, status.st_ino, logs.Reader()
        with files.opened(self.path) as file:
            file.seek(self._offset)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        for row in self._reader.rows(whole.split(b"\n")[:-1]):
            if isinstance(row.get("time"), int | float):
                self.rows.append(current_metrics(row))
        return changed or bool(whole)
