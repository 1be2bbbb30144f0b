"""Event files that TensorBoard reads: records of TFRecord with masked CRC-32C, each an Event of protocol buffers.

Written here by hand: the package tensorboard would bring grpc, protobuf and a web server for what fifty lines write.
Formats: lib/io/record_writer.h, util/event.proto and framework/summary.proto in tensorflow/core.
"""

import math
import struct
import time as clock
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rlgen.core import files
from rlgen.core.files import storing
from rlgen.core.folder import Folder
from rlgen.core.leftovers import time_of

POLYNOMIAL = 0x82F63B78  # of CRC-32C (Castagnoli), reflected
FORMER = "events.out.tfevents.[0-9]*.rlgen"  # files of an earlier export
GREY, RGB = 1, 3  # colour spaces of an image


def _table() -> list[int]:
    found = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (POLYNOMIAL if byte & 1 else 0)
        found.append(byte)
    return found


TABLE = _table()


def crc32c(data: bytes) -> int:
    """CRC-32C of bytes. RFC 3720, appendix B.4."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def record(data: bytes) -> bytes:
    """Length, its masked CRC, the data, their masked CRC."""
    length = struct.pack("<Q", len(data))
    return length + _masked(length) + data + _masked(data)


def _masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def _bytes(field: int, data: bytes) -> bytes:
    """A field of wire type 2: text, bytes or a message."""
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _integer(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number)


def _event(wall_time: float, step: int, field: int, content: bytes) -> bytes:
    return record(b"\x09" + struct.pack("<d", wall_time) + _integer(2, step) + _bytes(field, content))


def version(wall_time: float) -> bytes:
    """The first record of a file."""
    return _event(wall_time, 0, 3, b"brain.Event:2")


def scalars(wall_time: float, step: int, values: Mapping[str, float]) -> bytes:
    """A record with numbers by name."""
    content = b""
    for name, value in values.items():
        with np.errstate(over="ignore"):
            number = np.array(value, "<f4").tobytes()
        content += _bytes(1, _bytes(1, name.encode()) + b"\x15" + number)
    return _event(wall_time, step, 5, content)


def image(wall_time: float, step: int, name: str, png: bytes) -> bytes:
    """A record with a PNG, whose size and colours its header states."""
    width, height, _, colour = struct.unpack(">IIBB", png[16:26])
    header = _integer(1, height) + _integer(2, width) + _integer(3, GREY if colour == 0 else RGB)
    return _event(wall_time, step, 5, _bytes(1, _bytes(1, name.encode()) + _bytes(4, header + _bytes(4, png))))


class EventFiles:
    """The event files of a run in the folder `out`; of several seeds each has a folder of its own, `seed-0`, ...

    They hold every row of its log and every grid of samples. Called with a row, it writes what the log has by then:
    at the first row everything before it, so that a resumed run has no event of what was cut from its log.
    """

    def __init__(self, folder: Folder, out: Path | None = None) -> None:
        self.folder, self.out = folder, out or files.refuse_link(folder.directory / "tensorboard")
        self.files: dict[str, Path] = {}
        self.began = clock.time()
        self.drawn: set[Path] = set()
        self.started = False

    def __call__(self, time: int, row: Mapping[str, Any]) -> None:
        """Write a row of the log, which holds it already."""
        if self.started:
            self._write(clock.time(), time, row)
            self._draw(clock.time())
        else:
            self.export()

    def export(self) -> list[Path]:
        """Write the whole log anew, over former files; returns the paths."""
        newest = 0
        parts = (self.out, *(part for part in files.folders(self.out) if part.name.startswith("seed-")))
        with storing(f"replace the event files in {self.out}"):
            for path in (path for part in parts for path in part.glob(FORMER)):
                began = path.name.split(".")[3]
                if began.isdecimal() and len(began) < 19:
                    newest = max(newest, int(began))
                    path.unlink()
        self.began = max(clock.time(), newest + 1)  # a reader that is at the former file goes on to a later one
        self.files, self.drawn, self.started = {}, set(), True
        seconds = {row["time"]: row["seconds"] for row in self.folder.rows("timing.jsonl") if "seconds" in row}
        created = self.began - max(seconds.values(), default=0.0)
        elapsed = 0.0
        for row in self.folder.rows():
            elapsed = seconds.get(row["time"], elapsed)
            self._write(created + elapsed, int(row["time"]), row)
        self._draw(self.began)
        return sorted(self.files.values())

    def _write(self, wall_time: float, time: int, row: Mapping[str, Any]) -> None:
        """A row: numbers of one seed to the folder itself, those of several to the folders of the seeds."""
        parts: dict[str, dict[str, float]] = {}
        for name, value in row.items():
            if name == "time":
                continue
            several = isinstance(value, list)
            for seed, number in enumerate(value if several else [value]):
                if isinstance(number, int | float):
                    parts.setdefault(f"seed-{seed}" if several else "", {})[name] = number
        for part, values in parts.items():
            self._append(part, scalars(wall_time, time, values))

    def _draw(self, wall_time: float) -> None:
        """The grids of samples that are not yet there."""
        samples = self.folder.directory / "samples"
        pictures = samples.glob("*.png") if files.is_folder(samples) else ()
        paths = (path for path in pictures if time_of(path.stem) is not None and files.is_file(path))
        for path in sorted(set(paths) - self.drawn):
            self._append("", image(wall_time, int(path.stem), "samples", files.read_bytes(path)))
            self.drawn.add(path)

    def _append(self, part: str, data: bytes) -> None:
        with storing(f"write event files to {self.out}"):
            if part not in self.files:
                path = self.out / part / f"events.out.tfevents.{math.ceil(self.began)}.rlgen"
                files.refuse_link(path.parent)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(version(self.began))
                self.files[part] = path
            with self.files[part].open("ab") as file:
                file.write(data)
