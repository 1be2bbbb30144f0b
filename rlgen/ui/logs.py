"""Logs of a run, read from where the last reading ended; long ones thinned to the extremes of each part."""

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from rlgen.core.former_names import METRICS, current_metrics
from rlgen.core.logs import Reader, is_intact
from rlgen.ui.reading import open_file

LOGS = {"log": "metrics.jsonl", "timing": "timing.jsonl", "episodes": "episodes.jsonl"}  # by their names in addresses
LINE = 2**16  # bytes of the first line of a log, at most
CHUNK = 2**19  # bytes that are read at a time
HELD = 2**23  # bytes of text of the rows that are held for thinning, at most
EDGE = 2**17  # bytes at the start and the end of a log that are searched for names of metrics
NAMES, LENGTH, SEEDS = 200, 100, 1_000  # metrics of a line, letters of a name and seeds of a metric, at most
LARGEST = 1e300  # size of a number
FORMER = frozenset(METRICS)
ONE_AT_A_TIME = threading.Lock()  # whole logs are read one after the other, which takes less memory and no more time

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
    lost: int = 0  # lines that are damaged, and with the whole log those that are missing


def read(root: Path, path: Path, after: int = 0, identity: str = "", points: int = 0, expected: int = 0) -> Answer:
    """The lines of the log after byte `after` of the file `identity`, at most `CHUNK` bytes; all from another file.

    Lines that are no metrics are left out, an incomplete last one until it is complete. With `points`, a first answer
    and one after a restart hold the whole log, thinned; it had at least `expected` lines. Raises Missing without a log.
    """
    with open_file(root, path) as file:
        state = os.fstat(file.fileno())
        current = f"{state.st_dev:x}-{state.st_ino:x}"
        restart = identity != current or not 0 <= after <= state.st_size
        if restart and points:
            with ONE_AT_A_TIME:
                return _thinned(file, current, points, expected, singles=path.name == LOGS["episodes"])
        offset, reader = 0 if restart else after, Reader()
        reader.checked = offset > 0 and is_intact(file.readline(LINE)[:-1])
        lines, offset = _chunk(file, offset)
        rows = list(_rows(lines, reader))
        return Answer(current, offset, restart, rows, offset + CHUNK // 2 < state.st_size, 1, reader.damaged)


def names(root: Path, path: Path) -> list[str]:
    """Names of the metrics at the start and the end of a log, sorted."""
    with open_file(root, path) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(EDGE)
        if size > EDGE:
            file.seek(max(EDGE, size - EDGE))
            content += b"\n" + file.read(EDGE)
    return sorted({name for row in _rows(content.split(b"\n"), Reader()) for name in row} - {"time"})


def thin(rows: Sequence[Row], points: int) -> list[Row]:
    """Of each metric at most `points` values and the last: the extremes of points / 2 parts of equal duration.

    Of several seeds, rows with the least and the largest value of any seed are kept. Rows are in order of time.
    """
    start, end = rows[0]["time"], rows[-1]["time"]
    width = (end - start) / max(1, points // 2) or 1.0
    parts = [int((row["time"] - start) / width) for row in rows]
    places: dict[str, list[int]] = {}  # metric -> rows
    for i, row in enumerate(rows):
        for name in row:
            if name in places:
                places[name].append(i)
            else:
                places[name] = [i]
    del places["time"]
    few = {name for name, found in places.items() if len(found) <= points}
    kept: dict[int, set[str]] = {}  # row -> metrics
    for name, found in places.items():
        if name not in few:
            for i in _extremes(rows, name, found, parts):
                kept.setdefault(i, set()).add(name)
    thinned = []
    for i, row in enumerate(rows):
        chosen = kept.get(i, ())
        remaining = {name: value for name, value in row.items() if name in chosen or name in few}
        if remaining:
            thinned.append({"time": row["time"], **remaining})
    return thinned


def _extremes(rows: Sequence[Row], name: str, places: Sequence[int], parts: Sequence[int]) -> set[int]:
    """The rows among `places` with the least and the largest value of each part, and the last row."""
    found = {places[-1]}
    part, least, largest, low, high = -1, -1, -1, 0.0, 0.0
    for i in places:
        value = rows[i][name]
        if value.__class__ is list:
            known = [v for v in value if v is not None]
            if not known:
                continue
            smallest, biggest = min(known), max(known)
        else:
            smallest = biggest = value
        if parts[i] != part:
            if part >= 0:
                found.update((least, largest))
            part, least, largest, low, high = parts[i], i, i, smallest, biggest
            continue
        if smallest < low:
            low, least = smallest, i
        if biggest > high:
            high, largest = biggest, i
    if part >= 0:
        found.update((least, largest))
    return found


def _thinned(file: BinaryIO, identity: str, points: int, expected: int, singles: bool) -> Answer:
    """The whole log, thinned whenever six times as many rows as `points` are held.

    The extremes of extremes are those of all values. Of `singles`, rows of single events, every k-th is kept: their
    running mean stays what it is.
    """
    rows: list[Row] = []
    offset, held, every, count, reader = 0, 0, 1, 0, Reader()
    while True:
        lines, end = _chunk(file, offset)
        if end == offset:
            break
        held += end - offset  # bytes of text of the rows
        offset = end
        for row in _rows(lines, reader):
            if count % every == 0:
                rows.append(row)
            count += 1
            if len(rows) > 6 * points:
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
    return Answer(identity, offset, True, rows, False, every, reader.lost(expected))


def _time(row: Row) -> float:
    return float(row["time"])


def _chunk(file: BinaryIO, offset: int) -> tuple[list[bytes], int]:
    """Complete lines from byte `offset` on, and the byte after them; of a line longer than a chunk nothing."""
    file.seek(offset)
    content = file.read(CHUNK)
    end = content.rfind(b"\n") + 1
    if not end and len(content) == CHUNK:
        return [], offset + CHUNK
    return content[: end - 1].split(b"\n") if end else [], offset + end


def _rows(lines: Sequence[bytes], reader: Reader) -> Iterator[Row]:
    """The undamaged lines that are metrics with a time."""
    for value in reader.rows(lines):
        row = _row(value)
        if row is not None:
            yield row


def _row(values: dict[str, Any]) -> Row | None:
    """A line by current names of metrics, with finite numbers alone; None without a time."""
    if not _finite(values.get("time")):
        return None
    if not FORMER.isdisjoint(values):
        values = current_metrics(values)
    for value in values.values():
        if (value.__class__ is not float and value.__class__ is not int) or not -LARGEST < value < LARGEST:
            break
    else:
        if len(values) <= NAMES and max(map(len, values)) <= LENGTH:
            return values
    kept: Row = {}
    for name, value in values.items():
        if value.__class__ is float:
            if -LARGEST < value < LARGEST:
                kept[name] = value
        elif value.__class__ is list:
            if 0 < len(value) <= SEEDS:
                kept[name] = [v if _finite(v) else None for v in value]
        elif _finite(value):
            kept[name] = value
    if len(kept) > NAMES or any(len(name) > LENGTH for name in kept):
        kept = {"time": kept["time"], **{name[:LENGTH]: kept[name] for name in list(kept)[:NAMES]}}
    return kept


def _finite(value: Any) -> bool:
    """Whether this is a number, and not infinite or NaN."""
    kind = value.__class__
    return (kind is float or kind is int) and -LARGEST < value < LARGEST
