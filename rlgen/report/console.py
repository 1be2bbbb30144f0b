"""What a command shows while it works: a start panel and a progress bar on a terminal, plain lines elsewhere."""

import logging
import sys
import time as clock
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from rlgen.core import files
from rlgen.core.progress import Progress
from rlgen.core.terminal import visible
from rlgen.kinds import Kind
from rlgen.report import status
from rlgen.report.status import Ticker, Work

WINDOW = 20  # refreshes over which the rate is measured
log = logging.getLogger("rlgen")


@contextmanager
def activity(
    phase: str, total: int | None = None, unit: str = "", *, quiet: bool = False
) -> Iterator[Callable[[int], None]]:
    """Shows on stderr how far a command has come; the caller gets a function to add to what is done.

    `phase` is a participle such as "scoring"; without a `total` the elapsed time is shown. The line on a terminal
    vanishes at the end; elsewhere there is a line every ten seconds, the first after two. What an environment prints
    meanwhile goes to stderr: stdout is for results.
    """
    console, work = _stderr(), Work(phase, total, unit)

    def plain() -> None:
        if not quiet:
            console.print("  ".join(filter(None, (phase, work.count(), work.time_left()))), markup=False)

    ticker = Ticker(console, lambda width: status.line(work, (), width), plain, quiet=quiet, transient=True)
    with ticker, redirect_stdout(sys.stderr):
        yield work.advance


class Display:
    """A run in training: messages to stderr and, within `with`, to its log.txt; a status line by the clock.

    The run calls it with every row of metrics. `quiet` leaves warnings and log.txt. Rates count
    the steps of all `seeds` that are trained side by side.
    """

    def __init__(
        self,
        kind: Kind,
        budget: int,
        log_file: Path,
        progress: Progress | None = None,
        *,
        quiet: bool = False,
        already: int = 0,
        seeds: int = 1,
    ) -> None:
        self.kind, self.quiet, self.seeds = kind, quiet, seeds
        self.progress = progress or Progress(already)
        self.work = Work("preparing", budget, kind.unit, already, already)
        self.part: Work | None = None  # an activity beside the training, such as the final scoring
        self.latest: dict[str, float] = {}  # last value of each metric
        self.trained, self.measured = 0.0, clock.perf_counter()  # seconds spent training up to the last refresh
        self.samples = deque([(0.0, already)], maxlen=WINDOW)  # (seconds spent training, time) at recent refreshes
        self.console = _stderr()
        self.ticker = Ticker(self.console, self._status, self._plain, quiet=quiet)
        file = _LogFile(log_file, delay=True)
        file.setFormatter(_Lines("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        self.handlers = [file, _Warnings(self.console)]

    def __enter__(self) -> Self:
        log.setLevel(logging.INFO)
        for handler in self.handlers:
            log.addHandler(handler)
        self.ticker.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.phase = "finished" if error is None else "stopped"
        self._measure()
        self.work.phase_began = self.work.began  # what is shown at last is the time of the whole training
        self.ticker.__exit__(kind, error, trace)
        for handler in self.handlers:
            log.removeHandler(handler)
            handler.close()

    def start(self, title: str, facts: Mapping[str, str]) -> None:
        """Print what is trained and how: the facts may be those of a run.json of others."""
        title, facts = visible(title), {name: visible(fact) for name, fact in facts.items()}
        log.info("%s: %s", title, "; ".join(f"{name} {fact}" for name, fact in facts.items()))
        table = Table.grid(padding=(0, 2))
        for name, fact in facts.items():
            table.add_row(f"[dim]{name}[/dim]", escape(fact))
        if self.ticker.in_place:
            self.console.print(Panel(table, title=f"[bold]{escape(title)}[/bold]", title_align="left", expand=False))
        elif not self.quiet:
            self.console.print(title, *(f"  {name:<14}{fact}" for name, fact in facts.items()), sep="\n", markup=False)

    @contextmanager
    def activity(self, phase: str, total: int | None = None, unit: str = "") -> Iterator[Callable[[int], None]]:
        """What follows the training, in the same status line; see `activity` above."""
        self.part = Work(phase, total, unit)
        try:
            yield self.part.advance
        finally:
            self.part = None

    def __call__(self, time: int, row: Mapping[str, Any]) -> None:
        """Take over a row of metrics; that of an evaluation is a line in the log at once."""
        means = {name: mean for name, value in row.items() if (mean := _mean(value)) is not None}
        self.latest |= means
        self._measure()
        if any(name.startswith("eval_") for name in row):
            self.latest = {**self._training(), **means}
            self.work.done = time
            self.ticker.last_line = clock.perf_counter()
            self._print_line({**self._training(), **means})

    def _status(self, width: int) -> Text:
        """The line shown in place."""
        if self.part is not None:
            return status.line(self.part, (), width)
        self._measure()
        return status.line(self.work, self._details(self.latest or _peek(self.progress.metrics)), width)

    def _plain(self) -> None:
        """A line of the log between evaluations, whose values it does not repeat."""
        self._measure()
        if self.part is not None:
            self._write("  ".join(filter(None, (self.part.phase, self.part.count(), self.part.time_left()))))
        else:
            self._print_line(self._training() or _peek(self.progress.metrics))

    def _measure(self) -> None:
        """Update the work done and, while training, the samples of its speed."""
        self.work.enter(self.progress.phase)
        self.work.done = self.progress.time
        now = clock.perf_counter()
        if self.progress.phase == "training":
            self.trained += now - self.measured
            self.samples.append((self.trained, self.work.done))
        self.measured = now

    @property
    def rate(self) -> float:
        """Units per second of all seeds together while training, over the latest refreshes."""
        (began, first), (now, last) = self.samples[0], self.samples[-1]
        return self.seeds * (last - first) / (now - began) if now > began else 0.0

    def _training(self) -> dict[str, float]:
        return {name: value for name, value in self.latest.items() if not name.startswith("eval_")}

    def _details(self, metrics: Mapping[str, float]) -> list[str]:
        """The first metric of this kind of run, the rate, and its other metrics, in words."""
        shown = [(words, metrics[name]) for name, words in self.kind.shown.items() if name in metrics]
        numbers = [_in_words(words, value) for words, value in shown]
        rate = self.rate
        return [*numbers[:1], *([f"{rate:,.0f} {self.kind.unit}/s"] if rate else []), *numbers[1:]]

    def _print_line(self, metrics: Mapping[str, float]) -> None:
        phase = [] if self.work.phase in ("training", "evaluating") else [self.work.phase]
        count = f"{self.work.done:>11,}/{self.work.total:,} {self.kind.unit}"
        self._write("  ".join([count, *phase, *self._details(metrics), self.work.time_left()]))

    def _write(self, text: str) -> None:
        log.info(text)
        if not self.ticker.in_place and not self.quiet:
            self.console.print(text, markup=False)


def _in_words(label: str, value: float) -> str:
    """A metric with its label; a share in percent where the label ends in %."""
    if label.endswith(" %"):
        return f"{label[:-2]} {100 * value:.2f} %"
    return f"{label} {value:,.1f}" if abs(value) >= 100 else f"{label} {value:.3g}"


def _stderr() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True)


def _mean(value: Any) -> float | None:
    """The mean over seeds, those left out that have no value; None where none has."""
    values = [x for x in (value if isinstance(value, list) else [value]) if isinstance(x, int | float)]
    return sum(values) / len(values) if values else None


def _peek(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Metrics of a single step as numbers, for the time before the first row of means."""
    values = {name: float(value.float().mean()) if hasattr(value, "mean") else value for name, value in metrics.items()}
    return {name: value for name, value in values.items() if isinstance(value, int | float)}


class _Lines(logging.Formatter):
    """Records as single lines without control characters."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        return visible(super().format(record))


class _LogFile(logging.FileHandler):
    """A log that training does not depend on: a full disk costs its lines, and is reported at the next checkpoint."""

    def _open(self) -> Any:
        """The file itself, not what a link of its name points to."""
        return files.append(Path(self.baseFilename))

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing: the log itself cannot be written."""


class _Warnings(logging.Handler):
    """Warnings above the status line."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        self.console.print(f"warning: {visible(record.getMessage())}", markup=False)
