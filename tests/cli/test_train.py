import json
from pathlib import Path

import pytest

from rlgen import session
from rlgen.core import cores
from rlgen.core.folder import Folder
from rlgen.queue import processes

TINY = {
    "budget": 160, "log_every": 80, "save_every": 80, "eval_every": 160, "final_episodes": 2, "eval_episodes": 1,
    "epsilon_steps": 100,
}  # fmt: skip
FILE = (
    "\n".join(f"{name} = {value}" for name, value in TINY.items())
    + """
command = "qlearning"
task = "GridWorld"

[done]
seed = 3

[half]
seed = 4

[new]
seed = [5]
"""
)
ENTRY = ("qlearning", "GridWorld")


@pytest.fixture
def file(tmp_path):
    (tmp_path / "a.toml").write_text(FILE)
    return tmp_path / "a.toml"


@pytest.fixture
def status(monkeypatch):
    """Make a run of the file with a status, as training would leave it."""
    monkeypatch.setattr(session.Session, "draw_curves", lambda made: None)

    def make(name, status, **given):
        made = session.prepare(*ENTRY, {**TINY, **given}, runs=Path("runs"), name=name)
        if status == "finished":
            made.train(quiet=True)
        elif status != "created":
            made.run.describe(status=status)
        return made.run

    return make


def test_what_is_unfinished_is_trained_and_the_rest_left_out(rlgen, file, status, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    before = status("done", "finished", seed=3).info
    status("half", "created", seed=4)
    code, out, err = rlgen("train", "a.toml", "--workers", 2)
    assert code == 0, err
    assert "2 of 3 runs are left; 2 at a time" in err
    assert "new-seed-5  finished  score" in err
    assert [line.split()[:5:4] for line in out.splitlines()[2:]] == [
        ["done", "finished"], ["half", "finished"], ["new-seed-5", "finished"],
    ]  # fmt: skip
    assert Folder(Path("runs/done")).info == before
    made = Folder(Path("runs/new-seed-5")).info
    assert (made["seed"], made["plan"]["budget"], made["argv"][:3]) == (5, 160, ["rlgen", *ENTRY])
    monkeypatch.setattr(processes.children, "start", None)  # nothing is started
    code, out, err = rlgen("train", "a.toml", "--json")
    assert (code, err) == (0, "")
    runs = json.loads(out)["runs"]
    assert [(run["run"], run["status"], run["code"], run["episodes"]) for run in runs] == [
        ("runs/done", "finished", 0, 2), ("runs/half", "finished", 0, 2), ("runs/new-seed-5", "finished", 0, 2),
    ]  # fmt: skip
    assert rlgen("train", "a.toml", "--quiet")[1].split() == ["runs/done", "runs/half", "runs/new-seed-5"]


def test_a_dry_run_says_what_is_left_and_trains_nothing(rlgen, file, status, monkeypatch):
    monkeypatch.setattr(cores, "available", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    status("done", "finished", seed=3)
    status("half", "interrupted", seed=4)
    code, out, _ = rlgen("train", "a.toml", "--dry-run", "--workers", 3)
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert code == 0
    assert lines[1:3] == ["done finished 160 steps", "half interrupted 160 steps rlgen resume runs/half"]
    assert lines[3].startswith("new-seed-5 new 160 steps rlgen qlearning GridWorld --budget 160")
    assert lines[4] == "2 of 3 runs are left; 2 at a time, up to 4 threads each, on 8 cores; nothing was trained"
    found = json.loads(rlgen("train", "a.toml", "--dry-run", "--workers", 3, "--json")[1])
    assert (found["workers"], found["threads"]) == (3, 2)
    assert [run["command"] and run["command"][1] for run in found["runs"]] == [None, "resume", "qlearning"]
    assert sorted(path.name for path in Path("runs").iterdir()) == ["done", "half"]


def test_a_run_that_diverged_is_left_out_and_counts(rlgen, file, status):
    for name, seed in (("done", 3), ("new-seed-5", 5)):
        status(name, "finished", seed=seed)
    status("half", "diverged", seed=4)
    code, out, _ = rlgen("train", "a.toml")
    assert code == 3
    assert "diverged" in out


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"seed": 4}, "a.toml:11: runs/done has --seed 4, not 3"),
        ({"seed": 3, "budget": 170}, "a.toml:11: runs/done has --budget 170, not 160"),
        ({"seed": 3, "epsilon_steps": 200}, "a.toml:11: runs/done has --epsilon-steps 200, not 100"),
    ],
)
def test_a_folder_of_another_run_is_refused(rlgen, file, status, given, reason):
    status("done", "created", **given)
    code, _, err = rlgen("train", "a.toml")
    assert (code, err.count("\n")) == (2, 1)
    assert f"{reason}: choose another name for the table, or `rlgen rm done`" in err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((("task", "GridWorld"), ("task", "FrozenLake")), "is a run on rlgen/GridWorld-v0, not on FrozenLake"),
        ((("command", "qlearning"), ("command", "drqn")), "is a run of qlearning, not of drqn"),
    ],
)
def test_a_folder_of_another_algorithm_or_task_is_refused(rlgen, file, status, words, reason):
    status("done", "created", seed=3)
    old, new = (f'{name} = "{value}"' for name, value in words)
    file.write_text(file.read_text().replace(old, new))
    code, _, err = rlgen("train", "a.toml")
    assert code == 2
    assert reason.replace("rlgen/GridWorld-v0", Folder(Path("runs/done")).info["task"]) in err


def test_a_run_in_training_is_refused(rlgen, file, status):
    with status("done", "created", seed=3):
        code, _, err = rlgen("train", "a.toml")
    assert code == 2
    assert "a.toml:11: runs/done is being trained by process" in err


def test_a_file_without_a_run_is_one_line(rlgen, tmp_path):
    (tmp_path / "b.toml").write_text("")
    code, _, err = rlgen("train", "b.toml")
    assert (code, err.count("\n")) == (2, 1)
    assert "b.toml holds no run" in err
