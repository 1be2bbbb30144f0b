import os
import signal
import threading
import time

import pytest

from rlgen.core.errors import Interrupted, StorageError, UserError
from rlgen.core.folder import Folder
from rlgen.sweep import ledger, opening, pool, trials
from rlgen.sweep import study as studies
from rlgen.sweep.pool import DEATHS

LONG = {"budget": 3000, "final_episodes": 2, "eval_episodes": 1, "save_every": 500, "log_every": 500}


def running(study):
    """The process of a run in training."""
    return next((run.info["pid"] for run in trials.runs(study.folder) if run.info.get("status") == "running"), None)


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced_and_its_trial_taken_up_again(begin):
    study, killed = begin(trials=3, settings=LONG), []

    def kill():
        if not killed and (pid := running(study)):
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    pool.work(study, 2, False, kill)
    assert killed
    assert [t.state for t in trials.read(study.folder)] == ["complete"] * 4
    died = [run.kept["deaths"] for run in trials.runs(study.folder) if "deaths" in run.kept]
    assert died == [1]


@pytest.mark.slow
def test_ctrl_c_saves_all_runs_and_the_study_is_joined(begin):
    study = begin(trials=2, settings=LONG, test_seeds=0)

    def press():
        if running(study):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match=r"`rlgen sweep --join .*study` continues") as stopped:
        pool.work(study, 2, False, press)
    assert stopped.value.code == 130
    assert not running(study)
    opening.train(study, 1, False, True)
    assert [t.state for t in trials.read(study.folder)] == ["complete"] * 2


def died(study, time_=100):
    folder = Folder.create(study.folder, "x", "trial-0001", algorithm="qlearning", time=time_, trial={
        "number": 1, "settings": {"lr": 0.1}, "role": "tuning", "seeds": [2], "run": 1, "runs": 1,
    })  # fmt: skip
    folder.describe(status="running", pid=99)
    return folder


def test_a_run_whose_processes_die_at_the_same_checkpoint_fails(begin):
    study = begin(trials=1)
    folder = died(study)
    for number in range(DEATHS):
        assert trials.read(study.folder)[0].state == "running"
        if number == 1:
            folder.describe(time=200)  # a checkpoint: counted anew
            pool._may_continue(study, 1, 99, -9)
        assert pool._may_continue(study, 1, 99, -9)
    (trial,) = trials.read(study.folder)
    assert (trial.state, trial.reason) == ("failed", "its process died 3 times by signal 9, at 200")


def test_a_worker_that_is_refused_ends_the_study_with_its_message(begin):
    study = begin()
    (study.folder / pool.LOGS).mkdir()
    (study.folder / pool.LOGS / "1.txt").write_text("loading\nerror: the disk is full\n")
    with pytest.raises(UserError, match=r"^the disk is full$") as refused:
        pool._may_continue(study, 1, 99, StorageError.code)
    assert refused.value.code == StorageError.code
    with pytest.raises(UserError, match="died by signal 11 before it began"):
        pool._may_continue(study, 1, 99, -11)


def test_a_study_that_another_process_holds_is_named(begin, monkeypatch):
    study = begin()
    monkeypatch.setattr(studies, "PATIENCE", 0.1)
    holding, done = threading.Event(), threading.Event()

    def hold():
        with study.locked():
            holding.set()
            done.wait(10)

    other = threading.Thread(target=hold)
    other.start()
    holding.wait(10)
    try:
        began = time.monotonic()
        with pytest.raises(StorageError, match=r"study.lock has been held by another process.*--join study"):
            ledger.opened(study).__enter__()
        assert time.monotonic() - began < 5
    finally:
        done.set()
        other.join()


def test_a_journal_of_another_optuna_is_refused(begin):
    study = begin()
    studies._write(study, versions={"optuna": "1.5.0"})
    with pytest.raises(StorageError, match=r"journal.log was written by optuna 1.5.0 and this is .*: install"):
        opening.joined(study.folder.parent, "study", None, None, {})


def test_a_study_that_was_changed_or_is_of_a_newer_rlgen_is_refused(begin):
    study = begin()
    path = study.folder / studies.FILE
    content = path.read_text()
    path.write_text(content.replace("0.01..1", "0.01..2"))
    with pytest.raises(UserError, match="was changed after it was written"):
        studies.load(study.folder)
    path.write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        studies.load(study.folder)
