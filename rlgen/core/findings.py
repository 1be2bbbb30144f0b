"""Findings about a run: what is wrong with it, by which number, and the command that helps. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from rlgen.core.folder import Folder

Severity = Literal["problem", "note"]


@dataclass(frozen=True)
class Finding:
    """One finding. A problem is a fault of the run; a note limits what can be concluded from it."""

    name: str  # in few words
    severity: Severity
    text: str  # a sentence with the number
    number: float  # the measured one
    command: str = ""  # what to run next


@dataclass(frozen=True)
class Record:
    """The log of a run, its settings and how it is called in a command."""

    run: str
    task: str
    algorithm: str
    info: Mapping[str, Any]
    series: Mapping[str, list[tuple[float, float]]]  # metric -> (time, mean over seeds) of each line

    @classmethod
    def of(cls, folder: Folder) -> Self:
        """The record of a run folder."""
        info = folder.info
        series: dict[str, list[tuple[float, float]]] = {}
        for row in folder.rows():
            for name, value in row.items():
                numbers = [x for x in (value if isinstance(value, list) else [value]) if isinstance(x, int | float)]
                if numbers and name != "time":
                    series.setdefault(name, []).append((float(row["time"]), sum(numbers) / len(numbers)))
        return cls(str(folder.directory), str(info.get("task")), str(info.get("algorithm")), info, series)

    @property
    def config(self) -> Mapping[str, Any]:
        """The settings of the algorithm."""
        config: Mapping[str, Any] = self.info.get("config") or {}
        return config

    @property
    def again(self) -> str:
        """The command that trains with these settings again; options after it override them."""
        return f"rlgen {self.algorithm} {self.task} --config {self.run}/run.json"

    def values(self, name: str) -> list[float]:
        """The values of a metric in the order of the log; empty without any."""
        return [value for _, value in self.series.get(name, [])]

    def last(self, name: str) -> float | None:
        """The last value of a metric; None without any."""
        values = self.values(name)
        return values[-1] if values else None
