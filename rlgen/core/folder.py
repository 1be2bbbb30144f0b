"""A run folder as anyone may read it: run.json, metrics.jsonl, timing.jsonl, and the lock of whoever trains there.

Imports neither torch nor numpy, so that `rlgen runs` is quick.
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rlgen.core.errors import Diverged, Interrupted, StorageError, UserError, did_you_mean
from rlgen.core.files import replacing
from rlgen.core.former_names import current_metrics

if TYPE_CHECKING:
    import numpy as np
    from filelock import BaseFileLock
    from numpy.typing import NDArray

STATUS: dict[type[BaseException] | None, str] = {
    Diverged: "diverged",
    Interrupted: "interrupted",
    KeyboardInterrupt: "interrupted",
    None: "finished",
}


class Folder:
    """One experiment on disk. Whoever changes it does so inside `with`, which takes its lock."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock: BaseFileLock | None = None

    @property
    def name(self) -> str:
        """Its name under `runs/`."""
        return self.directory.name

    @classmethod
    def create(cls, runs: Path, stem: str, name: str | None = None, **facts: Any) -> Self:
        """Claim the first free of `stem-1`, `stem-2`, ... in `runs`, or `name` itself; `facts` go to its run.json."""
        if name and (Path(name).name != name or name.startswith(".")):
            raise UserError(f"--name {name}: a name is no path; --runs DIR says where runs are kept")
        number = 1 + max((_number(path.name, stem) for path in _folders(runs)), default=0)
        while True:
            directory = runs / (name or f"{stem}-{number}")
            try:
                directory.mkdir(parents=True)  # fails where another process was first, so no two runs share a folder
                break
            except FileExistsError:
                if name:
                    raise UserError(f"{directory} exists: choose another --name, or `rlgen resume {name}`") from None
                number += 1
            except OSError as error:
                raise StorageError(f"cannot make a run in {runs}: {error.strerror}") from None
        folder = cls(directory)
        folder.describe(name=directory.name, status="created", created=_now(), **facts)
        return folder

    @classmethod
    def find(cls, runs: Path, name: str = "latest") -> Self:
        """The run called `name`: a path, a name in `runs` in any case, or `latest`."""
        if name == "latest":
            folders = cls.all(runs)
            if not folders:
                raise UserError(f"there are no runs in {runs} yet: `rlgen dqn CartPole` makes one")
            return folders[-1]
        for directory in (Path(name), *(path for path in _folders(runs) if path.name.lower() == name.lower())):
            if (directory / "run.json").is_file():
                return cls(directory)
        hint = did_you_mean(name, (path.name for path in _folders(runs))) or ": `rlgen runs` lists them"
        raise UserError(f"no run {name!r} in {runs}{hint}")

    @classmethod
    def all(cls, runs: Path) -> list[Self]:
        """Every run in `runs` that can be read, the oldest first."""
        readable = []
        for path in _folders(runs):
            folder = cls(path)
            with suppress(UserError, KeyError):  # not a run, or not one that was made here
                readable.append((folder.info["created"], folder))
        return [folder for _, folder in sorted(readable, key=lambda pair: pair[0])]

    @property
    def info(self) -> dict[str, Any]:
        """What run.json says. Raises UserError where it cannot be read."""
        path = self.directory / "run.json"
        try:
            info = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read: {error}") from None
        if not isinstance(info, dict):
            raise UserError(f"{path} does not describe a run")
        return info

    def describe(self, **facts: Any) -> None:
        """Add `facts` to run.json, whole or not at all."""
        path = self.directory / "run.json"
        known = self.info if path.exists() else {}
        with replacing(path) as partial:
            partial.write_text(json.dumps({**known, **facts, "updated": _now()}, indent=2) + "\n")

    @property
    def status(self) -> str:
        """created, running, finished, interrupted, diverged, failed; or stale: said to run, but the lock is free."""
        status = str(self.info.get("status", "unknown"))
        return "stale" if status in ("created", "running") and not self.locked() else status

    def locked(self) -> bool:
        """Whether some process is changing this run now."""
        from filelock import FileLock, Timeout

        if self._lock is not None:
            return True
        if not (self.directory / "run.lock").exists():
            return False
        try:
            with FileLock(self.directory / "run.lock", timeout=0):
                return False
        except (Timeout, OSError):
            return True

    def __enter__(self) -> Self:
        from filelock import FileLock, Timeout

        # The system drops the lock when its holder dies, kill -9 included. A second of patience outlasts `locked`.
        lock = FileLock(self.directory / "run.lock", timeout=1)
        try:
            lock.acquire()
        except Timeout:
            raise UserError(
                f"{self.name} is being trained by process {self.info.get('pid')}: wait for it, or stop it"
            ) from None
        except OSError as error:
            raise StorageError(f"cannot lock {self.directory}: {error.strerror}") from None
        self._lock = lock
        self.describe(status="running", pid=os.getpid(), error=None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._lock is not None
        try:
            self.describe(status=STATUS.get(kind, "failed"), **({"error": str(error)} if error else {}))
        except StorageError:
            if error is None:
                raise
        finally:
            self._lock.release()
            self._lock = None

    def rows(self, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
        """The lines of a log in the order they were written; a torn last one is left out."""
        return [row for _, row in self.lines(name)]

    def lines(self, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each line of a log, as text and as what it says."""
        path = self.directory / name
        for text in path.read_text(errors="replace").splitlines(keepends=True) if path.exists() else ():
            try:
                row = json.loads(text)
            except ValueError:
                return  # nothing whole follows a torn line
            if not text.endswith("\n"):
                return
            yield text, current_metrics(row)

    def metrics(self, name: str = "metrics.jsonl") -> dict[str, "tuple[NDArray[np.float64], NDArray[np.float64]]"]:
        """Each metric's times (P,) and values (P,), or (P, S) of S seeds, NaN for a seed without a value."""
        import numpy as np

        columns: dict[str, dict[float, float | list[float]]] = {}
        for row in self.rows(name):
            for metric, value in row.items():
                if metric != "time":
                    columns.setdefault(metric, {})[row["time"]] = value
        return {metric: (np.array(list(c), float), np.array(list(c.values()), float)) for metric, c in columns.items()}


def runs_folder(runs: str | Path | None) -> Path:
    """The folder of all runs: as given, or $RLGEN_RUNS, or `runs` in the working directory."""
    return Path(runs or os.environ.get("RLGEN_RUNS") or "runs")


def safe(task: str) -> str:
    """A task's name as part of a folder's: `ALE/Pong-v5` is `ALE-Pong-v5`."""
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in task).strip("-.")


def _folders(runs: Path) -> list[Path]:
    return [path for path in runs.iterdir() if path.is_dir()] if runs.is_dir() else []


def _number(name: str, stem: str) -> int:
    """7 for `stem-7`, 0 for anything else."""
    number = name.removeprefix(f"{stem}-")
    return int(number) if number != name and number.isdecimal() else 0


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
