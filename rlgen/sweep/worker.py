"""A worker trains runs of a study one after the other until none is left: `python -m rlgen.sweep.worker STUDY`."""

import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from rlgen import session
from rlgen.core import signals
from rlgen.core.children import end_with_parent
from rlgen.core.config import words
from rlgen.core.errors import Diverged, Interrupted, StorageError, UserError
from rlgen.core.folder import Folder
from rlgen.core.signals import Stopped
from rlgen.core.terminal import show
from rlgen.sweep import claims, pruning, trials
from rlgen.sweep import study as studies
from rlgen.sweep.claims import Claim
from rlgen.sweep.study import Study

POLL = 1.0  # seconds between two looks at the runs of others
DEATHS = 3  # of processes at a run, one after the other without a checkpoint between them, that make it a failed one
log = logging.getLogger("rlgen")


def work(study: Study, trust: bool = False, ended: Callable[[str], object] = lambda name: None) -> None:
    """Train what is left of a study; `ended` is called with the name of each run. Raises Interrupted after Ctrl-C.

    Returns once all trials and tests are at their end, those of other processes included.
    """
    with _stoppable(study):
        while (taken := claims.following(study)) != "done":
            if taken == "wait":
                time.sleep(POLL)
                continue
            with taken as claim:
                train(study, claim, trust)
            ended(claim.name)


def train(study: Study, claim: Claim, trust: bool = False) -> None:
    """Train a run to its end, from its last checkpoint where there is one; a failure is noted, and no error.

    Raises Interrupted after Ctrl-C and StorageError where the disk is full: the run is not at its end then.
    """
    folder = study.folder / claim.name
    before, began = float(trials.json(folder / trials.FILE).get("seconds") or 0.0), time.process_time()
    facts: dict[str, Any] = {}
    try:
        prepared = _prepared(study, claim, trust)
        if study.pruner != "none" and claim.role == "tuning" and claim.run == 1:
            prepared.run.row_callbacks.append(pruning.Pruning(study, claim, prepared.run))
        with redirect_stdout(sys.stderr):
            prepared.train(quiet=True)
    except pruning.Pruned as pruned:
        facts = {"state": "pruned", "reason": str(pruned)}
    except Diverged as error:
        facts = {"state": "diverged", "reason": str(error)}
    except (Interrupted, Stopped, StorageError):
        raise
    except Exception as error:
        facts = {"state": "failed", "reason": _reason(error)}
        if not isinstance(error, UserError):
            log.warning(f"{claim.name}: {''.join(traceback.format_exception(error))}")
    finally:
        if folder.is_dir():
            trials.keep(folder, **facts, seconds=round(before + time.process_time() - began, 3))
    if facts and not folder.is_dir():  # refused before it began
        _record(study, claim, facts)


def options(study: Study, claim: Claim) -> dict[str, Any]:
    """The settings of a run beside those that are searched."""
    count = study.seeds if claim.role == "tuning" else study.test_seeds
    seeds = {"seeds": count} if study.seeds_in_one_run and not claim.trials else {}
    return {**study.settings, "seed": claim.seeds[0], **seeds}


def _prepared(study: Study, claim: Claim, trust: bool) -> session.Session:
    folder = Folder(study.folder / claim.name)
    if (folder.directory / "run.json").exists():
        return session.reopen(folder, {}, trust)
    given = options(study, claim)
    preset = ["--preset", study.preset] if study.preset else []
    command = ["rlgen", study.algorithm, study.task, *words({**given, **claim.settings}), *preset]
    return session.prepare(
        study.algorithm,
        study.task,
        given,
        runs=study.folder,
        name=claim.name,
        file=claim.settings,  # a setting without an effect beside the others of its trial is no error
        preset=study.preset,
        argv=["rlgen", "sweep", "--join", study.name] if claim.trials else command,
        facts={"trial": claim.facts},
        batch=[{**trial["settings"], "seed": seed} for trial in claim.trials for seed in trial["seeds"]],
    )


def _record(study: Study, claim: Claim, facts: dict[str, Any]) -> None:
    """A folder for a run that could not begin, so that its failure counts."""
    Folder.create(
        study.folder,
        claim.name,
        claim.name,
        lambda folder: trials.keep(folder.directory, **facts, seconds=0.0),
        kind=study.entry.kind.name,
        algorithm=study.algorithm,
        task=study.task,
        seed=claim.seeds[0],
        trial=claim.facts,
        error=facts["reason"],
        time=0,
    )


def _reason(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return "out of memory"
    return f"{type(error).__name__}: {error}"


@contextmanager
def _stoppable(study: Study) -> Iterator[None]:
    """Within it Ctrl-C and SIGTERM raise Interrupted, also between two runs."""
    again = f"`rlgen sweep --join {study.folder}` continues"
    try:
        with signals.handled():
            yield
    except Stopped as stopped:
        raise Interrupted(stopped.number, f"stopped: {again}") from None
    except Interrupted as stopped:
        raise Interrupted(stopped.code - 128, f"{str(stopped).split(':')[0]}: {again}", stopped.saved) from None


def main() -> None:
    """A worker as a process of its own, which ends with the one that started it: at the end of its stdin."""
    end_with_parent()
    try:
        work(studies.load(Path(sys.argv[1])), trust="--trust" in sys.argv[2:])
    except UserError as error:
        if not isinstance(error, Interrupted):
            show(f"error: {error}", error=True)
        sys.exit(error.code)


if __name__ == "__main__":
    main()
