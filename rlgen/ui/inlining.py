"""`rlgen report`: the page with its data in one file, which needs no server and sends no request."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rlgen import __version__
from rlgen.core.files import replacing
from rlgen.ui import document, logs, reading
from rlgen.ui.api import Api, dump
from rlgen.ui.shrinking import Picture, fit

BYTES = 5_000_000  # of a report, at most
LOG_BYTES = 1_500_000  # of all logs of a report
POINTS = 2_000  # rows of a log, at most
DRAWN = ("curves.png",)  # pictures that the page draws itself, from the logs
LOCAL = ("argv", "setup")  # facts of this machine that nobody else needs
UNRESERVED = "!~*'()"  # letters that encodeURIComponent of JavaScript leaves as they are

Json = dict[str, Any]


def write(directories: Sequence[Path], out: Path, limit: int = BYTES) -> list[str]:
    """Write the page of these runs to `out`; returns what was left out or reduced to stay below `limit` bytes.

    Raises Missing where a run cannot be read.
    """
    data: Json = {}
    listed: list[Json] = []
    pictures: list[Picture] = []
    tables: list[tuple[str, Json]] = []
    for name, api, own in _named(directories):
        details = {key: value for key, value in api.runs.details(own).items() if key not in LOCAL}
        details |= {"name": name, "panels": [], "portraits": []}
        path = f"/api/runs/{quote(name, safe=UNRESERVED)}"
        pictures += [
            _picture(api, own, path, picture, time)
            for picture, times in details["pictures"].items()
            for time in times or [None]
            if picture not in DRAWN
        ]
        tables += [(f"{path}/{log}", api.runs.log(own, log, points=POINTS)) for log in logs.LOGS]
        data[path] = details
        listed.append(api.runs.summary(own) | {"name": name, "portraits": 0})
    data["/api/runs"] = {"runs": listed, "folder": ""}
    notes = _thin(tables)
    data.update(tables)
    title = f"rlgen: {', '.join(run['name'] for run in listed[:3])}" + (" and others" if len(listed) > 3 else "")
    used = len(document.inlined(title, dump(data).decode(), "")) + 4_000
    kept, more = fit(pictures, limit - used)
    notes += more
    for path, details in data.items():
        if "pictures" in details:
            details["pictures"] = _kept(details["pictures"], path, kept)
    data.update(kept)
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    lines = [f"Report of rlgen {__version__}, {made}.", *(f"Left out: {note}." for note in notes)]
    text = document.inlined(title, document.escaped(dump(data).decode()), " ".join(lines))
    with replacing(out) as partial:
        partial.write_text(text, "utf-8")
    return notes


def _named(directories: Sequence[Path]) -> list[tuple[str, Api, str]]:
    """Each run once: its name in the report, which is unique, and its name below the folder that it is in."""
    found: list[tuple[str, Api, str]] = []
    taken: set[str] = set()
    for directory in {path.resolve(): None for path in directories}:
        name, number = directory.name, 2
        while name in taken:
            name, number = f"{directory.name} ({number})", number + 1
        taken.add(name)
        found.append((name, Api(directory.parent), directory.name))
    return found


def _picture(api: Api, run: str, path: str, picture: str, time: int | None) -> Picture:
    """A picture of a run, unread."""
    address = "/".join((path, "picture", quote(picture, safe=UNRESERVED), *([] if time is None else [str(time)])))
    file = api.runs.picture(run, picture, "" if time is None else str(time))
    return Picture(address, f"{path} {picture}", time, lambda: _content(api, file), file.stat().st_size, file.suffix)


def _content(api: Api, file: Path) -> bytes:
    with reading.open_file(api.runs.root, file) as opened:
        return opened.read()


def _thin(tables: Sequence[tuple[str, Json]]) -> list[str]:
    """Halve the points of the longest logs until all take less than `LOG_BYTES`; what was done in words."""
    sizes = [len(dump(log)) for _, log in tables]
    points = [POINTS] * len(tables)
    while sum(sizes) > LOG_BYTES:
        longest = max(range(len(tables)), key=sizes.__getitem__)
        path, log = tables[longest]
        if len(log["rows"]) < 8:
            break
        points[longest] //= 2
        if path.endswith("/episodes"):
            log["rows"], log["every"] = log["rows"][::2], 2 * log["every"]
        else:
            thinner = logs.thin(log["rows"], points[longest])
            log["rows"] = thinner if len(thinner) < 0.9 * len(log["rows"]) else log["rows"][::2]
        sizes[longest] = len(dump(log))
    return (
        ["points of the longest curves, of which the extremes are kept"] if min(points, default=POINTS) < POINTS else []
    )


def _kept(pictures: dict[str, list[int]], path: str, kept: dict[str, str]) -> dict[str, list[int]]:
    """The pictures of a run that are in the report, with their times."""
    found: dict[str, list[int]] = {}
    for picture, times in pictures.items():
        address = f"{path}/picture/{quote(picture, safe=UNRESERVED)}"
        remaining = [time for time in times if f"{address}/{time}" in kept]
        if remaining or (not times and address in kept):
            found[picture] = remaining
    return found
