"""A study as one line among runs. Imports no numpy, for the start-up time of `rlgen runs`."""

from collections import Counter
from pathlib import Path
from typing import Any

from rlgen.core.folder import Folder
from rlgen.sweep import progress, trials
from rlgen.sweep import study as studies
from rlgen.sweep.study import Study
from rlgen.sweep.trials import Trial


def row(folder: Path) -> dict[str, Any]:
    """A study as a row of `rlgen runs --json`, its time in trials. Raises UserError for an unreadable one.

    The best score is the mean over the seeds that selected it.
    """
    study = studies.load(folder)
    found = trials.read(folder)
    best = progress.best(found, trials.better(folder))
    states = Counter(trial.state for trial in found if trial.role == "tuning")
    return {
        **{"kind": study.entry.kind.name, "algorithm": study.algorithm, "task": study.task, "seed": study.seed},
        "time": sum(states.values()) - states["running"],
        "best": best.score if best else None,
        "name": study.name,
        "status": _status(study, found),
        "budget": study.total,
        "created": str(trials.json(folder / studies.FILE).get("created")),
        "trials": dict(states),
    }


def _status(study: Study, found: list[Trial]) -> str:
    """running, finished, or interrupted: then `rlgen sweep --join` continues."""
    unfinished = [trial for trial in found if trial.state == "running"]
    if any(Folder(trial.folder).locked() for trial in unfinished):
        return "running"
    tuned = [trial for trial in found if trial.role == "tuning" and trial.state != "running"]
    complete = sum(trial.state == "complete" for trial in tuned)
    wanted = min(study.finalists, complete) if study.test_seeds else 0
    tested = sum(trial.role == "test" for trial in found)
    done = not unfinished and len(tuned) >= study.total and tested >= wanted
    return "finished" if done else "interrupted"
