"""What `rlgen train` shows while it works: a line per run, with its progress and its latest score."""

from collections.abc import Sequence
from typing import Any, Self

from rich.console import Console
from rich.text import Text

from rlgen.core.tail import Tail
from rlgen.core.terminal import visible
from rlgen.queue.job import Job
from rlgen.report import status
from rlgen.report.status import Ticker, Work

ENDS = ("diverged", "interrupted")
LABEL = 10  # columns of a name, at least: those of a phase in a status line
LOOK = 50  # lines of the log in which the latest values are looked for


class Table:
    """The runs on stderr, in place on a terminal; elsewhere a line at the end of each. Used within `with`."""

    def __init__(self, jobs: Sequence[Job], quiet: bool = False) -> None:
        self.quiet = quiet
        self.rows = [Row(job) for job in jobs]
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.ticker = Ticker(self.console, self._status, self._plain, quiet=quiet, transient=True)

    def __enter__(self) -> Self:
        self.ticker.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.ticker.__exit__(*error)

    def tick(self, ended: Job | None) -> None:
        """Print the line of a run that has ended, where no lines are shown in place."""
        if ended is not None and not self.quiet and not self.ticker.in_place:
            self.console.print(visible(f"{ended.name}  {outcome(ended)}"), markup=False)

    def _status(self, width: int) -> Text:
        """The runs in training, then those before and after them as far as they fit on the terminal."""
        for row in self.rows:
            row.update()
        room = max(1, self.console.height - 2)
        by_need = sorted(self.rows, key=lambda row: {"in training": 0, "waiting": 1}.get(row.state, 2))
        shown = [row for row in self.rows if row in by_need[:room]]
        name = max(LABEL, *(len(row.job.name) for row in shown))
        lines = [row.line(width, name) for row in shown]
        if len(shown) < len(self.rows):
            lines.append(Text(self._counts()))
        return Text("\n").join(lines)

    def _plain(self) -> None:
        if not self.quiet:
            for row in self.rows:
                row.update()
            shares = [f"{row.job.name} {row.share:.0%}" for row in self.rows if row.state == "in training"]
            self.console.print(visible("  ".join([self._counts(), *shares])), markup=False)

    def _counts(self) -> str:
        states = [row.state for row in self.rows]
        return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))


class Row:
    """The line of a run; `update` reads its log."""

    def __init__(self, job: Job) -> None:
        self.job, self.before = job, "waiting" if job.left else job.state
        self.metrics = Tail(job.folder.directory / "metrics.jsonl")
        self.work: Work | None = None  # once its process has written a line

    @property
    def state(self) -> str:
        """In training or waiting; finished, diverged or failed."""
        if self.job.code is not None:
            return "failed" if self.job.code else "finished"
        return "in training" if self.job.started else self.before

    @property
    def share(self) -> float:
        """How much of the budget is trained, from 0 to 1."""
        return min(1.0, self.work.done / self.job.plan.budget) if self.work is not None else 0.0

    def update(self) -> None:
        """Read how far the run has come."""
        if self.state != "in training" or not self.metrics.update():
            return
        done = int(self.metrics.rows[-1]["time"]) if self.metrics.rows else 0
        if self.work is None:
            self.work = Work("", self.job.plan.budget, self.job.entry.kind.unit, done, done)
        self.work.done = done

    def line(self, width: int, name: int) -> Text:
        """The name in so many columns, then the progress and the latest metrics, or how it ended."""
        label = visible(self.job.name).ljust(name)
        if self.state == "in training" and self.work is not None:
            self.work.phase = label
            return status.line(self.work, self._latest(), width)
        text = self.state if self.state in ("waiting", "in training") else visible(outcome(self.job))
        return Text(f"{label}  {text}"[:width], no_wrap=True, overflow="crop")

    def _latest(self) -> list[str]:
        """The latest values of the metrics that this kind of run shows."""
        shown = self.job.entry.kind.shown
        latest: dict[str, Any] = {}
        for row in self.metrics.rows[-LOOK:]:
            latest |= row
        means = {name: _mean(latest[name]) for name in shown if name in latest}
        return [f"{shown[name]} {x:.4g}" for name, x in means.items() if x is not None]


def outcome(job: Job) -> str:
    """The state of a run after the training, with its score or the reason of its failure."""
    info = job.info
    state = job.state if info else "waiting"
    if job.error:
        return f"{state if state in ENDS else 'failed'}: {job.error}"
    return "  ".join(filter(None, [state, score(job, info)]))


def score(job: Job, info: dict[str, Any]) -> str:
    """`score 487.2`, empty without a score."""
    found = (info.get("result") or {}).get("score")
    return f"score {found:{job.entry.kind.score}}" if isinstance(found, int | float) else ""


def _mean(value: Any) -> float | None:
    values = [x for x in (value if isinstance(value, list) else [value]) if isinstance(x, int | float)]
    return sum(values) / len(values) if values else None
