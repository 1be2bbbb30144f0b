"""Logs of a run, read from where the last reading ended; long ones thinned to the extremes of each part."""

import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from rlgen.core.former_names import current_metrics
from rlgen.ui.reading import open_file

LOGS = {"log": "metrics.jsonl", "timing": "timing.jsonl", "episodes": "episodes.jsonl"}  # by their names in addresses
CHUNK = 2**21  # bytes that are read at a time
HELD = 2**23  # bytes of text of the rows that are held for thinning, at most
EDGE = 2**17  # bytes at the start and the end of a log that are searched for names of metrics
NAMES, LENGTH, SEEDS = 200, 100, 1_000  # metrics of a line, letters of a name and seeds of a metric, at most
LARGEST = 1e300  # size of a number

Row = dict[str, Any]  # "time" and metrics: a number, or a list of one number or None per seed


@dataclass(frozen=True)
class Answer:
    """New lines of a log: what the page receives."""

    id: str  # of the file; that of a resumed run is another one
    offset: int  # bytes up to the end of the last line that was read
    restart: bool  # whether earlier lines are void: the file was replaced or is shorter
    rows: list[Row]
    more: bool  # whether there are further lines
    every: int = 1  # of so many lines one is kept; extremes are kept besides where it is 1


def read(root: Path, path: Path, after: int = 0, identity: str = "", points: int = 0) -> Answer:
    """The lines of the log after byte `after` of the file `identity`, at most `CHUNK` bytes; all from another file.

    Lines that are no metrics are left out, an incomplete last one until it is complete. With `points`, a first answer
    and one after a restart hold the whole log, thinned. Raises Missing without a log.
    """
    with open_file(root, path) as file:
        state = os.fstat(file.fileno())
        current = f"{state.st_dev:x}-{state.st_ino:x}"
        restart = identity != current or not 0 <= after <= state.st_size
        if restart and points:
            return _thinned(file, current, points, singles=path.name == LOGS["episodes"])
        offset = 0 if restart else after
        lines, offset = _chunk(file, offset)
        return Answer(current, offset, restart, list(_rows(lines)), offset + CHUNK // 2 < state.st_size)


def names(root: Path, path: Path) -> list[str]:
    """Names of the metrics at the start and the end of a log, sorted."""
    with open_file(root, path) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(EDGE)
        if size > EDGE:
            file.seek(max(EDGE, size - EDGE))
            content += b"\n" + file.read(EDGE)
    return sorted({name for row in _rows(content.splitlines()) for name in row} - {"time"})


def thin(rows: Sequence[Row], points: int) -> list[Row]:
    """Of each metric at most `points` values and the last: the extremes of points / 2 parts of equal duration.

    Of several seeds, rows with the least and the largest value of any seed are kept. Rows are in order of time.
    """
    start, end = rows[0]["time"], rows[-1]["time"]
    width = (end - start) / max(1, points // 2) or 1.0
    extremes: dict[str, dict[int, list[Any]]] = {}  # metric -> part -> least, its row, largest, its row
    counts: dict[str, int] = {}
    last: dict[str, int] = {}
    for i, row in enumerate(rows):
        part = int((row["time"] - start) / width)
        for name, value in row.items():
            if name == "time":
                continue
            counts[name] = counts.get(name, 0) + 1
            last[name] = i
            if value.__class__ is list:
                known = [v for v in value if v is not None]
                if not known:
                    continue
                low, high = min(known), max(known)
            else:
                low = high = value
            parts = extremes.setdefault(name, {})
            found = parts.get(part)
            if found is None:
                parts[part] = [low, i, high, i]
                continue
            if low < found[0]:
                found[0], found[1] = low, i
            if high > found[2]:
                found[2], found[3] = high, i
    kept: dict[int, set[str]] = {}  # row -> metrics
    for name, count in counts.items():
        if count > points:
            for _, least, _, largest in extremes.get(name, {}).values():
                kept.setdefault(least, set()).add(name)
                kept.setdefault(largest, set()).add(name)
            kept.setdefault(last[name], set()).add(name)
    few = {name for name, count in counts.items() if count <= points}
    thinned = []
    for i, row in enumerate(rows):
        chosen = kept.get(i, few)
        found_here = {name: value for name, value in row.items() if name in few or name in chosen}
        if found_here:
            thinned.append({"time": row["time"], **found_here})
    return thinned


def _thinned(file: BinaryIO, identity: str, points: int, singles: bool) -> Answer:
    """The whole log, thinned whenever four times as many rows as `points` are held.

    The extremes of extremes are those of all values. Of `singles`, rows of single events, every k-th is kept: their
    running mean stays what it is.
    """
    rows: list[Row] = []
    offset, held, every, count = 0, 0, 1, 0
    while True:
        lines, end = _chunk(file, offset)
        if end == offset:
            break
        held += end - offset  # bytes of text of the rows
        offset = end
        for row in _rows(lines):
            if count % every == 0:
                rows.append(row)
            count += 1
            if len(rows) >= 4 * points + 4:
                before = len(rows)
                if singles:
                    rows, every = rows[::2], 2 * every
                else:
                    rows = thin(sorted(rows, key=_time), points)
                    rows = rows[:: 1 + len(rows) // (3 * points)]  # of many metrics at different times
                held = held * len(rows) // before
        while held > HELD and len(rows) > 2:
            rows, held, every = rows[::2], held // 2, 2 * every
    if len(rows) > points and not singles:
        rows = thin(sorted(rows, key=_time), points)
    return Answer(identity, offset, True, rows, False, every)


def _time(row: Row) -> float:
    return float(row["time"])


def _chunk(file: BinaryIO, offset: int) -> tuple[list[bytes], int]:
    """Complete lines from byte `offset` on, and the byte after them; of a line longer than a chunk nothing."""
    file.seek(offset)
    content = file.read(CHUNK)
    end = content.rfind(b"\n") + 1
    if not end and len(content) == CHUNK:
        return [], offset + CHUNK
    return content[:end].splitlines(), offset + end


def _rows(lines: Iterable[bytes]) -> Iterator[Row]:
    """The lines that are metrics with a time."""
    lines = list(lines)
    try:
        values: Iterable[Any] = json.loads(b"[" + b",".join(lines) + b"]")  # four times as fast as line by line
    except (ValueError, RecursionError):
        values = chain.from_iterable(map(_values, lines))
    for value in values:
        row = _row(value) if isinstance(value, dict) else None
        if row is not None:
            yield row


def _values(line: bytes) -> list[Any]:
    try:
        return [json.loads(line)]
    except (ValueError, RecursionError):
        return []


def _row(values: dict[str, Any]) -> Row | None:
    """A line by current names of metrics, with finite numbers alone; None without a time."""
    if not _finite(values.get("time")):
        return None
    row: Row = {}
    for name, value in current_metrics(values).items():
        if value.__class__ is list:
            if 0 < len(value) <= SEEDS:
                row[name[:LENGTH]] = [v if _finite(v) else None for v in value]
        elif _finite(value):
            row[name[:LENGTH]] = value
        if len(row) >= NAMES:
            break
    return row if "time" in row else None


def _finite(value: Any) -> bool:
    """Whether this is a number, and not infinite or NaN."""
    kind = value.__class__
    return (kind is float and math.isfinite(value)) or (kind is int and abs(value) < LARGEST)
