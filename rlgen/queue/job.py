"""One run of a file: what is typed there, its folder, and what is left to do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlgen import preparation
from rlgen.catalog import Entry
from rlgen.core import files
from rlgen.core.config import flag, word, words
from rlgen.core.errors import UserError
from rlgen.core.folder import Folder
from rlgen.core.settings import Plan

CONTINUED = ("created", "interrupted", "failed", "stale", "unknown")  # states of runs that are resumed
MEMORY = "the system kills processes where memory is short: try fewer --workers"


@dataclass
class Job:
    """A run that is to be trained; after its process has ended also how."""

    name: str
    place: str  # FILE:LINE
    entry: Entry
    task: str
    settings: dict[str, Any]  # as typed
    plan: Plan
    runs: Path
    options: tuple[str, ...] = ()  # further options of the command
    started: bool = False  # whether a process has been started for it
    code: int | None = None  # exit code of its process; None before its end, and without a process
    error: str = ""  # its last line where the exit code is not 0

    @property
    def folder(self) -> Folder:
        """The folder of the run, which may not be there yet."""
        return Folder(self.runs / self.name)

    @property
    def info(self) -> dict[str, Any]:
        """The content of run.json, empty before there is one. Raises UserError where it cannot be read."""
        return self.folder.info if files.is_file(self.folder.directory / "run.json") else {}

    @property
    def state(self) -> str:
        """`new`, or the status of the run. Raises UserError where its folder is that of another run."""
        info = self.info
        if not info:
            return "new"
        self._compare(preparation.described(self.folder))
        return self.folder.status_of(info)

    @property
    def left(self) -> bool:
        """Whether there is something to train. Raises UserError where another process is at it."""
        state = self.state
        if state == "running":
            raise UserError(f"{self.place}: {self.folder.directory} is being trained by process {self.info.get('pid')}")
        return state == "new" or state in CONTINUED

    @property
    def words(self) -> list[str]:
        """The command that trains what is left."""
        if self.info:
            trust = ["--trust"] if self.entry.kind.tasks.module_of(self.task) else []
            return ["resume", str(self.folder.directory), *trust]
        where = ["--runs", str(self.runs), "--name", self.name]
        return [self.entry.name, self.task, *words(self.settings), *self.options, *where]

    def end(self, code: int, last: str) -> None:
        """Take in the exit code of the process, negative for the signal that killed it, and the last line it printed.

        Where a signal ended the process without a word, `error` names that.
        """
        self.code = code if code >= 0 else 128 - code
        if code < 0:
            self.error = f"its process was killed by signal {-code}" + (f"; {MEMORY}" if code == -9 else "")
        elif code:
            self.error = last.removeprefix("error: ") or f"its process ended with exit code {code}"

    def _compare(self, info: dict[str, Any]) -> None:
        """Raise UserError where the folder holds a run of another algorithm, task or setting than is typed."""
        tasks, there = self.entry.kind.tasks, self.folder.directory
        if info["algorithm"] != self.entry.name:
            raise self._other(f"{there} is a run of {info['algorithm']}, not of {self.entry.name}")
        known = info["task"] in (self.task, self.entry.kind.fallback)
        if not known and tasks.resolve(info["task"]) != tasks.resolve(self.task):
            raise self._other(f"{there} is a run on {info['task']}, not on {self.task}")
        had = {**info["config"], **info["setup"], **info["plan"]}
        for name, value in self.settings.items():
            if name in had and _differs(value, had[name]):
                raise self._other(f"{there} has {flag(name)} {word(had[name])}, not {word(value)}")

    def _other(self, reason: str) -> UserError:
        return UserError(f"{self.place}: {reason}: choose another name for the table, or `rlgen rm {self.name}`")


def _differs(typed: Any, had: Any) -> bool:
    """Whether a typed value is another than that of a run.json, where infinity is a word."""
    if isinstance(typed, str) or isinstance(had, bool) or had is None:
        return bool(typed != had)
    return float(typed) != float(had)
