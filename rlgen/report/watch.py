"""A run as lines of text: its progress, its curves, its last samples."""

import time as clock
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from rlgen import catalog, kinds
from rlgen.core.description import logged
from rlgen.core.errors import UserError
from rlgen.core.folder import Folder
from rlgen.core.tail import Tail
from rlgen.core.terminal import visible
from rlgen.kinds import Kind
from rlgen.report import half_blocks, saved_grids
from rlgen.report.braille import Curve, chart
from rlgen.report.status import duration

LOCK = 5.0  # seconds between two looks at the lock of a run: a process in training takes it, too
SHORTEST = 5  # lines of a chart
PICTURE = 9  # lines of samples


class View:
    """What `rlgen watch` shows of a run. `update` reads what is new, `lines` lays it out."""

    def __init__(self, folder: Folder) -> None:
        self.folder, self.info = folder, folder.info
        self.metrics, self.timing = Tail(folder.directory / "metrics.jsonl"), Tail(folder.directory / "timing.jsonl")
        self.status = folder.status
        self.locked = clock.monotonic()

    @property
    def running(self) -> bool:
        """Whether a process trains the run."""
        return self.status == "running"

    @property
    def kind(self) -> Kind:
        """The kind of its algorithm. Raises UserError for one that is not in the catalog."""
        return catalog.find(str(self.info.get("algorithm"))).kind

    def update(self) -> None:
        """Read new rows and the state of the run. Raises UserError where the run is gone."""
        self.info = self.folder.info
        self.metrics.update()
        self.timing.update()
        if self.info.get("status") not in ("created", "running"):
            self.status = str(self.info.get("status"))
        elif clock.monotonic() - self.locked > LOCK:
            self.status, self.locked = self.folder.status, clock.monotonic()

    def lines(self, width: int, height: int, *, colour: bool = True, unicode: bool = True) -> list[Text]:
        """At most `height` lines of at most `width` columns; curves share what samples leave."""
        found = [self._title(width), self._progress(width, unicode)]
        panels = self._panels()
        picture = self._picture(width, min(PICTURE, height // 3), colour, unicode) if height >= 3 * SHORTEST else []
        room = height - len(found) - len(picture)
        count = min(len(panels), max(1, room // SHORTEST))
        for panel, curves in panels[:count]:
            found += chart(panel.value, curves, width, room // count, log=panel.axis == "log", unicode=unicode)
        if not panels:
            found.append(Text("no line of the log yet", "bright_black"))
        return [*found, *picture][:height]

    def _title(self, width: int) -> Text:
        info = self.info
        line = Text(no_wrap=True).append(visible(self.folder.name), "bold")
        line.append(visible(f"  {info.get('algorithm')} on {info.get('task')}  {self.status}"))
        if lost := self.metrics.lost(logged(self.info, "metrics.jsonl")):
            line.append(f"  {lost:,} line{'s' * (lost > 1)} of the log damaged or missing", "red")
        line.truncate(width)
        return line

    def _progress(self, width: int, unicode: bool) -> Text:
        """Time of the last row, a bar, the share of the budget, and the remaining time at the latest rate."""
        unit, rate = self.kind.unit, self.timing.rows[-1].get("rate", 0) if self.timing.rows else 0
        reached = self.metrics.rows[-1]["time"] if self.metrics.rows else 0
        budget = (self.info.get("plan") or {}).get("budget") or reached or 1
        share = min(1.0, reached / budget)
        words = [f"{reached:,.0f}/{budget:,} {unit}", f"{share:.0%}"]
        if self.running and isinstance(rate, int | float) and rate > 0:
            words += [f"{rate:,.0f} {unit}/s", f"{duration(max(0, budget - reached) / rate)} left"]
        text = "  ".join(words)
        room = width - len(text) - 2
        line = Text(no_wrap=True)
        if room >= 4:
            size = min(room, 40)
            full, empty = "━─" if unicode else "#-"
            filled = round(share * size)
            line.append(full * filled, "green").append(empty * (size - filled), "bright_black").append("  ")
        line.append(text)
        line.truncate(width)
        return line

    def _panels(self) -> list[tuple[kinds.Panel, list[Curve]]]:
        """The panels of the kind for which the log has values, with their curves."""
        columns = _columns(self.metrics.rows)
        found: list[tuple[kinds.Panel, list[Curve]]] = []
        for panel in self.kind.panels:
            curves = [
                Curve(label, *columns[metric], metric.startswith("eval_"))
                for metric, label in panel.metrics.items()
                if metric in columns
            ]
            if curves and not (panel.last_resort and found):
                found.append((panel, curves))
        return found

    def _picture(self, width: int, height: int, colour: bool, unicode: bool) -> list[Text]:
        """The newest grid of samples and its time; nothing without one, or where it cannot be read."""
        samples = self.folder.directory / "samples"
        paths = [path for path in samples.glob("*.png") if path.stem.isdigit()]
        if not paths or height < 4:
            return []
        newest = max(paths, key=lambda path: int(path.stem))
        try:
            picture, layout = saved_grids.read(newest, 8)
            pixels = half_blocks.cells(picture, layout, width, height - 1, min(half_blocks.SIDE, 2 * (height - 1)))
        except Exception:  # a picture of others, or one that is being replaced
            return []
        title = Text(f"samples after {int(newest.stem):,} {self.kind.unit}", "bold", no_wrap=True)
        title.truncate(width)
        return [title, *half_blocks.lines(pixels, colour=colour, unicode=unicode)]


def _columns(rows: list[dict[str, Any]]) -> Mapping[str, tuple[Any, Any]]:
    """Times (P,) and means over seeds (P,) of each metric."""
    found: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        for name, value in row.items():
            numbers = [x for x in (value if isinstance(value, list) else [value]) if isinstance(x, int | float)]
            if numbers and name != "time":
                found.setdefault(name, []).append((row["time"], sum(numbers) / len(numbers)))
    return {name: tuple(np.array(points, float).T) for name, points in found.items()}


def capabilities(console: Console) -> dict[str, bool]:
    """Whether a terminal shows 256 colours, and whether it shows Unicode."""
    colour = not console.no_color and console.color_system in ("256", "truecolor", "windows")
    return {"colour": colour, "unicode": "utf" in console.encoding.lower()}


def newest(runs: Path) -> Folder:
    """The newest run of an algorithm of this rlgen. Raises UserError where there is none."""
    for folder in reversed(Folder.all(runs)):
        try:
            catalog.find(str(folder.info.get("algorithm")))
            return folder
        except UserError:
            continue
    return Folder.find(runs)
