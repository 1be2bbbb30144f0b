"""The final report in a run folder, `report.json`, and its pictures. Imports no torch."""

import json
import math
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from rlgen.core.errors import UserError
from rlgen.core.files import is_file, json_object, replacing
from rlgen.core.folder import Folder
from rlgen.kinds import KINDS

FILE = "report.json"


def write(directory: Path, report: Mapping[str, Any]) -> None:
    """Keep the numbers of a report, what `rlgen eval --json` prints, in a run folder; infinity and NaN become null."""
    with replacing(directory / FILE) as partial:
        partial.write_text(json.dumps(_finite(report), allow_nan=False) + "\n")


def draw(directory: Path) -> list[Path]:
    """Draw the report of a run folder by the module its kind names; returns the paths, none without a report."""
    info, path = Folder(directory).info, directory / FILE
    kind = KINDS.get(info.get("kind", ""))
    if kind is None or not kind.pictures or not is_file(path):
        return []
    task = info["task"]
    name = Path(task).name if task.startswith("folder:") else task
    report, pictures = json_object(path, finite=False), import_module(kind.pictures)
    try:
        paths: list[Path] = pictures.draw(report, directory, f"{info['algorithm']} on {name}")
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        raise UserError(f"{path} holds no report of this rlgen: `rlgen eval` scores the run again") from None
    return paths


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
