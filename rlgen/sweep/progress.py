"""What `rlgen sweep` shows while it works: a row per trial at its end, the best so far, and the time left."""

import threading
import time as clock
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from rlgen.core.config import word, words
from rlgen.core.terminal import visible
from rlgen.report import status
from rlgen.report.status import Ticker, Work
from rlgen.sweep import trials
from rlgen.sweep.study import Study
from rlgen.sweep.trials import Trial

READ = 2.0  # seconds between two looks at the folders
RUNNING = 6  # runs in training that are shown, at most


class Table:
    """The trials of a study on stderr. Used within `with`."""

    def __init__(self, study: Study, quiet: bool = False) -> None:
        self.study, self.quiet = study, quiet
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.ticker = Ticker(self.console, self._status, self._plain, quiet=quiet, transient=True)
        self.better = trials.better(study.folder)
        self.found: list[Trial] = trials.read(study.folder)
        self.shown = {(t.role, t.number) for t in self.found if t.state != "running"}  # of an earlier call
        finals = min(study.finalists, study.total) if study.test_seeds else 0
        self.work = Work("tuning", study.total + finals, "trials", len(self.shown), len(self.shown))
        self.looked = clock.perf_counter()
        self.lock = threading.Lock()  # the status line is drawn by a thread of its own

    def __enter__(self) -> "Table":
        self.ticker.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.look()
        self.ticker.__exit__(*error)

    def look(self) -> None:
        """Read the folders, and print a row for each trial that is at its end since."""
        with self.lock:
            self.looked, self.found = clock.perf_counter(), trials.read(self.study.folder)
            self.better = trials.better(self.study.folder)
            for trial in self.found:
                if trial.state != "running" and (trial.role, trial.number) not in self.shown:
                    self.shown.add((trial.role, trial.number))
                    if not self.quiet:
                        self.console.print(visible(self._row(trial)), markup=False)
            self.work.done = len(self.shown)
            tuned = sum(trial.role == "tuning" and trial.state != "running" for trial in self.found)
            self.work.enter("tuning" if tuned < self.study.total else "testing")

    def tick(self) -> None:
        """Look again after a while."""
        if clock.perf_counter() - self.looked > READ:
            self.look()

    def best(self) -> Trial | None:
        """The best complete trial so far."""
        return best(self.found, self.better)

    def _row(self, trial: Trial) -> str:
        label = "trial" if trial.role == "tuning" else "test "
        count = f"/{self.study.total}" if trial.role == "tuning" else ""
        result = score(trial) if trial.state == "complete" else f"{trial.state}: {trial.reason}"
        leader = self.best()
        mark = (
            "  best so far" if trial.role == "tuning" and leader is not None and leader.number == trial.number else ""
        )
        return f"{label} {trial.number:>3}{count}  {result}  {settings(trial)}{mark}"

    def _status(self, width: int) -> Text:
        self.tick()
        text = status.line(self.work, (), width)
        for trial in [trial for trial in self.found if trial.state == "running"][:RUNNING]:
            label = "trial" if trial.role == "tuning" else "test"
            text.append(f"\n  {label} {trial.number}  {self._reached(trial.folder)}  {settings(trial)}"[: width + 1])
        if (leader := self.best()) is not None:
            line = f"\nbest      trial {leader.number}  {score(leader)}  {settings(leader)}"
            text.append(line[: width + 1], "bold")
        return text

    def _reached(self, folder: Path) -> str:
        info = trials.json(folder / "run.json")
        budget = (info.get("plan") or {}).get("budget") or 0
        return f"{min(100, 100 * info.get('time', 0) / budget):3.0f} %" if budget else "begins"

    def _plain(self) -> None:
        if not self.quiet and not self.ticker.in_place:
            self.console.print(f"{self.work.phase}  {self.work.count()}  {self.work.time_left()}", markup=False)


def best(found: list[Trial], better: str, role: str = "tuning") -> Trial | None:
    """The best complete trial, the earlier of equal ones; None without any."""
    complete = [trial for trial in found if trial.role == role and trial.state == "complete"]
    sign = 1 if better == "lower" else -1
    return min(complete, key=lambda trial: (sign * trial.score, trial.number), default=None)


def score(trial: Trial) -> str:
    """The score in words, with the range of its seeds."""
    text = f"score {_number(trial.score)}"
    if len(trial.scores) > 1:
        low, high = min(trial.scores), max(trial.scores)
        text += f" ({_number(low)} to {_number(high)} of {len(trial.scores)} seeds)"
    return text


def settings(trial: Trial) -> str:
    """The settings of a trial in words, numbers to four digits."""
    values = ((name, f"{x:.4g}" if isinstance(x, float) else word(x)) for name, x in trial.settings.items())
    return "  ".join(f"{name}={value}" for name, value in values)


def summary(study: Study) -> dict[str, Any]:
    """The outcome of a study, JSON-ready: counts, the best trial, its score on fresh seeds, and a command."""
    found, better = trials.read(study.folder), trials.better(study.folder)
    tuned = [trial for trial in found if trial.role == "tuning"]
    selected = best(found, better)
    tests = [trial for trial in found if trial.role == "test"]
    fresh = next((t for t in tests if selected and t.number == selected.number and t.state == "complete"), None)
    return {
        "study": str(study.folder),
        "algorithm": study.algorithm,
        "task": study.task,
        "better": better,
        "trials": len(tuned),
        "states": dict(Counter(trial.state for trial in tuned)),
        "seconds": round(sum(trial.seconds for trial in found), 3),
        "best": _described(selected),
        "fresh": _described(fresh),
        "gap": selected.score - fresh.score if selected and fresh else None,
        "tests": [_described(trial) for trial in tests],
        "command": command(study, selected) if selected else None,
    }


def command(study: Study, trial: Trial) -> str:
    """The command that trains with the settings of a trial."""
    given = {**study.settings, **{k: v for k, v in trial.settings.items() if v is not None}}
    preset = ["--preset", study.preset] if study.preset else []
    return " ".join(["rlgen", study.algorithm, study.task, *words(given), *preset])


def lines(study: Study) -> list[str]:
    """The outcome in words."""
    found, better = trials.read(study.folder), trials.better(study.folder)
    states = Counter(trial.state for trial in found if trial.role == "tuning")
    selected = best(found, better)
    shown = [f"study   {study.folder}: {', '.join(f'{n} {state}' for state, n in states.items())}"]
    if selected is None:
        return shown
    shown.append(f"best    trial {selected.number}  {score(selected)}  {settings(selected)}")
    for test in (trial for trial in found if trial.role == "test" and trial.state == "complete"):
        tuned = next(t for t in found if t.role == "tuning" and t.number == test.number)
        gap = f"{_number(tuned.score)} while tuning (gap {tuned.score - test.score:+,.4g})"
        shown.append(f"fresh   trial {test.number}  {score(test)}, {gap}")
    shown.append(f"next    {command(study, selected)}")
    return shown


def _described(trial: Trial | None) -> dict[str, Any] | None:
    if trial is None:
        return None
    score = trial.score if trial.scores else None
    return {
        "number": trial.number, "settings": trial.settings, "state": trial.state, "score": score,
        "scores": list(trial.scores), "seeds": list(trial.seeds), "seconds": trial.seconds, "reason": trial.reason,
    }  # fmt: skip


def _number(x: float) -> str:
    """One decimal from 100 on, else four digits."""
    return f"{x:,.1f}" if abs(x) >= 100 else f"{x:.4g}"
