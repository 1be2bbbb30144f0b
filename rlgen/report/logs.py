"""Logs of runs as arrays, read in blocks of lines; damaged lines and values of foreign logs are left out."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rlgen.core import files, logs
from rlgen.core.description import logged
from rlgen.core.errors import UserError
from rlgen.core.folder import Folder
from rlgen.core.former_names import METRICS
from rlgen.core.terminal import visible
from rlgen.kinds import KINDS, Kind
from rlgen.report.statistics import Floats

Series = tuple[Floats, Floats]  # times (P,) in increasing order, and values (P,), or (P, S) of S seeds
Row = dict[str, Any]

BLOCK = 1 << 20  # bytes read at once
LONGEST = 1 << 24  # bytes of a line, beyond which the rest of a file is no log
LARGEST = 1e100  # magnitude of a number, beyond which sums would overflow
SEEDS = 1_000  # of a run, at most
LETTERS = 80  # of a name or value in a picture
TABLES = ("config", "plan", "result", "baselines")  # entries of run.json that are dictionaries


@dataclass(frozen=True)
class RunLog:
    """The log of one run. Its texts are single lines without control characters."""

    directory: Path
    info: dict[str, Any]  # run.json; algorithm and task are texts, config, plan and result dictionaries
    metrics: dict[str, Series]
    episodes: dict[int, Series]  # seed -> times and returns of its training episodes
    lost: int = 0  # lines of metrics.jsonl that are damaged or missing

    @property
    def name(self) -> str:
        """The name of the folder."""
        return shown(self.directory.name)

    @property
    def kind(self) -> Kind:
        """Agent, model or classifier."""
        return KINDS[self.info["kind"]]

    @cached_property
    def clock(self) -> Series | None:
        """Seconds of training at some times."""
        return columns(self.directory / "timing.jsonl")[0].get("seconds")

    @property
    def solved(self) -> bool:
        """Whether it ended early because an evaluation reached `stop_at`."""
        return self.info.get("status") == "finished" and self.info["time"] < self.info["plan"].get("budget", 0)

    @property
    def config(self) -> dict[str, Any]:
        """The settings without the seeds: equal for the runs of one experiment."""
        return {name: value for name, value in self.info["config"].items() if name not in ("seed", "seeds")}

    @property
    def known(self) -> dict[str, float]:
        """The final scores and baselines, and the last value of each metric, the mean over seeds, by name."""
        last = {name: float(np.nanmean(y[-1])) for name, (_, y) in self.metrics.items() if np.isfinite(y[-1]).any()}
        stored = {**(self.info["baselines"]), **self.info["result"]}
        return last | {name: float(value) for name, value in stored.items() if _is_number(value)}


def read(directory: Path) -> RunLog:
    """The log in a run folder, finished or not. Raises UserError where there is none."""
    if not (directory / "run.json").is_file():
        raise UserError(f"{directory} is not a run: it has no run.json. `rlgen runs` lists those there are")
    info = Folder(directory).info
    kind, algorithm, task = (info.get(name) for name in ("kind", "algorithm", "task"))
    if not (isinstance(kind, str) and kind in KINDS and isinstance(algorithm, str) and isinstance(task, str)):
        raise UserError(
            f"{directory} cannot be plotted: its run.json has no algorithm and task of a kind in the catalog"
        )
    metrics, lost = columns(directory / "metrics.jsonl", logged(info, "metrics.jsonl"))
    quality, _ = columns(directory / "quality.jsonl")
    if not metrics:
        if not directory.is_dir():
            raise UserError(f"{directory} was removed while its log was read")
        if lost:
            raise UserError(
                f"{directory} has no metrics: {lost:,} line{'s' * (lost > 1)} of metrics.jsonl damaged or missing;"
                f" `rlgen verify {directory}` says what can be saved"
            )
        raise UserError(f"{directory} has no metrics yet: plot it once the first line of its log is written")
    metrics |= {name: series for name, series in quality.items() if name.startswith("eval_") or name.endswith("_floor")}
    return RunLog(directory, _checked(info), metrics, _episodes(directory / "episodes.jsonl"), lost)


def columns(path: Path, expected: int = 0) -> tuple[dict[str, Series], int]:
    """Each metric of a log by its current name, the last value of each time; and the number of lines that are lost.

    Those are damaged ones and those missing of at least `expected`. Values that are no numbers are NaN, and a metric of
    no other values is left out. A missing file has none.
    """
    parts: dict[str, list[Series]] = defaultdict(list)
    reader = logs.Reader()
    for table in _tables(path, reader):
        found = {name: _floats(values) for name, values in table.items()}
        times = found.pop("time", np.zeros((0, 0)))
        if times.ndim == 1:
            for name, values in found.items():
                parts[METRICS.get(name, name)].append((times, values))
    joined = {shown(name): _joined(some) for name, some in parts.items()}
    return {name: series for name, series in joined.items() if np.isfinite(series[1]).any()}, reader.lost(expected)


def shown(value: object) -> str:
    """A name or value of a run as a short single line without control characters."""
    text = visible(str(value))
    return text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…"


def _tables(path: Path, reader: logs.Reader) -> Iterator[dict[str, tuple[Any, ...]]]:
    """The rows of a log in groups with equal names: name -> values."""
    for rows in _blocks(path, reader):
        groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
        for row in rows:
            groups[tuple(row)].append(row)
        for names, alike in groups.items():
            yield dict(zip(names, zip(*[row.values() for row in alike], strict=True), strict=True))


def _blocks(path: Path, reader: logs.Reader) -> Iterator[list[Row]]:
    """The rows of whole lines in blocks of the file."""
    try:
        file = files.opened(path)
    except OSError:
        return
    with file:
        rest = b""
        while block := file.read(BLOCK):
            rest += block
            end = rest.rfind(b"\n") + 1
            if end:
                yield reader.rows(rest[: end - 1].split(b"\n"))
                rest = rest[end:]
            elif len(rest) > LONGEST:
                reader.damaged += 1
                return


def _floats(values: Sequence[Any]) -> Floats:
    """Numbers (P,), or lists of S numbers (P, S), as the last value is; NaN for what has another form or no bounds."""
    try:
        found = np.array(values, np.float64)
    except (ValueError, TypeError, OverflowError):
        found = _fitting(values)
    if found.ndim > 2:
        found = np.full(len(values), np.nan)
    found = np.where(np.abs(found) <= LARGEST, found, np.nan)
    return found[:, :SEEDS] if found.ndim == 2 else found


def _fitting(values: Sequence[Any]) -> Floats:
    """Numbers in the form of the last value, NaN for values of another form."""
    if not isinstance(values[-1], list):
        return np.array([_number(value) for value in values])
    seeds = len(values[-1])
    fits = (isinstance(value, list) and len(value) == seeds for value in values)
    return np.array([[*map(_number, v)] if fit else [np.nan] * seeds for v, fit in zip(values, fits, strict=True)])


def _number(value: Any) -> float:
    return float(value) if _is_number(value) else np.nan


def _is_number(value: object) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 1 << 1000)


def _joined(parts: Sequence[Series]) -> Series:
    """One series of several with as many seeds as the last one: sorted by time, of equal times the last value."""
    shape = parts[-1][1].shape[1:]
    alike = [(times, values) for times, values in parts if values.shape[1:] == shape]
    times, values = np.concatenate([t for t, _ in alike]), np.concatenate([y for _, y in alike])
    finite = np.isfinite(times) & (times >= 0)
    if not (finite.all() and (np.diff(times) > 0).all()):
        times, values = times[finite], values[finite]
        order = np.argsort(times, kind="stable")
        times, values = times[order], values[order]
        last = np.append(np.diff(times) > 0, True)[: len(times)]
        times, values = times[last], values[last]
    return times, values


def _episodes(path: Path) -> dict[int, Series]:
    """Times and returns of the training episodes of each seed, in the order in which they ended."""
    parts: list[Floats] = []
    for table in _tables(path, logs.Reader()):
        found = [_floats(table[name]) for name in ("seed", "time", "return") if name in table]
        if len(found) == 3 and all(column.ndim == 1 for column in found):
            parts.append(np.stack(found, axis=1))
    rows = np.concatenate([np.zeros((0, 3)), *parts])
    rows = rows[np.isfinite(rows).all(axis=1) & (rows[:, 1] >= 0)]
    if (np.diff(rows[:, 1]) < 0).any():
        rows = rows[np.argsort(rows[:, 1], kind="stable")]
    seeds = rows[:, 0]
    return {int(seed): (rows[seeds == seed, 1], rows[seeds == seed, 2]) for seed in np.unique(seeds)}


def _checked(info: dict[str, Any]) -> dict[str, Any]:
    """The entries of a run.json that are read here, each of its type, with texts that can be shown."""
    tables = {name: info[name] if isinstance(info.get(name), dict) else {} for name in TABLES}
    tables["config"] = {shown(name): _setting(value) for name, value in tables["config"].items()}
    tables["plan"] = {name: value for name, value in tables["plan"].items() if _is_number(value)}
    numbers = {name: info[name] if _is_number(info.get(name)) else 0 for name in ("time", "seed")}
    texts = {name: shown(info.get(name, "unknown")) for name in ("status", "algorithm", "task")}
    return {**info, **tables, **numbers, **texts}


def _setting(value: object) -> object:
    """Numbers, true, false and none as they are; texts and structures as one line."""
    return value if value is None or _is_number(value) else visible(str(value))
