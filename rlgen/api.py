"""Train, resume and load from Python."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlgen import catalog, preparation, session
from rlgen.core.folder import Folder, runs_folder
from rlgen.trained_run import TrainedRun


def train(
    algorithm: str,
    task: str,
    *,
    runs: str | Path | None = None,
    name: str | None = None,
    fallback: bool = True,
    preset: str | None = None,
    progress: bool | None = None,
    members: int | Sequence[Mapping[str, Any]] = (),
    **options: Any,
) -> TrainedRun:
    """Train `algorithm` on `task` with any of the options of the command line, as in `seed=0, budget=30_000`.

    `progress` shows a start panel and a progress bar; by default on a terminal and in a notebook. Returns the finished
    run. Raises UserError for what cannot be trained; Ctrl-C saves and raises Interrupted.

    `members`, such as `[{"lr": 1e-3, "seed": 1}, {"lr": 1e-2, "seed": 1}]`, are agents trained side by side in one
    process, each with a seed and numbers of its own: see `rlgen.members`. A number is that of an ensemble's members.
    """
    if isinstance(members, int):
        options, members = {**options, "members": members}, ()
    entry = catalog.find(algorithm)
    task, notice = preparation.canonical(entry, task, data=options.get("data"), fallback=fallback)
    if notice:
        print(notice, file=sys.stderr)
    prepared = session.prepare(
        algorithm, task, options, runs=runs_folder(runs), name=name, preset=preset, batch=members
    )
    return _train(prepared, progress)


def resume(
    run: str | Path | Folder = "latest",
    *,
    runs: str | Path | None = None,
    progress: bool | None = None,
    trust: bool = False,
    **plan: Any,
) -> TrainedRun:
    """Continue a run that was stopped, in its own folder; `budget=` may be raised. `progress` is that of `train`.

    A run whose environment is of a module, `module:Name-v0`, needs `trust`: the import of the module may run any code.
    """
    return _train(session.reopen(_folder(run, runs), plan, trust), progress)


def load(
    run: str | Path | Folder = "latest",
    *,
    runs: str | Path | None = None,
    checkpoint: str = "last",
    at: int | None = None,
    trust: bool = False,
    experience: bool = False,
) -> Any:
    """What was trained, from the `last` or `best` checkpoint; of an agent what it takes to act.

    With `experience` also its replay buffer and environments, for further training. With `at`, in environment steps or
    images, its weights at the nearest evaluation of which a portrait was kept; the `time` of what is returned is that
    of the portrait. A run whose environment is of a module, `module:Name-v0`, needs `trust`: the import of the module
    may run any code.

    An `Agent` has `predict` for actions, a `Model` has `sample`, a `Classifier` has `predict` for probabilities.
    """
    return session.restore(_folder(run, runs), checkpoint, at, trust, experience)


def _folder(run: str | Path | Folder, runs: str | Path | None) -> Folder:
    return run if isinstance(run, Folder) else Folder.find(runs_folder(runs), str(run))


def _train(prepared: session.Session, progress: bool | None) -> TrainedRun:
    prepared.train(quiet=not (_watched() if progress is None else progress))
    return TrainedRun(prepared.run.directory)


def _watched() -> bool:
    """Whether a person sees the output: stderr is a terminal, or this is a notebook."""
    notebook = "ipykernel" in sys.modules and "JPY_PARENT_PID" in os.environ
    return notebook or (sys.stderr is not None and sys.stderr.isatty())
