"""What a person sees while something trains: a start panel, a progress bar, or plain lines where nobody watches."""

import logging
import os
import time as clock
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from rlgen.catalog import Kind

PAUSE = 5.0  # seconds between plain lines
log = logging.getLogger("rlgen")


class Display:
    """Messages to stderr and, within `with`, to the run's log.txt; a live bar where stderr is a terminal.

    `quiet` leaves warnings and the log. As a listener of a run it is called with every line of its metrics.
    """

    def __init__(self, kind: Kind, budget: int, log_file: Path, *, quiet: bool = False, already: int = 0) -> None:
        self.kind, self.budget, self.quiet = kind, budget, quiet
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.live = self.console.is_terminal and not os.environ.get("CI") and not quiet
        self.latest: dict[str, float] = {}  # last value of each metric
        self.began = self.last_line = clock.perf_counter()
        self.already = already
        self.mark = (already, self.began)  # time and second of the last line
        self.rate = 0.0  # units/s between it and the one before
        self.bar = Progress(
            TextColumn("{task.completed:>9,.0f}/{task.total:,.0f} " + kind.unit),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[text]}"),
            console=self.console,
            disable=not self.live,
            refresh_per_second=4,
        )
        self.task = self.bar.add_task("", total=budget, completed=already, text="")
        file = _LogFile(log_file)
        file.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        self.handlers = [file, _Warnings(self.console)]

    def __enter__(self) -> Self:
        log.setLevel(logging.INFO)
        for handler in self.handlers:
            log.addHandler(handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()
        for handler in self.handlers:
            log.removeHandler(handler)
            handler.close()

    def start(self, title: str, facts: Mapping[str, str]) -> None:
        """What will be trained, and how; then the bar."""
        log.info("%s: %s", title, "; ".join(f"{name} {fact}" for name, fact in facts.items()))
        table = Table.grid(padding=(0, 2))
        for name, fact in facts.items():
            table.add_row(f"[dim]{name}[/dim]", escape(fact))
        if self.live:
            self.console.print(Panel(table, title=f"[bold]{escape(title)}[/bold]", title_align="left", expand=False))
        elif not self.quiet:
            self.console.print(title, *(f"  {name:<12}{fact}" for name, fact in facts.items()), sep="\n", markup=False)
        self.bar.start()

    def __call__(self, time: int, row: Mapping[str, Any]) -> None:
        """Show a line of the metrics."""
        for name, value in row.items():
            self.latest[name] = sum(value) / len(value) if isinstance(value, list) else value
        now = clock.perf_counter()
        if time > self.mark[0]:
            self.rate = (time - self.mark[0]) / max(now - self.mark[1], 1e-9)
            self.mark = (time, now)
        speed = (time - self.already) / max(now - self.began, 1e-9)
        left = int(max(0, self.budget - time) / speed) if speed else 0
        shown = [(words, self.latest[name]) for name, words in self.kind.shown.items() if name in self.latest]
        numbers = (f"{words} {value:,.1f}" if abs(value) >= 100 else f"{words} {value:.3g}" for words, value in shown)
        text = "  ".join([f"{self.rate:,.0f} {self.kind.unit}/s", *numbers, f"{left // 60}:{left % 60:02d} left"])
        self.bar.update(self.task, completed=time, text=text)
        evaluated = any(name.startswith("eval_") for name in row)
        if evaluated or (now - self.last_line >= PAUSE and time < self.budget):
            self.last_line = now
            line = f"{time:>11,}/{self.budget:,} {self.kind.unit}  {text}"
            log.info(line)
            if not self.live and not self.quiet:
                self.console.print(line, markup=False)


class _LogFile(logging.FileHandler):
    """A log that training does not depend on: a full disk costs its lines, and is told of at the next checkpoint."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing: there is no better place to complain."""


class _Warnings(logging.Handler):
    """Warnings above the bar."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        self.console.print(f"warning: {record.getMessage()}", markup=False)
