"""The final report in a run folder, `report.json`, and its pictures. Imports no torch."""

import json
import math
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

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
    paths: list[Path] = import_module(kind.pictures).draw(
        json_object(path, finite=False), directory, f"{info['algorithm']} on {name}"
    )
    return paths


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
