"""Pictures and other single files, compared with their own checksums and with the inventory of the run."""

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from rlgen.core import files, inventory, seal
from rlgen.core.labels import FILE as LABELS
from rlgen.core.leftovers import time_of
from rlgen.verify.damage import Damage

SIGNATURE = b"\x89PNG\r\n\x1a\n"
DRAWN = {"curves.png": "`rlgen plot RUN` draws it again"}
AGAIN = "a resume with a larger --budget writes it again"


def check(directory: Path, found: Mapping[str, inventory.Entry] | None) -> Iterator[Damage]:
    """Damage to the pictures, the report, log.txt and the labels of the run in `directory`.

    `found` is its inventory; without one, only what has checksums of its own is checked.
    """
    known = found or {}
    for name, entry in known.items():
        if name.startswith(tuple(f"{kept}/" for kept in inventory.KEPT)):
            if not files.is_folder(directory / name):
                yield Damage(name, "is missing", "nothing: it is used no more")
        elif reason := _changed(directory / name, entry):
            yield Damage(name, reason, _saved(directory, name))
    for path in inventory.paths(directory):
        name = path.relative_to(directory).as_posix()
        if name not in known and path.suffix == ".png" and (reason := _unreadable(path)):
            yield Damage(name, reason, _saved(directory, name))
    if files.is_file(directory / LABELS):
        try:
            content = files.read_bytes(directory / LABELS)
            files.parse(content)
            intact = seal.is_intact(content)
        except (OSError, ValueError):
            intact = False
        if not intact:
            yield Damage(LABELS, "note and tags are damaged", "`rlgen note` and `rlgen tag` write them anew")


def is_png(content: bytes) -> bool:
    """Whether these are the bytes of a whole PNG: every chunk with its checksum, and nothing after the last."""
    place = len(SIGNATURE)
    if content[:place] != SIGNATURE:
        return False
    while place + 12 <= len(content):
        end = place + 8 + int.from_bytes(content[place : place + 4], "big")
        checksum = int.from_bytes(content[end : end + 4], "big")
        if end + 4 > len(content) or zlib.crc32(content[place + 4 : end]) != checksum:
            return False
        if content[place + 4 : place + 8] == b"IEND":
            return end + 4 == len(content)
        place = end + 4
    return False


def _changed(path: Path, entry: inventory.Entry) -> str | None:
    """Why a file is not as the inventory says; None for a picture that was drawn again, and for a longer log.txt."""
    try:
        content = files.read_bytes(path, inventory.LARGEST)
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    size = entry.get("size")
    grows = path.name == inventory.LOG or path.match(inventory.DAMAGED)
    if grows and isinstance(size, int):
        content = content[:size]
    if inventory.digest(content) == entry.get("sha256") or (path.suffix == ".png" and is_png(content)):
        return None
    return "does not match its checksum"


def _unreadable(path: Path) -> str | None:
    try:
        return None if is_png(files.read_bytes(path, inventory.LARGEST)) else "is no whole PNG"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"


def _saved(directory: Path, name: str) -> str:
    """What can be done about a damaged file."""
    if name in DRAWN:
        return DRAWN[name].replace("RUN", str(directory))
    return "nothing: it was drawn in the training" if time_of(Path(name).stem) is not None else AGAIN
