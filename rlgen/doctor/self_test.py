"""A short training, checked by its score, and resumed to the bit from an earlier checkpoint."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlgen.core.checkpoint import newest_first
from rlgen.core.findings import Finding
from rlgen.core.folder import Folder


@dataclass(frozen=True)
class Trial:
    """A training of a few seconds and what it must reach."""

    algorithm: str
    task: str
    options: dict[str, Any]
    metric: str  # of the log
    least: float  # value of the metric at the end
    name: str  # of the metric, in a sentence


TRIALS = (
    Trial(
        "classify", "digits",
        {"network": "mlp", "budget": 12_000, "log_every": 2_000, "eval_every": 6_000, "save_every": 6_000},
        "eval_validation_accuracy", 0.8, "validation accuracy",
    ),
    Trial(
        "dqn", "CartPole",
        {"budget": 1_000, "log_every": 250, "eval_every": 500, "save_every": 500, "learning_starts": 100,
         "eval_episodes": 2},
        "eval_return", 8.0, "mean return",
    ),
)  # fmt: skip


def findings(trials: tuple[Trial, ...] = TRIALS) -> Iterator[Finding]:
    """A finding for each trial that fails; the last one is a note with the seconds of all."""
    began = time.perf_counter()
    failed = False
    with tempfile.TemporaryDirectory(prefix="rlgen-doctor-") as folder:
        for trial in trials:
            for finding in _findings(trial, Path(folder)):
                failed = True
                yield finding
    if not failed:
        seconds = time.perf_counter() - began
        names = " and ".join(f"{trial.algorithm} on {trial.task}" for trial in trials)
        yield Finding("self-test passed", "note", f"{names} learn and resume to the bit: {seconds:.1f} s", seconds)


def _findings(trial: Trial, runs: Path) -> Iterator[Finding]:
    from rlgen import api

    command = f"rlgen {trial.algorithm} {trial.task}"
    try:
        run = api.train(trial.algorithm, trial.task, runs=runs, progress=False, **trial.options)
    except Exception as error:
        yield Finding(
            "self-test failed", "problem", f"{command} stops with {type(error).__name__}: {error}", 0, command
        )
        return
    score = Folder(run.directory).metrics()[trial.metric][1][-1].mean()
    if not score >= trial.least:
        text = f"{command} reaches a {trial.name} of {score:.3g}, not {trial.least:.3g}"
        yield Finding("self-test failed", "problem", text, float(score), command)
    if different := resumed_differently(run.directory):
        text = f"{command}, resumed from its checkpoint before the last, differs in {', '.join(different)}"
        yield Finding("resume is not exact", "problem", text, len(different), command)


def resumed_differently(directory: Path) -> list[str]:
    """Trains the end of a finished run again, in a copy, from its checkpoint before the last.

    Returns the names of the files that differ then, of the log and of the last checkpoint.
    """
    from rlgen import api

    copy = directory.with_name(f"{directory.name}-again")
    shutil.copytree(directory, copy)
    last = newest_first(copy / "checkpoints")[0].name
    shutil.rmtree(copy / "checkpoints" / last)
    Folder(copy).describe(status="interrupted")
    api.resume(copy, progress=False)
    files = ("metrics.jsonl", f"checkpoints/{last}/tensors.safetensors")
    return [name for name in files if (directory / name).read_bytes() != (copy / name).read_bytes()]
