"""Logs of a run: lines of JSON, each with its number and a checksum, so that damaged and missing lines are noticed.

The twelfth line of a log is {"time": 750, "loss": 0.5, "check": "12-1a2b3c4d"}: its number and, in hexadecimal, the
CRC-32 of all that stands before the checksum. Lines of earlier versions have no check, and readers of metrics see none.
"""

import json
import logging
import math
import os
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlgen.core import files
from rlgen.core.errors import StorageError
from rlgen.core.former_names import current_metrics

WRITTEN = ("metrics.jsonl", "timing.jsonl", "episodes.jsonl")  # during the training
QUALITY = "quality.jsonl"  # of portraits, measured later
CHECK = "check"  # name of the entry with the number and the checksum
REMAINS = re.compile(rb'"check"|-[0-9a-f]{8}"?}?$')  # what damage leaves of a check
END = 10  # bytes of a line after those under the checksum: its eight digits and `"}`
CHECKED = re.compile(rb', "check": "[1-9][0-9]*-[0-9a-f]{8}"}')  # end of a line
LARGEST = 2**30  # bytes of a log that are read
ASIDE = ".damaged"  # suffix of the file in which the damaged lines of a log are kept

Row = dict[str, Any]
log = logging.getLogger("rlgen")


@dataclass(frozen=True)
class Log:
    """The undamaged lines of a log, in their order."""

    lines: list[bytes] = field(default_factory=list)  # as they stand in the file, without the end of the line
    rows: list[Row] = field(default_factory=list)  # their values by current names, without the check
    numbers: list[int] = field(default_factory=list)  # from 1; those of lines without a check are counted
    damaged: list[bytes] = field(default_factory=list)  # whole lines that are none of these
    torn: bytes = b""  # what stands after the end of the last line
    checked: bool = False  # whether the lines have checks

    def lost(self, expected: int = 0) -> int:
        """How many lines are damaged or missing of a log that had `expected` lines, at least."""
        last = self.numbers[-1] if self.checked else len(self.lines) + len(self.damaged)
        return max(0, max(expected, last) - len(self.lines))


class Reader:
    """Rows of the lines of one log, a part of it at a time, and how many lines were damaged."""

    def __init__(self) -> None:
        self.checked = False  # whether a line with an undamaged check was seen
        self.count = 0  # rows so far
        self.damaged = 0  # lines so far that are no rows
        self.last = 0  # number in the latest check

    def rows(self, lines: Sequence[bytes]) -> list[Row]:
        """The rows of undamaged lines, without their checks."""
        return [row for _, _, row in self.entries(lines)]

    def entries(self, lines: Sequence[bytes]) -> list[tuple[bytes, int, Row]]:
        """Undamaged lines with their numbers and their rows."""
        intact = self.undamaged(lines)
        rows = _parsed(intact)
        found = []
        for line, row in zip(intact, rows, strict=True):
            if row.__class__ is not dict:
                self.damaged += 1
                continue
            self.count += 1
            self.last = _number(row.pop(CHECK, None)) or self.last + 1
            found.append((line, self.last, row))
        return found

    def undamaged(self, lines: Sequence[bytes]) -> list[bytes]:
        """Those that match their checks, with whole lines out of damaged ones; all of a log without checks."""
        intact = [line for line in lines if is_intact(line)]
        self.checked = self.checked or bool(intact)
        if not self.checked:
            former = [line for line in lines if not REMAINS.search(line[-40:])]
            self.damaged += len(lines) - len(former)
            return former
        if len(intact) == len(lines):
            return intact
        intact = []
        for line in lines:
            found = [line] if is_intact(line) else _within(line)
            self.damaged += not found or found != [line]
            intact += found
        return intact

    def lost(self, expected: int = 0) -> int:
        """How many lines are damaged or missing of a log read from its start, which had `expected` lines, at least."""
        last = self.last if self.checked else self.count + self.damaged
        return max(0, max(expected, last) - self.count)


def is_intact(line: bytes) -> bool:
    """Whether a line, without its end, matches its checksum."""
    return line[-END:] == b'%08x"}' % zlib.crc32(line[:-END])


def entry(row: Mapping[str, Any], number: int) -> bytes:
    """The line number `number` of a log, with its check and its end."""
    return with_check(json.dumps(row).encode(), number)


def with_check(line: bytes, number: int) -> bytes:
    """A JSON object as the line number `number` of a log, with its check and its end."""
    covered = b'%b, "check": "%d-' % (line.strip()[:-1], number)
    return b'%b%08x"}\n' % (covered, zlib.crc32(covered))


def read(path: Path) -> Log:
    """The log at `path`; an empty one where there is no file. Raises OSError where it cannot be read."""
    try:
        content = files.read_bytes(path, LARGEST)
    except FileNotFoundError:
        return Log()
    *lines, torn = content.split(b"\n")
    if torn and is_intact(torn):  # only the end of the line is missing
        lines, torn = [*lines, torn], b""
    reader = Reader()
    found = reader.entries(lines)
    whole = {line for line, _, _ in found}
    damaged = [line for line in lines if line not in whole] if reader.damaged else []
    intact, numbers, rows = ([*part] for part in zip(*found, strict=True)) if found else ([], [], [])
    return Log(intact, [current_metrics(row) for row in rows], numbers, damaged, torn, reader.checked)


def append(path: Path, rows: Iterable[Mapping[str, Any]], number: int) -> int:
    """Append rows as lines, the first of them number `number`; returns the number of the next.

    Raises OSError, with the file as it was, where the disk is full.
    """
    lines = [entry(row, i) for i, row in enumerate(rows, number)]
    with files.append(path) as file:
        size = os.fstat(file.fileno()).st_size
        left = b"".join(lines)
        try:
            while left:
                left = left[os.write(file.fileno(), left) :]
        except OSError:
            os.ftruncate(file.fileno(), size)
            raise
    return number + len(lines)


def cut_all(directory: Path, until: float, counts: Mapping[str, int]) -> dict[str, int]:
    """Leave of each log the lines up to a time, as many as `counts` says; returns the counts of those written.

    Before time 0 nothing is left. One warning says how many lines of which logs are lost. Raises StorageError where a
    log cannot be read.
    """
    found, lost = {}, []
    for name in (*WRITTEN, QUALITY):
        count = 0 if until < 0 else None if name == QUALITY or not counts else counts.get(name, 0)
        try:
            last, missing = cut(directory / name, until, count)
        except OSError as error:
            reason = error.strerror or error
            raise StorageError(f"cannot read {directory / name} ({reason}): repair or remove it") from None
        if last and name != QUALITY:
            found[name] = last
        if missing:
            aside = f"{name}{ASIDE}"
            kept = f", damaged ones kept in {aside}" if (directory / aside).exists() else ""
            lost.append(f"{missing:,} of {max(last, missing):,} lines of {name}{kept}")
    if lost:
        log.warning(f"damaged or missing, and left out from here on: {'; '.join(lost)}")
    return found


def cut(path: Path, until: float, count: int | None = None) -> tuple[int, int]:
    """Leave the first `count` lines of a log or, without a `count`, those of times up to `until`.

    Returns the number of the last line that is left, and how many lines of these are damaged or missing. Where one is,
    the damaged ones are appended to a file beside the log. Raises OSError where the log cannot be read or written.
    """
    found = read(path)
    if count is None:
        chosen = [_time(row) <= until for row in found.rows]
        kept = [line for line, is_kept in zip(found.lines, chosen, strict=True) if is_kept]
        count, lost = len(kept), found.lost()
    else:
        kept = [line for line, number in zip(found.lines, found.numbers, strict=True) if number <= count]
        lost = count - len(kept)
    if lost and found.damaged:
        with files.append(path.with_name(path.name + ASIDE)) as file:
            file.buffer.write(b"".join(line + b"\n" for line in found.damaged))
            file.flush()
            os.fsync(file.fileno())
    if path.exists():
        rewrite(path, kept)
    return count, lost


def rewrite(path: Path, lines: Sequence[bytes]) -> None:
    """Replace a log by `lines` in one step; those without a check receive theirs."""
    checked = (line + b"\n" if is_intact(line) else with_check(line, i) for i, line in enumerate(lines, 1))
    with files.replacing(path) as partial:
        partial.write_bytes(b"".join(checked))


def _time(row: Row) -> float:
    """The time of a row; infinity where it has none."""
    time = row.get("time")
    return time if isinstance(time, int | float) else math.inf


def _parsed(lines: Sequence[bytes]) -> list[Any]:
    """The value of each line, None for one that is no JSON: all at once or, where that fails, one by one."""
    try:
        values: list[Any] = json.loads(b"[" + b",".join(lines) + b"]")
        if len(values) == len(lines) and all(value.__class__ is dict for value in values):
            return values
    except (ValueError, RecursionError):
        pass
    return [_value(line) for line in lines]


def _value(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _number(check: Any) -> int:
    """The number in a check; 0 without one."""
    number = check.partition("-")[0] if isinstance(check, str) else ""
    return int(number) if number.isascii() and number.isdecimal() and len(number) < 20 else 0


def _within(line: bytes) -> list[bytes]:
    """Undamaged lines within a damaged one: those on both sides of a damaged end of a line."""
    found, start = [], 0
    for match in CHECKED.finditer(line):
        begin = line.find(b"{", start)
        if 0 <= begin < match.start() and is_intact(line[begin : match.end()]):
            found.append(line[begin : match.end()])
        start = match.end()
    return found
