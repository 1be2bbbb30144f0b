"""A status line that is refreshed by the clock: in place on a terminal or in a notebook, as plain lines elsewhere."""

import os
import threading
import time as clock
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

REFRESH = 0.5  # seconds between two refreshes in place
FIRST, PLAIN = 2.0, 10.0  # seconds to the first plain line, and from one plain line to the next
BAR = 8  # columns of the bar


@dataclass
class Work:
    """How much of a countable piece of work is done; `total` is None where its length is unknown."""

    phase: str  # such as "training" or "scoring"
    total: int | None = None
    unit: str = ""  # such as "episodes"
    done: int = 0
    skipped: int = 0  # done before the clock started: a resumed run goes on from there
    began: float = field(default_factory=clock.perf_counter)
    phase_began: float = field(default_factory=clock.perf_counter)

    def enter(self, phase: str) -> None:
        """Go on with another phase of the same work."""
        if phase != self.phase:
            self.phase, self.phase_began = phase, clock.perf_counter()

    def advance(self, count: int = 1) -> None:
        """Add `count` to what is done."""
        self.done += count

    def time_left(self) -> str:
        """The remaining time at the mean speed so far; without a speed or a rest, the time spent in this phase."""
        now = clock.perf_counter()
        elapsed, done = now - self.began, self.done - self.skipped
        if self.total is None or done <= 0 or self.done >= self.total:
            return f"{duration(now - self.phase_began)} elapsed"
        return f"{duration(max(0, self.total - self.done) * elapsed / done)} left"

    def count(self) -> str:
        """Such as `1,024/10,000 samples`."""
        return "" if self.total is None else f"{self.done:,}/{self.total:,} {self.unit}"


def duration(seconds: float) -> str:
    """Seconds as `m:ss` or `h:mm:ss`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


def line(work: Work, details: Iterable[str], width: int, full: str = "━", empty: str = "─") -> Text:
    """Phase, count, bar, share, time left, then as many of the `details` as fit into `width` columns.

    In narrow terminals the count is left out, then the bar becomes shorter.
    """
    phase, left = f"{work.phase:<10}", work.time_left()
    if not work.total:
        return _joined([phase, left, *details], width)
    share = min(1.0, work.done / work.total)
    percent, count = f"{100 * share:3.0f} %", work.count()
    room = width - sum(map(len, (phase, percent, left))) - 3 * 2 - 2
    if len(count) + 2 + BAR > room:
        count = ""
    size = max(1, min(BAR, room - (len(count) + 2 if count else 0)))
    filled = round(share * size)
    text = Text(no_wrap=True, overflow="crop")
    text.append(phase + "  ", "bold")
    text.append(count + "  " if count else "")
    text.append(full * filled, "green").append(empty * (size - filled), "bright_black")
    text.append(f"  {percent}  {left}")
    return text.append_text(_joined(["", *details], width - len(text)))


def _joined(parts: Iterable[str], width: int) -> Text:
    """The first of the parts that fit into `width` columns, two spaces apart."""
    text = ""
    for i, part in enumerate(parts):
        longer = f"{text}  {part}" if i else part
        if len(longer) > width:
            break
        text = longer
    return Text(text, no_wrap=True, overflow="crop")


class Ticker:
    """Shows `status(width)` at once and then by the clock, from a thread of its own, inside `with`.

    In place on a terminal and in a notebook; elsewhere, and where the environment variable CI is set, `plain` is
    called every ten seconds. `transient` removes the line at the end.
    """

    def __init__(
        self,
        console: Console,
        status: Callable[[int], Text],
        plain: Callable[[], object],
        *,
        quiet: bool = False,
        transient: bool = False,
    ) -> None:
        self.console, self.status, self.plain, self.transient = console, status, plain, transient
        self.notebook = console.is_jupyter and not quiet
        self.in_place = self.notebook or (console.is_terminal and not os.environ.get("CI") and not quiet)
        self.last_line = clock.perf_counter() + FIRST - PLAIN
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._live: Any = None

    def __enter__(self) -> Self:
        if self.in_place:
            self._live = _Notebook() if self.notebook else Live(
                console=self.console, auto_refresh=False, transient=self.transient, vertical_overflow="visible"
            )  # fmt: skip
            self._live.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.refresh()
        if self._live is not None:
            self._live.stop()

    def refresh(self) -> None:
        """Ask for the status line now, and draw it where it is drawn in place."""
        with suppress(Exception):  # a line that cannot be drawn costs no training
            text = self.status(self.console.width - 1)
            if self._live is not None:
                self._live.update(text, refresh=True)

    def _run(self) -> None:
        while not self._stop.wait(REFRESH):
            self.refresh()
            if clock.perf_counter() - self.last_line >= PLAIN:
                self.last_line = clock.perf_counter()
                with suppress(Exception):
                    self.plain()


class _Notebook:
    """One output of a notebook cell, replaced at each update; of Live it has what the ticker uses."""

    def start(self) -> None:
        """Open the output."""
        from IPython.display import display  # type: ignore[import-not-found,unused-ignore]

        self.handle = display({"text/plain": ""}, raw=True, display_id=True)

    def update(self, text: Text, refresh: bool = True) -> None:
        """Replace the output by `text`."""
        self.handle.update({"text/plain": text.plain}, raw=True)

    def stop(self) -> None:
        """Leave the last line where it is."""
