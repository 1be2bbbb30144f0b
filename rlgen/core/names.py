"""Names of the folders of runs: those that a person may choose, and those made of the name of a task."""

import os
from pathlib import Path

from rlgen.core.errors import UserError

LONGEST = 100  # bytes of a name that a person chose, at most


def check(name: str) -> None:
    """Raise UserError where a run cannot have the name: it would be a path, or could not be typed again."""
    if Path(name).name != name or name.startswith(".") or "\\" in name:
        raise UserError(f"--name {name!r}: a name is not a path; choose the folder with --runs DIR")
    if name.lower() == "latest":
        raise UserError("--name latest: commands take this word for the newest run: choose another name")
    plain = name.isprintable() and name == name.strip() and not name.startswith("-")
    if not name or not plain or len(os.fsencode(name)) > LONGEST:
        raise UserError(
            f"--name {name[:LONGEST]!r}: a name has up to {LONGEST} printable characters, no space around them, and"
            " does not begin with -"
        )


def safe(task: str) -> str:
    """The name of a task in the name of a folder: `ALE-Pong-v5` for `ALE/Pong-v5`."""
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in task).strip("-.")


def number(name: str, stem: str) -> int:
    """7 for `stem-7`, 0 for anything else."""
    digits = name.removeprefix(f"{stem}-")
    return int(digits) if digits != name and digits.isascii() and digits.isdecimal() and len(digits) < 19 else 0
