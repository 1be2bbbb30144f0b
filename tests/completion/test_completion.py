"""What completes a command line."""

import json

import pytest

from rlgen import completion
from rlgen.core import labels, trash
from rlgen.core.folder import Folder


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
    """A folder with three runs, which is that of $RLGEN_RUNS."""
    import os

    monkeypatch.setenv("RLGEN_RUNS", str(tmp_path))
    for i, name in enumerate(("dqn-CartPole-1", "dqn-CartPole-2", "gan-mnist-1")):
        folder = Folder.create(tmp_path, "x", name)
        os.utime(folder.directory, (i, i))
    (tmp_path / "no-run").mkdir()
    return tmp_path


def words(*line):
    return [word for word, _ in completion.complete(list(line))]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["dq"], ["dqn"]),
        (["no"], ["note"]),
        (["--ver"], ["--version"]),
        (["dqn", "cartp"], ["CartPole", "CartPoleHidden"]),
        (["gan", "fashion"], ["fashion-mnist"]),
        (["dqn", "CartPole", ""], []),
        (["dqn", "CartPole", "--loss", ""], ["huber", "mse"]),
        (["dqn", "CartPole", "--loss=h"], ["huber"]),
        (["dqn", "CartPole", "--doub"], ["--double"]),
        (["dqn", "CartPole", "--double", "--doub"], []),
        (["dqn", "CartPole", "--double", "--target-update-i"], ["--target-update-interval"]),
        (["pixelcnn", "mnist", "--preset", ""], ["long"]),
        (["pixelcnn", "cifar10", "--preset", ""], ["long"]),
        (["classify", "mnist", "--network", "resnet20"], ["resnet20"]),
        (["find-lr", "classi"], ["classify"]),
        (["find-lr", "classify", "mnis"], []),
        (["list", "pre"], ["presets"]),
        (["eval", "DQN"], ["dqn-CartPole-2", "dqn-CartPole-1"]),
        (["eval", "lat"], ["latest"]),
        (["eval", "latest", "dqn"], []),
        (["plot", "dqn-CartPole-1", "dqn"], ["dqn-CartPole-2"]),
        (["eval", "--checkpoint", "b"], ["best"]),
        (["eval", "--episodes", "dqn"], []),
        (["summary", "lenet5-"], ["lenet5-1998"]),
        (["summary", "gan"], ["gan-mnist-1"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["lesson", "drop"], ["dropout"]),
        (["unknown", ""], []),
        (["--", "x"], []),
    ],
)
def test_words(line, expected):
    assert words(*line) == expected


def test_every_command_is_completed_and_has_a_text():
    found = dict(completion.complete([""]))
    assert {"dqn", "gan", "classify", "runs", "doctor", "ui"} <= set(found)
    assert all(found.values())


def test_the_newest_run_is_first_and_removed_ones_are_not_there(runs):
    assert words("rm", "")[1:] == ["gan-mnist-1", "dqn-CartPole-2", "dqn-CartPole-1"]
    trash.remove([Folder(runs / "gan-mnist-1")])
    assert words("eval", "gan") == []


def test_runs_of_the_folder_that_is_typed(runs):
    Folder.create(runs / "other", "x", "vae-1")
    assert words("eval", "--runs", str(runs / "other"), "v") == ["vae-1"]
    assert words("eval", f"--runs={runs}/other", "v") == ["vae-1"]


def test_metrics_are_those_in_the_log_of_the_run(runs):
    rows = [{"time": 0, "eval_return": 1}, {"time": 5, "loss": 1, "q": [1, 2]}]
    for name, part in (("dqn-CartPole-1", rows), ("gan-mnist-1", [{"time": 0, "eval_nats": 5}])):
        (runs / name / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    assert words("plot", "dqn-CartPole-1", "--metric", "") == ["eval_return", "loss", "q"]
    assert words("plot", "dqn-CartPole-1", "--metric", "q,l") == ["q,loss"]
    assert words("plot", "--metric", "eval") == ["eval_nats"]  # of the newest run
    (runs / "gan-mnist-1" / "metrics.jsonl").write_text("{torn")
    assert "eval_return" in words("plot", "--metric", "eval")


def test_tags(runs):
    labels.add_tags(runs / "gan-mnist-1", ["paper", "old"])
    assert words("runs", "--tag", "") == ["old", "paper"]
    assert words("tag", "gan-mnist-1", "p") == ["paper"]
    (runs / "dqn-CartPole-1" / "labels.json").write_text('{"tags": 3}')
    assert words("runs", "--tag", "p") == ["paper"]


def test_bash_splits_words_at_the_equals_sign():
    split = completion.split_options
    assert split(["dqn", "CartPole", "--loss", "=", "h"]) == ["dqn", "CartPole", "--loss=h"]
    assert split(["dqn", "--loss", "="]) == ["dqn", "--loss="]
    assert split(["dqn", "--loss=", "mse", "x"]) == ["dqn", "--loss=mse", "x"]


def test_hostile_names_of_runs_are_quoted_for_bash_or_left_out(runs, monkeypatch, capsys):
    for name in ("$(touch owned)", "a;b 'c'", "tab\there", "esc\x1b[31m", "*"):
        Folder.create(runs, "x").directory.rename(runs / name)
    monkeypatch.setenv(completion.VARIABLE, "bash")
    monkeypatch.setattr("sys.argv", ["rlgen", "eval", ""])
    completion.main()
    out = capsys.readouterr().out.splitlines()
    assert {"\\$\\(touch\\ owned\\)", "a\\;b\\ \\'c\\'", "\\*"} <= set(out)
    assert not [line for line in out if "tab" in line or "esc" in line]


def test_a_broken_table_prints_nothing(monkeypatch, capsys):
    monkeypatch.setattr(completion, "complete", lambda words: 1 / 0)
    monkeypatch.setenv(completion.VARIABLE, "zsh")
    monkeypatch.setattr("sys.argv", ["rlgen", ""])
    completion.main()
    assert capsys.readouterr() == ("", "")
