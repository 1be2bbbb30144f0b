"""Studies in a folder of runs: each a folder with a study.json, and with runs of its own. Imports no numpy."""

from pathlib import Path

from rlgen.core import files
from rlgen.core.errors import UserError

FILE = "study.json"
LOCK = "study.lock"  # held by a process while it begins a run of the study


def is_study(directory: Path) -> bool:
    """Whether this is the folder of a study."""
    return files.is_file(directory / FILE)


def directories(runs: Path) -> list[Path]:
    """The folders of the studies in `runs`, by name."""
    return sorted(path.parent for path in runs.glob(f"*/{FILE}") if path.parent.name[0] != "." and files.is_file(path))


def named(runs: Path, name: str) -> Path | None:
    """The folder of the study at the path `name`, or of this name in `runs` in any case; None without one."""
    alike = (path for path in directories(runs) if path.name.lower() == name.lower())
    return next((path for path in (Path(name), *alike) if is_study(path)), None)


def refuse(runs: Path, name: str) -> None:
    """Raise UserError where `name` is a study and a run is wanted."""
    if study := named(runs, name):
        first = next((path.parent.name for path in sorted(study.glob("*/run.json"))), None)
        some = f", such as {study.name}/{first}," if first else ""
        raise UserError(f"{name} is a study, not a run: name one of its runs{some} or `rlgen sweep show {name}`")


def title(directory: Path) -> str:
    """The name of a run; that of its study before it where it is of one."""
    parent = directory.absolute().parent
    return f"{parent.name}/{directory.name}" if is_study(parent) else directory.name
