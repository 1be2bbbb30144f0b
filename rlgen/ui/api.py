"""Addresses of the page and what they answer: the same JSON for the server and for a report."""

import json
import math
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from rlgen.ui import comparing
from rlgen.ui.logs import LOGS
from rlgen.ui.reading import Missing
from rlgen.ui.runs import Runs

POINTS = 5_000  # rows of a thinned log, at most
WHOLE = 2**53  # integers up to here are exact in JavaScript


class Api:
    """Answers below /api/ about the runs of a folder."""

    def __init__(self, root: Path) -> None:
        self.runs = Runs(root)
        self._listed: tuple[Any, str] = (None, "")  # the list of runs as it was last, and its name
        self._prefix = secrets.token_hex(4)  # a page outlives a server

    def json(self, path: str, query: str = "") -> dict[str, Any]:
        """The JSON at a path. Raises Missing where there is nothing, ValueError for a query out of its range."""
        match parts(path):
            case ["api", "runs"]:
                return self._list(parse_qs(query, max_num_fields=8).get("id", [""])[0])
            case ["api", "compare"]:
                names = parse_qs(query, max_num_fields=50).get("run", [])
                return comparing.compare(self.runs.root, [self.runs.directory(name) for name in names])
            case ["api", "runs", name]:
                return self.runs.details(name)
            case ["api", "runs", name, log] if log in LOGS:
                given = parse_qs(query, max_num_fields=8)
                numbers = {key: _whole(given, key) for key in ("after", "points")}
                points = min(numbers["points"], POINTS)
                return self.runs.log(name, log, numbers["after"], given.get("id", [""])[0], points)
        raise Missing("there is nothing at this address")

    def _list(self, known: str) -> dict[str, Any]:
        """The summaries of all runs; `unchanged` for a page that knows them as `known`."""
        runs = self.runs.summaries()
        if runs is not self._listed[0]:
            number = int(self._listed[1].rpartition("-")[2] or 0) + 1
            self._listed = (runs, f"{self._prefix}-{number}")
        if known == self._listed[1]:
            return {"unchanged": True, "id": known}
        return {"runs": runs, "folder": str(self.runs.root), "id": self._listed[1]}

    def picture(self, path: str) -> Path | None:
        """The file of the picture at a path; None for a path of another form. Raises Missing without the picture."""
        match parts(path):
            case ["api", "runs", name, "picture", picture]:
                return self.runs.picture(name, picture)
            case ["api", "runs", name, "picture", picture, time]:
                return self.runs.picture(name, picture, time)
        return None


def parts(path: str) -> list[str]:
    """The parts of a path, decoded once: `a%2Fb` is the part `a/b`. Raises Missing for what is no valid text."""
    try:
        return [unquote(part, errors="strict") for part in urlsplit(path).path.split("/")[1:]]
    except ValueError:
        raise Missing("there is nothing at this address") from None


def dump(value: Any) -> bytes:
    """Strict JSON: numbers that are not finite become null."""
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False, separators=(",", ":")).encode()


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _whole(given: Mapping[str, list[str]], name: str) -> int:
    """The integer `name` of a query, 0 where it is missing. Raises ValueError for anything else."""
    text = given.get(name, ["0"])[0]
    if not (text.isascii() and text.isdecimal() and len(text) < 17 and int(text) <= WHOLE):
        raise ValueError(f"{name} must be a whole number")
    return int(text)
