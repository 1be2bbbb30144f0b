import json
import shutil
import socket
import threading
import warnings
from functools import partial

import pytest

from rlgen.core.errors import Diverged, EnvironmentFault, StorageError
from rlgen.core.folder import Folder
from rlgen.session import Session
from rlgen.sweep import ledger, opening, samplers, trials, worker
from rlgen.sweep import study as studies
from rlgen.sweep.study import JOURNAL, Failed
from tests.sweep.tiny import TINY

LONGER = {**TINY, "budget": 300, "save_every": 100}


def outcome(study):
    return [(t.role, t.number, t.settings, t.state, t.scores, t.seeds) for t in trials.read(study.folder)]


def journal(study):
    """State, value and parameters of each trial of optuna."""
    with ledger.opened(study) as (optuna, _):
        return [(t.state.name, t.values, t.params) for t in optuna.get_trials()]


def test_every_trial_is_a_run_folder_and_the_best_is_trained_again_on_fresh_seeds(begin):
    study = begin()
    ended = []
    worker.work(study, ended=ended.append)
    found = trials.read(study.folder)
    tuned, tests = found[:3], found[3:]
    assert [(t.role, t.number, t.state) for t in tuned] == [("tuning", n, "complete") for n in (1, 2, 3)]
    best = min(tuned, key=lambda t: (-t.score, t.number))
    assert [(t.role, t.number, t.settings) for t in tests] == [("test", best.number, best.settings)]
    assert ended == ["trial-0001", "trial-0002", "trial-0003", f"test-{best.number:04d}-1"]
    assert all(len(t.scores) == 2 and t.seconds > 0 for t in found)
    info = Folder(study.folder / "trial-0001").info
    assert info["status"] == "finished"
    assert info["trial"]["settings"] == tuned[0].settings
    assert {name: info["config"][name] for name in ("lr", "gamma", "seeds")} == {**tuned[0].settings, "seeds": 2}
    assert info["seed"] == tuned[0].seeds[0]
    assert "--lr" in info["argv"]


def test_seeds_of_tuning_and_of_tests_never_meet(begin):
    study = begin(trials=2, finalists=2)
    worker.work(study)
    found = trials.read(study.folder)
    assert all(seed % 2 == (t.role == "test") for t in found for seed in t.seeds)
    assert len({seed for t in found for seed in t.seeds}) == 4


def test_the_journal_follows_the_folders_and_is_made_from_them(begin):
    study = begin()
    worker.work(study)
    before = journal(study)
    values = [[t.score] for t in trials.read(study.folder)[:3]]
    assert [(state, value) for state, value, _ in before] == [("COMPLETE", value) for value in values]
    (study.folder / JOURNAL).unlink()
    shutil.rmtree(study.folder / trials.CLAIMS)
    assert journal(study) == before


@pytest.mark.parametrize("damage", [b'{"op_code": 4, "wor', b"nonsense\n", b'{"op_code": 99}\n'])
def test_a_damaged_journal_is_repaired(begin, damage):
    study = begin(trials=2, test_seeds=0)
    worker.work(study)
    before = journal(study)
    with (study.folder / JOURNAL).open("ab") as file:
        file.write(damage)
    assert journal(study) == before


def test_a_line_that_a_killed_process_has_torn_is_cut_off(begin):
    study = begin(trials=1, test_seeds=0)
    worker.work(study)
    with (study.folder / JOURNAL).open("ab") as file:
        file.write(b'{"op_code": 4, "wor')
    worker.work(studies.extend(study, {"trials": 2}))
    assert len(journal(study)) == 2
    assert not (study.folder / f"{JOURNAL}{ledger.DAMAGED}").exists()


def test_a_trial_that_was_drawn_and_not_claimed_is_forgotten(begin):
    study = begin()
    with ledger.opened(study) as (optuna, _):
        samplers.draw(study, optuna, 1)
    assert journal(study) == []


def test_a_study_is_repeated_exactly_whatever_was_lost_of_its_journal(begin):
    straight, broken = begin("straight", test_seeds=0), begin("broken", test_seeds=0)
    worker.work(straight)

    def lose(name):
        path = broken.folder / JOURNAL
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * 0.9)])

    worker.work(broken, ended=lose)
    assert outcome(broken) == outcome(straight)


AGENT = {**TINY, "width": 4, "depth": 1, "batch": 8, "learning_starts": 20, "train_freq": 8, "threads": 1}


def test_trials_that_differ_in_numbers_alone_are_members_of_one_run(begin):
    study = begin(algorithm="dqn", task="CartPole", search={"lr": "1e-4..1e-2:log"}, settings=AGENT, together=2)
    worker.work(study)
    found = trials.read(study.folder)
    assert [(t.role, t.number, t.state, len(t.scores), len(t.seeds), t.folder.name) for t in found[:3]] == [
        ("tuning", 1, "complete", 2, 2, "trials-0001-0002"),
        ("tuning", 2, "complete", 2, 2, "trials-0001-0002"),
        ("tuning", 3, "complete", 2, 2, "trials-0003-0003"),
    ]
    assert (found[3].role, len(found[3].scores)) == ("test", 2)
    info = Folder(found[0].folder).info
    expected = [{"lr": t.settings["lr"], "seed": seed} for t in found[:2] for seed in t.seeds]
    assert info["members"] == expected
    assert info["result"]["per_seed"] == [*found[0].scores, *found[1].scores]
    assert len({t.settings["lr"] for t in found[:3]}) == 3
    assert journal(study)[1][1] == [found[1].score]
    (study.folder / JOURNAL).unlink()
    assert journal(study)[1][1] == [found[1].score]


def test_a_trial_of_which_a_member_diverged_has_diverged(begin):
    study = begin(trials=2)
    facts = {"number": 1, "role": "tuning", "settings": {}, "seeds": [2, 4, 6, 8], "run": 1, "runs": 1}
    facts["trials"] = [{"number": n, "settings": {"lr": n / 10, "gamma": 0.9}, "seeds": [n, n]} for n in (1, 2)]
    result = {"score": 2.0, "per_seed": [1.0, 2.0, 3.0, 4.0], "diverged": [2]}
    folder = Folder.create(study.folder, "x", "trials-0001-0002", algorithm="qlearning", trial=facts, result=result)
    folder.describe(status="finished")
    first, second = trials.read(study.folder)
    assert (first.state, first.scores) == ("complete", (1.0, 2.0))
    assert (second.state, second.scores) == ("diverged", ())


@pytest.mark.slow
def test_a_study_without_seeds_in_one_run_trains_a_run_per_seed(begin):
    settings = {"budget": 200, "batch": 200, "width": 4, "depth": 1, "latent": 2, "log_every": 200, "eval_every": 200}
    study = begin(algorithm="ae", task="digits", search={"lr": "1e-3,1e-2"}, settings=settings, sampler="grid",
                  trials=9, seeds=2, finalists=1, test_seeds=2)  # fmt: skip
    worker.work(study)
    found = trials.read(study.folder)
    assert [(t.role, t.state, len(t.scores), len(t.seeds)) for t in found] == [
        ("tuning", "complete", 2, 2), ("tuning", "complete", 2, 2), ("test", "complete", 2, 2)
    ]  # fmt: skip
    assert {path.name for path in study.folder.glob("t*-*")} == {
        "trial-0001-1", "trial-0001-2", "trial-0002-1", "trial-0002-2",
        f"test-{found[2].number:04d}-1", f"test-{found[2].number:04d}-2",
    }  # fmt: skip
    assert trials.better(study.folder) == "lower"
    assert found[2].number == min(found[:2], key=lambda t: t.score).number
    assert {t.settings["lr"] for t in found[:2]} == {1e-3, 1e-2}  # every point of the grid, once


def failing(monkeypatch, error):
    monkeypatch.setattr(Session, "train", lambda *_, **__: (_ for _ in ()).throw(error))


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (Diverged("the loss is nan"), "diverged"),
        (EnvironmentFault("the environment broke", "step"), "failed"),
        (RuntimeError("broken"), "failed"),
        (MemoryError(), "failed"),
    ],
)
def test_trials_that_fail_count_and_a_study_of_them_alone_fails(begin, monkeypatch, error, state):
    study = begin(trials=2)
    failing(monkeypatch, error)
    with pytest.raises(Failed, match="none of 2 trials of study has a score, 2 of them by") as refused:
        opening.train(study, 1, False, True)
    assert refused.value.code == 3
    assert [t.state for t in trials.read(study.folder)] == [state] * 2
    assert {name for name, _, _ in journal(study)} == {"PRUNED" if state == "diverged" else "FAIL"}


def test_settings_that_contradict_each_other_are_a_failed_trial(begin):
    study = begin(algorithm="dqn", task="CartPole", search={"batch": "100"}, settings={"buffer_size": 50, "budget": 50})
    with pytest.raises(Failed, match="--batch 100 is more than --buffer-size 50"):
        opening.train(study, 1, False, True)
    assert Folder(study.folder / "trial-0001").info["error"].startswith("--batch")


def test_a_full_disk_stops_a_study_and_fails_no_trial(begin, monkeypatch):
    study = begin(trials=1, test_seeds=0)
    with monkeypatch.context() as patched:
        failing(patched, StorageError("the disk is full"))
        with pytest.raises(StorageError):
            worker.work(study)
    assert [t.state for t in trials.read(study.folder)] == ["running"]
    worker.work(study)
    assert [t.state for t in trials.read(study.folder)] == ["complete"]


def test_a_run_that_a_worker_left_is_taken_up_from_its_checkpoint(begin, monkeypatch):
    straight = begin("straight", trials=1, settings=LONGER, test_seeds=0)
    worker.work(straight)
    study = begin("left", trials=1, settings=LONGER, test_seeds=0)
    from rlgen.core import fit

    real, saves = fit._save, []

    def save(run, algorithm, planned, last=False):
        real(run, algorithm, planned, last)
        saves.append(algorithm.time)
        if saves == [104]:
            raise StorageError("gone")

    monkeypatch.setattr(fit, "_save", save)
    with pytest.raises(StorageError):
        worker.work(study)
    worker.work(study)
    assert saves == [104, 208, 312]
    assert outcome(study) == outcome(straight)
    name = "trial-0001/metrics.jsonl"
    assert (study.folder / name).read_bytes() == (straight.folder / name).read_bytes()
    assert json.loads((study.folder / "trial-0001/trial.json").read_text())["seconds"] > 0


@pytest.mark.slow
def test_a_proxy_of_optuna_is_the_storage_of_many_hosts(begin, monkeypatch):
    pytest.importorskip("grpc")
    optuna = pytest.importorskip("optuna")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    study = begin(trials=1, test_seeds=0, storage=f"grpc://localhost:{port}")
    monkeypatch.setattr(ledger, "ANSWER", 0.5)
    with pytest.raises(StorageError, match=f"no proxy of optuna answers at grpc://localhost:{port}"):
        worker.work(study)
    monkeypatch.undo()
    served = optuna.storages.InMemoryStorage()
    warnings.simplefilter("ignore")  # optuna calls it experimental
    serve = partial(optuna.storages.run_grpc_proxy_server, served, host="localhost", port=port)
    threading.Thread(target=serve, daemon=True).start()
    worker.work(study)
    (told,) = served.get_all_trials(0)
    assert told.values == [trials.read(study.folder)[0].score]
    assert not (study.folder / JOURNAL).exists()
