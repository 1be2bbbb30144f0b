"""Runs as the page shows them: a summary of each, and everything about one. Nothing of a run is executed or changed."""

import math
import operator
import os
import stat
import time as clock
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rlgen.core import labels
from rlgen.core.folder import Folder
from rlgen.core.terminal import visible
from rlgen.kinds import KINDS
from rlgen.ui import logs, panels, reading
from rlgen.ui.reading import Missing, Stamp

Json = dict[str, Any]
ACTIVE = ("created", "running")  # states of a run that only its lock can confirm
LOCK_SECONDS = 5.0  # from one look at the lock of a run to the next
MANY, SHARE, SECONDS = 200, 0.006, 2.0  # from so many runs on, the share of time for their list, and its age at most
LETTERS = 2_000  # of a text of a run, at most
PICTURES = (".png", ".gif")
FACTS = (
    "argv", "config", "setup", "plan", "changed", "versions", "device", "threads", "git", "parameters", "memory",
    "result",
)  # fmt: skip


class Runs:
    """The runs below a folder, run.json and the times of portraits cached by the time of their last change."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._summaries: dict[str, tuple[Stamp, Json | None]] = {}  # name -> stamp of its files, summary
        self._until = 0.0  # when a list of many runs may be made again
        self._listed: tuple[Json, ...] = ()  # the list of runs as it was last
        self._locks: dict[str, tuple[float, bool]] = {}  # name -> time of a look at the lock, and whether it was held

    def summaries(self) -> tuple[Json, ...]:
        """A summary of every readable run, the newest first; the same object where nothing changed."""
        now = clock.monotonic()
        if now < self._until:
            return self._listed
        found = dict(reading.runs(self.root))
        for name in self._summaries.keys() - found.keys():
            self._summaries.pop(name, None)
            self._locks.pop(name, None)
        listed = [summary for name, stamp in found.items() if (summary := self._summary(name, stamp)) is not None]
        listed.sort(key=lambda summary: str(summary["started"]), reverse=True)
        if len(listed) != len(self._listed) or any(map(operator.is_not, listed, self._listed)):
            self._listed = tuple(listed)
        if len(found) > MANY:
            then, now = now, clock.monotonic()
            self._until = now + min(SECONDS, (now - then) / SHARE)
        return self._listed

    def directory(self, name: str) -> Path:
        """The folder of a run. Raises Missing."""
        return reading.find(self.root, name)

    def info(self, name: str) -> Json:
        """The content of run.json, its texts shortened and its numbers finite. Raises Missing."""
        return plain(reading.read_json(self.root, self.directory(name) / "run.json"))  # type: ignore[no-any-return]

    def summary(self, name: str) -> Json:
        """The summary of a run. Raises Missing."""
        stamp = reading.stamp(str(self.directory(name)))
        summary = self._summary(name, stamp) if stamp else None
        if summary is None:
            raise Missing(f"run.json of {name} does not describe a run")
        return summary

    def details(self, name: str) -> Json:
        """Everything about a run but its logs and pictures. Raises Missing."""
        directory, info, summary = self.directory(name), self.info(name), self.summary(name)
        kind = KINDS.get(str(info.get("kind")))
        report = dict(_object(info.get("result")))
        with suppress(Missing):
            report |= plain(reading.read_json(self.root, directory / "report.json"))
        metrics: list[str] = []
        with suppress(Missing):
            metrics = logs.names(self.root, directory / "metrics.jsonl")
        return {
            **summary,
            **{fact: info.get(fact) for fact in FACTS},
            "command": command(info.get("argv")),
            "report": report,
            "pictures": self.pictures(directory),
            "metrics": metrics,
            "panels": panels(info),
            "axes": [asdict(panel) for panel in kind.panels] if kind else [],
            "time_label": kind.time if kind else "steps",
            "portraits": portrait_times(directory),
        }

    def log(self, name: str, log: str, after: int = 0, identity: str = "", points: int = 0) -> Json:
        """New lines of a log, as `logs.read`; no lines without such a log. Raises Missing without the run."""
        directory = self.directory(name)
        try:
            expected = _object(self.info(name).get("lines")).get(logs.LOGS[log]) if points else 0
            count = expected if isinstance(expected, int) else 0
            return dict(vars(logs.read(self.root, directory / logs.LOGS[log], after, identity, points, count)))
        except Missing:
            return dict(vars(logs.Answer("", 0, bool(identity), [], False)))

    def pictures(self, directory: Path) -> dict[str, list[int]]:
        """Name of each picture or film, and the times of those that are drawn through a training."""
        found: dict[str, list[int]] = {}
        with suppress(OSError), os.scandir(directory) as entries:
            for entry in entries:
                if entry.name.startswith(".") or not entry.name.isprintable():
                    continue
                if entry.is_file(follow_symlinks=False) and entry.name.endswith(PICTURES):
                    found[entry.name] = []
                elif entry.is_dir(follow_symlinks=False):
                    with suppress(OSError):
                        files = (Path(name) for name in os.listdir(entry.path))  # noqa: PTH208 # names alone
                        times = [int(f.stem) for f in files if f.suffix == ".png" and f.stem.isdecimal()]
                        if times:
                            found[entry.name] = sorted(times)
        return dict(sorted(found.items()))

    def picture(self, name: str, picture: str, time: str = "") -> Path:
        """The path of a picture: a file in the folder of the run, or one per time in a folder of it. Raises Missing."""
        directory = self.directory(name)
        times = self.pictures(directory).get(picture)
        if times == [] and not time:
            return directory / picture
        if times and time.isascii() and time.isdecimal() and len(time) < 20 and int(time) in times:
            return next(path for path in (directory / picture).glob("*.png") if _is_at(path, int(time)))
        raise Missing(f"{name} has no picture {picture} {time}".rstrip())

    def _summary(self, name: str, stamp: Stamp) -> Json | None:
        known = self._summaries.get(name)
        if known is None or known[0] != stamp:
            directory = self.root / name
            try:
                summary = _summary(name, directory, plain(reading.read_json(self.root, directory / "run.json")))
            except Missing:
                summary = None
            known = self._summaries[name] = (stamp, summary)
        summary = known[1]
        if summary is None or not summary["active"]:
            return summary
        status = summary["active"] if self._alive(name) else "stale"
        if status != summary["status"]:
            summary = {**summary, "status": status}
            self._summaries[name] = (stamp, summary)
        return summary

    def _alive(self, name: str) -> bool:
        """Whether a process trains this run; its lock is tried every few seconds only, for that may delay a resume."""
        now = clock.monotonic()
        then, held = self._locks.get(name, (-math.inf, False))
        if now - then >= LOCK_SECONDS:
            lock = self.root / name / "run.lock"
            held = lock.is_file() and not lock.is_symlink() and Folder(lock.parent).locked()
            self._locks[name] = (now, held)
        return held


def plain(value: Any, depth: int = 0) -> Any:
    """JSON of others with finite numbers, visible characters alone, and texts of at most `LETTERS` letters."""
    if isinstance(value, str):
        return visible(value if len(value) <= LETTERS else f"{value[:LETTERS]}…")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):  # a number that JSON has, but no 64 bits
        return value if abs(value) < 2**63 else None
    if isinstance(value, Mapping):
        return {visible(key[:LETTERS]): plain(part, depth + 1) for key, part in value.items()} if depth < 20 else None
    if isinstance(value, list):
        return [plain(part, depth + 1) for part in value] if depth < 20 else None
    return value


def command(argv: Any) -> str:
    """The command line that repeats a run; empty where run.json has none."""
    import shlex

    if not isinstance(argv, list) or not argv:
        return ""
    return shlex.join(["rlgen", *map(str, argv[1:])])


def portrait_times(directory: Path) -> list[int]:
    """Times at which a run kept its weights alone."""
    try:
        names = os.listdir(directory / "portraits")  # noqa: PTH208 # names alone
    except OSError:
        return []
    return sorted(int(name) for name in names if name.isascii() and name.isdecimal() and len(name) < 20)


def _summary(name: str, directory: Path, info: Json) -> Json | None:
    """The row of a run in the list of runs; None for a file that does not describe a run of this program."""
    if not isinstance(info.get("algorithm"), str) or not isinstance(info.get("task"), str):
        return None
    kind = KINDS.get(str(info.get("kind")))
    plan, config, result = (_object(info.get(part)) for part in ("plan", "config", "result"))
    return {
        "name": name,
        "status": str(info.get("status", "unknown")),
        "active": info["status"] if info.get("status") in ACTIVE else "",  # the status unless its process has died
        "error": info.get("error"),
        "kind": kind.name if kind else "",
        "algorithm": info["algorithm"],
        "task": info["task"],
        "preset": info.get("preset"),
        "seed": info.get("seed"),
        "seeds": config.get("seeds", 1),
        "started": info.get("created"),
        "updated": info.get("updated"),
        "seconds": info.get("seconds"),
        "time": _number(info.get("time")),
        "unit": kind.unit if kind else "steps",
        "budget": _number(plan.get("budget")),
        "score": _number(result.get("score")),
        "score_name": kind.panels[0].value if kind else "",
        "score_format": kind.score if kind else "",
        "best": _number(info.get("best")),
        "best_time": _number(info.get("best_time")),
        "settings": _object(info.get("changed")),
        **{"tags": [], "note": "", **_labels(directory)},
        "portraits": len(portrait_times(directory)),
    }


def _labels(directory: Path) -> Json:
    """Note and tags of a run, from a file of moderate size."""
    path = directory / labels.FILE
    try:
        state = path.stat(follow_symlinks=False)
    except OSError:
        return {}
    readable = stat.S_ISREG(state.st_mode) and state.st_size <= reading.JSON_BYTES
    return plain(labels.read(directory)) if readable else {}


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _is_at(path: Path, time: int) -> bool:
    return path.stem.isdecimal() and int(path.stem) == time
