"""`rlgen sweep show`, and a study as one line of `rlgen runs` that unfolds."""

import json

import pytest

from rlgen.core import lock
from rlgen.core.folder import Folder
from tests.sweep.made_up import folder, trial

FACTS = {"algorithm": "dqn", "task": "CartPole", "time": 0, "plan": {"budget": 10}, "kind": "agent"}


@pytest.fixture
def made(tmp_path):
    """A study of seven trials, one of them diverged, between two runs."""
    Folder.create(tmp_path / "runs", "x", **FACTS).describe(created="2026-01-01T00:00:00+00:00")
    trials = [trial(i, [float(i)] * 4, lr=i / 100, n_step=1 + i % 2) for i in range(1, 7)]
    trials += [trial(7, [], "diverged", lr=0.5, n_step=1), trial(6, [5.0] * 4, role="test", lr=0.06, n_step=1)]
    search = {"lr": "0.01..1", "n_step": "1,2"}
    made = folder(tmp_path / "runs", trials, search=search, finalists=1)
    Folder.create(tmp_path / "runs", "y", **FACTS).describe(created="2996-01-01T00:00:00+00:00")
    return made


def test_the_report(rlgen, made):
    code, out, _ = rlgen("sweep", "show", "made-up")
    assert code == 0
    assert "dqn on CartPole-v1, 7 trials (6 complete, 1 diverged)" in out
    assert "6 [6, 6]" in out
    assert out.rstrip().splitlines()[-1] == "runs/made-up/parallel.png"
    assert (made / "history.png").is_file()


def test_the_report_as_json(rlgen, made):
    code, out, _ = rlgen("sweep", "show", "runs/made-up", "--json")
    told = json.loads(out)
    assert code == 0
    assert told["held_out"][0]["gap"]["value"] == 1
    assert told["pictures"] == [f"runs/made-up/{n}.png" for n in ("history", "price", "parallel")]


@pytest.mark.parametrize(("words", "message"), [
    (("show", "made-down"), "did you mean made-up?"),
    (("show",), "Missing argument 'STUDY'"),
    (("show", "x-1"), "no study 'x-1'"),
])  # fmt: skip
def test_no_such_study(rlgen, made, words, message):
    code, _, err = rlgen("sweep", *words)
    assert (code, message in err) == (2, True)


def test_the_help(rlgen):
    code, out, _ = rlgen("sweep", "show", "--help")
    assert code == 0
    assert "rlgen sweep show sweep-dqn-CartPole-1 --json" in out


def test_runs_shows_a_study_as_one_line(rlgen, made):
    head, first, second, third = rlgen("runs")[1].splitlines()
    assert head.split() == ["run", "algorithm", "task", "status", "progress", "best", "age"]
    assert [line.split()[0] for line in (first, second, third)] == ["x-1", "made-up", "y-1"]
    assert second.split()[1:8] == ["dqn", "CartPole-v1", "finished", "7/7", "trials", "(1", "diverged)"]
    assert second.split()[8] == "6.0"
    row = json.loads(rlgen("runs", "--json")[1])[1]
    assert (row["time"], row["budget"], row["trials"]) == (7, 7, {"complete": 6, "diverged": 1})


def test_it_unfolds_into_its_runs(rlgen, made):
    head, *lines = rlgen("runs", "MADE-UP")[1].splitlines()
    assert head.split()[-1] == "settings"
    assert [line.split()[0] for line in lines][::7] == ["made-up/trial-0001", "made-up/test-0006-1"]
    assert lines[0].endswith("lr=0.01 n_step=2")
    assert lines[6].split()[3] == "diverged"
    rows = json.loads(rlgen("runs", "runs/made-up", "--json")[1])
    assert rows[-1]["trial"] == {
        "number": 6, "settings": {"lr": 0.06, "n_step": 1}, "role": "test", "run": 1, "runs": 1,
        "seeds": [1000, 1001, 1002, 1003],
    }  # fmt: skip


def test_a_run_of_several_trials_is_listed_with_their_numbers(rlgen, made):
    several = [{"number": n, "settings": {"lr": n / 10}, "seeds": [n]} for n in (1, 2, 3)]
    Folder(made / "trial-0002").describe(trial={"number": 1, "settings": {}, "trials": several})
    assert rlgen("runs", "made-up")[1].splitlines()[2].endswith("trials 1 to 3")


def test_the_status_of_a_study(rlgen, made):
    def status():
        return {row["name"]: row["status"] for row in json.loads(rlgen("runs", "--json")[1])}["made-up"]

    run = Folder(made / "trial-0003")
    run.describe(status="running")
    assert status() == "interrupted"
    held = lock.acquire(run.directory)
    assert status() == "running"
    held.release()


def test_an_unreadable_study_is_named_and_others_are_listed(rlgen, made):
    (made / "study.json").write_text("{")
    out = rlgen("runs")[1]
    assert "unreadable  made-up: runs/made-up/study.json cannot be read" in out
    assert "x-1" in out
    code, _, err = rlgen("sweep", "show", "made-up")
    assert (code, "study.json cannot be read" in err) == (2, True)


def test_no_such_study_to_unfold(rlgen, made):
    code, _, err = rlgen("runs", "made-app")
    assert (code, "no study 'made-app' in runs: did you mean made-up?" in err) == (2, True)
    code, _, err = rlgen("runs", "zzz")
    assert (code, "there is made-up" in err) == (2, True)
