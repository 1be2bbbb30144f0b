"""A run folder for readers: run.json, the logs, and the lock of the process that trains there.

Imports neither torch nor numpy, for the start-up time of `rlgen runs`.
"""

import errno
import logging
import os
import secrets
import shutil
import time as clock
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rlgen.core import description, files, inventory, labels, lock, logs, names, studies
from rlgen.core.errors import Diverged, Interrupted, ProcessLost, StorageError, UserError, did_you_mean
from rlgen.core.files import sync
from rlgen.core.signals import Stopped

if TYPE_CHECKING:
    import numpy as np
    from filelock import BaseFileLock
    from numpy.typing import NDArray

UNBORN = 86_400.0  # seconds after which the beginning of a run without a name is removed
TRASH = ".trash"  # folder of removed runs, in the folder of runs
PARTS = (description.FILE, inventory.FILE, "metrics.jsonl", "checkpoints")  # any of which makes a folder that of a run
STATUS: dict[type[BaseException] | None, str] = {
    Diverged: "diverged",
    Interrupted: "interrupted",
    ProcessLost: "interrupted",
    KeyboardInterrupt: "interrupted",
    Stopped: "interrupted",
    None: "finished",
}
log = logging.getLogger("rlgen")


class Folder:
    """The folder of one run. Changes are made within `with`, which holds its lock."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock: BaseFileLock | None = None
        self._facts: dict[str, Any] | None = None  # run.json of the process that trains, which alone writes to it
        self._identity: tuple[int, int] | None = None  # device and number of the folder while it is locked

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.directory.name

    @classmethod
    def create(
        cls,
        runs: Path,
        stem: str,
        name: str | None = None,
        begin: Callable[[Self], object] = lambda folder: None,
        **facts: Any,
    ) -> Self:
        """A new folder `name` in `runs`, or the first free of `stem-1`, `stem-2`, ...; `facts` are written to run.json.

        It appears with run.json and with what `begin` writes, or not at all. Raises UserError where `name` exists or is
        a path, StorageError where `runs` cannot be written.
        """
        if name is not None:
            names.check(name)
        taken = (*_folders(runs), *_folders(runs / TRASH))  # a removed run keeps its number
        number = 1 + max((names.number(path.name, stem) for path in taken), default=0)
        folder = cls(runs / f"{files.PARTIAL}{os.getpid()}-{secrets.token_hex(4)}")
        try:
            folder.directory.mkdir(parents=True)
            folder.describe(name=name or f"{stem}-{number}", status="created", created=_now(), **facts)
            begin(folder)
            while not folder._claim(runs / (name or f"{stem}-{number}")):
                if name:
                    raise UserError(f"{runs / name} exists: choose another --name, or `rlgen resume {name}`")
                number += 1
                folder.describe(name=f"{stem}-{number}")
        except BaseException as error:
            shutil.rmtree(folder.directory, ignore_errors=True)
            if isinstance(error, OSError | StorageError):
                reason = getattr(error.__cause__ or error, "strerror", None) or error
                raise StorageError(
                    f"cannot make a run in {runs} ({reason}): choose another folder with --runs DIR"
                ) from None
            raise
        for path in (folder.directory, runs, runs.absolute().parent):  # a loss of power leaves the run where it is
            with suppress(OSError):
                sync(path)
        _remove_unborn(runs)
        return folder

    def _claim(self, directory: Path) -> bool:
        """Move the folder to an unused path; False where it is in use, by another process as well."""
        try:
            if directory.exists():
                return False
            self.directory.rename(directory)  # fails where another process made it first
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            return False
        self.directory = directory
        return True

    @classmethod
    def find(cls, runs: Path, name: str = "latest") -> Self:
        """The run at the path `name`, of the name `name` in `runs` in any case, or the `latest`. Raises UserError.

        A run of a study is named by both names, STUDY/trial-0001.
        """
        if name == "latest":
            folders, unreadable = cls.sorted(runs)
            more = f"{len(unreadable)} unreadable: `rlgen runs` lists them" if unreadable else ""
            if not folders:
                none = f"there are no runs in {runs} yet: `rlgen dqn CartPole` makes one"
                raise UserError(f"{none}; {more}" if more else none)
            if more:
                log.warning(f"latest is {folders[-1].name} of {len(folders)} readable runs in {runs}; {more}")
            return folders[-1]
        alike = (path for path in _folders(runs) if path.name.lower() == name.lower())
        for directory in (Path(name), runs / name, *alike):
            if files.is_file(directory / "run.json"):
                return cls(directory)
        studies.refuse(runs, name)
        hint = did_you_mean(name, (path.name for path in _folders(runs))) or ": `rlgen runs` lists them"
        raise UserError(f"no run {name!r} in {runs}{hint}")

    @classmethod
    def all(cls, runs: Path) -> list[Self]:
        """Every readable run in `runs`, the oldest first."""
        return cls.sorted(runs)[0]

    @classmethod
    def sorted(cls, runs: Path) -> tuple[list[Self], dict[str, str]]:
        """The readable runs in `runs`, the oldest first, and why others are unreadable, by name."""
        described, unreadable = cls.described(runs)
        return [folder for folder, _ in described], unreadable

    @classmethod
    def described(cls, runs: Path) -> tuple[list[tuple[Self, dict[str, Any]]], dict[str, str]]:
        """Those of `sorted`, each readable one with its `info`."""
        readable: list[tuple[Self, dict[str, Any]]] = []
        unreadable = {}
        for path in cls.directories(runs):
            folder = cls(path)
            try:
                info = description.read(path)
            except UserError as error:
                unreadable[path.name] = str(error)
                continue
            if wrong := description.fault(info):
                unreadable[path.name] = f"{path / description.FILE}: {wrong}; repair it, or remove the folder"
            else:
                readable.append((folder, {**info, **labels.read(path)}))
        return sorted(readable, key=lambda pair: str(pair[1]["created"])), dict(sorted(unreadable.items()))

    @staticmethod
    def directories(runs: Path) -> list[Path]:
        """The folders in `runs` that hold a run or what is left of one, by name."""
        return sorted(path for path in _folders(runs) if any(os.path.lexists(path / part) for part in PARTS))

    @property
    def info(self) -> dict[str, Any]:
        """The content of run.json, with `note` and `tags` where set. Raises UserError where it cannot be read."""
        return {**description.read(self.directory), **labels.read(self.directory)}

    @property
    def labels(self) -> dict[str, Any]:
        """`note`, a text, and `tags`, a list of words."""
        return {"note": "", "tags": [], **labels.read(self.directory)}

    def describe(self, **facts: Any) -> None:
        """Add `facts` to run.json by one atomic write. Raises StorageError where the folder was removed."""
        self.require()
        known = self._facts
        if known is None:
            new = not (self.directory / description.FILE).exists()
            known = {} if new else description.read(self.directory, sealed=True)
        known = {**known, "updated": _now(), **facts}
        if self._facts is not None:
            self._facts = known
        description.write(self.directory, known)

    def require(self) -> None:
        """Raise StorageError where the folder was removed, or replaced by another, since it was locked."""
        try:
            found = self.directory.stat()
        except OSError:
            raise StorageError(f"{self.directory} was removed: nothing more is written to it") from None
        if self._identity not in (None, (found.st_dev, found.st_ino)):
            raise StorageError(f"{self.directory} was replaced by another folder: nothing is written to that")

    @property
    def status(self) -> str:
        """created, running, finished, interrupted, diverged, failed; stale where a running process has died."""
        return self.status_of(self.info)

    def status_of(self, info: Mapping[str, Any]) -> str:
        """`status`, where the content of run.json is `info`."""
        status = str(info.get("status", "unknown"))
        return "stale" if status in ("created", "running") and not self.locked() else status

    def locked(self) -> bool:
        """Whether a process is training this run."""
        return self._lock is not None or lock.held(self.directory)

    def __enter__(self) -> Self:
        self._lock = lock.acquire(self.directory)
        if self._lock is None:
            raise UserError(
                f"{self.name} is being trained by process {self.info.get('pid')}: wait for its end, or stop it"
            )
        try:
            self._facts, found = description.read(self.directory, sealed=True), self.directory.stat()
            self._identity = found.st_dev, found.st_ino
            self.describe(status="running", pid=os.getpid(), error=None)
            inventory.write(self.directory, self._facts)  # without files: they change from here on
        except BaseException as error:
            with suppress(UserError, OSError):
                if self.directory.is_dir() and self._facts is not None:
                    self.describe(status=STATUS.get(type(error), "failed"), error=str(error))
            self._unlock()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ending = {"status": STATUS.get(kind, "failed"), **({"error": str(error)} if error else {}), "updated": _now()}
        try:
            self.require()
            with suppress(OSError, StorageError):  # before run.json: one killed here is continued
                inventory.write(self.directory, {**(self._facts or {}), **ending}, inventory.find(self.directory))
            self.describe(**ending)
        except StorageError:
            with suppress(StorageError):
                self.require()
                description.overwrite(self.directory, self._facts or {})
            if error is None:
                raise
        finally:
            self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()
        self._lock = self._facts = self._identity = None

    def rows(self, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
        """The undamaged lines of a log in the order of writing, by current names of metrics."""
        return self.log(name).rows

    def log(self, name: str = "metrics.jsonl") -> logs.Log:
        """A log with its damaged lines. Raises UserError where it cannot be read."""
        try:
            return logs.read(self.directory / name)
        except OSError as error:
            raise UserError(f"{self.directory / name} cannot be read: {error.strerror or error}") from None

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


def _remove_unborn(runs: Path) -> None:
    """Remove what `create` left in `runs` where it was killed, after a day: it is a matter of seconds."""
    for path in runs.glob(f"{files.PARTIAL}*"):
        with suppress(OSError):
            if files.is_folder(path) and clock.time() - path.stat().st_mtime > UNBORN:
                files.remove_folder(path)


def _folders(runs: Path) -> list[Path]:
    if not runs.is_dir():
        return []
    return [path for path in runs.iterdir() if not path.name.startswith(".") and path.is_dir()]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
