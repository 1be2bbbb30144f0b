"""The journal of a study, by which optuna learns what was tried: it follows the run folders and can be made from them.

Every access is one transaction under the lock of the study, so what a killed process leaves is seen by the next one: a
torn last line is cut off, and a journal that cannot be read, or that is not of these folders, is written anew.
"""

import logging
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlgen.core.errors import StorageError, UserError
from rlgen.core.terminal import visible
from rlgen.sweep import trials
from rlgen.sweep.samplers import distribution
from rlgen.sweep.study import JOURNAL, Study
from rlgen.sweep.trials import Trial

if TYPE_CHECKING:
    import optuna

DAMAGED = ".damaged"  # end of the name of a journal that was replaced
ANSWER = 10  # seconds of waiting for a proxy
INSTALL = "`pip install 'rlgen[sweep]'`"
log = logging.getLogger("rlgen")


def require() -> None:
    """Raise UserError where optuna is not installed, and quieten it."""
    try:
        import optuna
    except ImportError:
        raise UserError(f"rlgen sweep needs optuna: {INSTALL}") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def check_version(study: Study) -> None:
    """Raise StorageError where the study was made with another major version of optuna."""
    theirs = (trials.json(study.folder / "study.json").get("versions") or {}).get("optuna", "")
    try:
        own = version("optuna")
    except PackageNotFoundError:
        return
    if theirs and theirs.split(".")[0] != own.split(".")[0]:
        raise StorageError(
            f"{study.folder / JOURNAL} was written by optuna {visible(str(theirs))} and this is {own}:"
            f" install optuna {visible(str(theirs))}, or make another study"
        )


@contextmanager
def opened(study: Study) -> Iterator[tuple["optuna.Study", list[Trial]]]:
    """The journal as it follows from the trials, and these, with the lock of the study held."""
    require()
    with study.locked():
        found = trials.read(study.folder)
        yield _following(study, [trial for trial in found if trial.role == "tuning"]), found


def _following(study: Study, tuned: list[Trial]) -> "optuna.Study":
    """The journal of these trials: the one that is there, brought up to date, or a new one."""
    try:
        ledger = _open(study)
        fits = _fits(ledger, tuned)
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError, NotImplementedError) as error:
        log.warning(f"{study.folder / JOURNAL} cannot be read ({error}): it is written anew from the run folders")
        fits = False
    if not fits:
        ledger = _anew(study)
    known = ledger.get_trials(deepcopy=False)
    for trial in tuned:
        if trial.number > len(known):
            for _ in range(trial.number - 1 - len(known)):  # of folders that were removed
                ledger.add_trial(_absent())
            ledger.add_trial(_record(study, trial))
            known = ledger.get_trials(deepcopy=False)
        elif trial.state != "running" and not known[trial.number - 1].state.is_finished():
            _tell(study, ledger, trial)
    return ledger


def _open(study: Study) -> "optuna.Study":
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    storage: Any
    lock: Any
    if study.storage:
        storage = _proxy(study.storage)
    else:
        path, lock = study.folder / JOURNAL, _Locked()
        _cut(path)
        storage = JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
    return optuna.create_study(
        storage=storage,
        study_name=study.name,
        direction="maximize",  # the score, or minus the score where a lower one is better
        load_if_exists=True,
        pruner=_pruner(study),
    )


def _proxy(url: str) -> Any:
    """The storage behind a proxy of optuna. Raises StorageError where it does not answer, UserError without grpcio."""
    from optuna.storages import GrpcStorageProxy

    host, _, port = url.removeprefix("grpc://").partition(":")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # optuna calls it experimental
        try:
            storage = GrpcStorageProxy(host=host, port=int(port))
            storage.wait_server_ready(timeout=ANSWER)
        except ImportError as error:
            raise UserError(f"--storage {url} needs grpcio: `pip install grpcio protobuf` ({error})") from None
        except ConnectionError:
            raise StorageError(
                f"no proxy of optuna answers at {url}: optuna.storages.run_grpc_proxy_server starts one"
            ) from None
    return storage


def _pruner(study: Study) -> "optuna.pruners.BasePruner":
    from optuna.pruners import NopPruner, SuccessiveHalvingPruner, WilcoxonPruner

    if study.pruner == "sha":
        return SuccessiveHalvingPruner()
    if study.pruner == "wilcoxon":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # optuna calls it experimental
            return WilcoxonPruner()
    return NopPruner()


def _fits(ledger: "optuna.Study", tuned: list[Trial]) -> bool:
    """Whether the trials of the journal are those of the folders: one that has no folder is of a torn transaction."""
    known = ledger.get_trials(deepcopy=False)
    by_number = {trial.number: trial for trial in tuned}
    for each in known:
        trial = by_number.get(each.number + 1)
        if trial is None and not each.state.is_finished():
            return False
        if trial is not None and any(each.params.get(name, value) != value for name, value in trial.settings.items()):
            return False
        if trial is not None and each.state.is_finished() and trial.state == "running":
            return False
        if trial is not None and not each.state.is_finished() and len(each.params) < len(trial.settings):
            return False
    return True


def _anew(study: Study) -> "optuna.Study":
    """An empty journal; the former one is kept beside it."""
    import optuna

    if study.storage:
        ledger = _open(study)
        optuna.delete_study(study_name=study.name, storage=ledger._storage)
    else:
        path = study.folder / JOURNAL
        path.replace(path.with_name(path.name + DAMAGED))
    return _open(study)


def _cut(path: Path) -> None:
    """Remove a last line that a killed process has not completed."""
    if not path.exists():
        return
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)


def _tell(study: Study, ledger: "optuna.Study", trial: Trial) -> None:
    state, value = _ended(study, trial)
    ledger.tell(trial.number - 1, value, state=state)


def _ended(study: Study, trial: Trial) -> tuple["optuna.trial.TrialState", float | None]:
    """State and value of a trial at its end.

    A diverged one is as a pruned one without a value, which samplers take for worse than all others.
    """
    from optuna.trial import TrialState

    if trial.state == "complete":
        sign = -1 if trials.better(study.folder) == "lower" else 1
        return TrialState.COMPLETE, sign * trial.score
    return (TrialState.FAIL if trial.state == "failed" else TrialState.PRUNED), None


def _record(study: Study, trial: Trial) -> "optuna.trial.FrozenTrial":
    """A trial of the journal from that of the folders."""
    from optuna.trial import TrialState, create_trial

    distributions = {name: distribution(each) for name, each in study.space.items()}
    params: Mapping[str, Any] = {name: trial.settings[name] for name in distributions}
    state, value = (TrialState.RUNNING, None) if trial.state == "running" else _ended(study, trial)
    assert value is None or math.isfinite(value)
    return create_trial(state=state, value=value, params=dict(params), distributions=distributions)


def _absent() -> "optuna.trial.FrozenTrial":
    from optuna.trial import TrialState, create_trial

    return create_trial(state=TrialState.FAIL)


class _Locked:
    """The lock of a journal whose every use is within that of the study."""

    def acquire(self) -> bool:
        """Nothing to do."""
        return True

    def release(self) -> None:
        """Nothing to do."""
