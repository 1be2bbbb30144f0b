"""What a person sees while something trains: a start panel, a progress bar, or plain lines where nobody watches."""

import logging
import os
import sys
import time as clock
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from rlgen.catalog import Kind

PAUSE = 5.0  # seconds between plain lines
log = logging.getLogger("rlgen")


class Display:
    """Messages to stderr and to the run's log.txt; a live bar where stderr is a terminal. `quiet` leaves the log."""

    def __init__(self, kind: Kind, budget: int, quiet: bool, already: int = 0) -> None:
        self.kind, self.budget, self.quiet = kind, budget, quiet
        self.console = Console(stderr=True, highlight=False)
        self.live = self.console.is_terminal and not os.environ.get("CI") and not quiet
        self.latest: dict[str, float] = {}  # last value of each metric shown
        self.start = self.last_line = clock.perf_counter()
        self.first, self.rate = already, 0.0
        self.mark = (already, self.start)
        self.bar = Progress(
            TextColumn("{task.completed:>9,.0f}/{task.total:,.0f} " + kind.unit),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[text]}"),
            console=self.console,
            disable=not self.live,
        )
        self.task = self.bar.add_task("train", total=budget, completed=already, text="")

    def panel(self, title: str, facts: Mapping[str, str], log_file: Path) -> None:
        """The facts of a run before it starts; everything said from now on is also written to `log_file`."""
        file = logging.FileHandler(log_file, delay=True)
        file.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        log.addHandler(file)
        log.setLevel(logging.INFO)
        log.info("%s  %s", title, "  ".join(f"{name}: {fact}" for name, fact in facts.items()))
        if self.quiet:
            return
        if not self.console.is_terminal:
            for line in (title, *(f"  {name:<12}{fact}" for name, fact in facts.items())):
                print(line, file=sys.stderr)
            return
        table = Table.grid(padding=(0, 2))
        for name, fact in facts.items():
            table.add_row(f"[dim]{name}[/dim]", fact)
        self.console.print(Panel(table, title=f"[bold]{title}[/bold]", title_align="left", expand=False))

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def __call__(self, time: int, row: Mapping[str, Any]) -> None:
        """Show a line of the log."""
        for name, value in row.items():
            self.latest[name] = sum(value) / len(value) if isinstance(value, list) else value
        now = clock.perf_counter()
        if time > self.mark[0]:
            self.rate = (time - self.mark[0]) / max(now - self.mark[1], 1e-9)
            self.mark = (time, now)
        speed = (time - self.first) / max(now - self.start, 1e-9)
        left = (self.budget - time) / speed if speed else 0.0
        shown = [(words, self.latest[name]) for name, words in self.kind.shown.items() if name in self.latest]
        numbers = (f"{words} {value:,.1f}" if abs(value) >= 100 else f"{words} {value:.3g}" for words, value in shown)
        remaining = f"{int(left) // 60}:{int(left) % 60:02d} left"
        text = "  ".join([f"{self.rate:,.0f} {self.kind.unit}/s", *numbers, remaining])
        self.bar.update(self.task, completed=time, text=text)
        evaluated = any(name.startswith("eval_") for name in row)
        if evaluated or (now - self.last_line >= PAUSE and time < self.budget):
            self.last_line = now
            line = f"{time:>11,}/{self.budget:,} {self.kind.unit}  {text}"
            log.info(line)
            if not self.live and not self.quiet:
                print(line, file=sys.stderr, flush=True)
