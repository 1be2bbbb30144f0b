"""Errors as one line with an exit code, and the help."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rlgen.cli import main as cli


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["dqm", "CartPole"], 2, "dqn"),
        (["dqn", "Cartpol"], 2, "did you mean CartPole?"),
        (["dqn", "Pendulum"], 2, "only Discrete"),
        (["dqn", "CartPole", "--lr", "-1"], 2, "--lr"),
        (["dqn", "CartPole", "--lr", "fast"], 2, "--lr"),
        (["dqn", "CartPole", "--lrr", "1"], 2, "--lr"),
        (["dqn", "CartPole", "--loss", "hubert"], 2, "huber"),
        (["dqn", "CartPole", "--gamma", "1.5"], 2, "--gamma"),
        (["dqn", "CartPole", "--buffer-size", "2", "--n-step", "3"], 2, "--buffer-size"),
        (["dqn", "CartPole", "--device", "cuda"], 2, "cpu"),
        (["dqn", "CartPole", "--config", "missing.toml"], 2, "missing.toml"),
        (["dqn"], 2, "TASK"),
        (["gan", "mnits"], 2, "did you mean mnist"),
        (["gan", "folder:nowhere"], 5, "nowhere"),
        (["resume", "dqn-CartPole-9"], 2, "no run"),
        (["resume"], 2, "no runs"),
        (["eval", "dqn-CartPole-9"], 2, "no run"),
        (["plot", "latest", "--x", "hours"], 2, "seconds"),
        (["dqn", "CartPole", "--lr", "inf"], 2, "--lr"),
        (["dqn", "CartPole", "--stop-at", "nan"], 2, "--stop-at"),
        (["dqn", "CartPole", "--seed", "-1"], 2, "--seed"),
        (["dqn", "CartPole", "--name", "../mine"], 2, "--name"),
        (["gan", "digits", "--stop-at", "3"], 2, "--stop-at"),
        (["play"], 2, "no runs"),
        (
            ["dqn", "CartPole", "--learning-rate", "1"],
            2,
            "dqn has no option --learning-rate: --learning-rate is --lr here",
        ),
        (["dqn", "CartPole", "--capacity", "9"], 2, "--capacity is now --buffer-size"),
        (["dqn", "CartPole", "--no-spectral-norm"], 2, "it is an option of gan, lsgan, hinge, wgan-gp"),
        (["dqn", "CartPole", "--batch", "1.5"], 2, "'1.5' is not an integer"),
        (["dqn", "CartPole", "--lr-steps", "9"], 2, "--lr-steps has no effect: it belongs to a --schedule"),
        (["gan", "digits", "--r1-interval", "9"], 2, "--r1-interval has no effect: it belongs to --r1-weight"),
        (["gan", "CartPole"], 2, "CartPole-v1 is an environment"),
        (["dqn", "CartPole", "--no-fallback"], 2, "dqn has no option --no-fallback"),
        (["dqn", "digits"], 2, "digits is a dataset"),
        (["dqn", "CartPole", "--lr"], 2, "'--lr' requires an argument"),
        (["list", "env"], 2, "did you mean envs"),
        (["eval", "--sampels", "4"], 2, "eval has no option --sampels: did you mean --samples"),
    ],
)
def test_bad_input_is_one_clear_line_and_leaves_nothing(rlgen, words, code, said):
    got, out, err = rlgen(*words)
    assert got == code, err
    assert said in err
    assert out == ""
    *progress, last = err.splitlines()
    assert last.startswith("error: ")
    assert all(line.startswith("loading") for line in progress)  # on a machine that needs two seconds for it
    assert not list(Path().glob("runs/*"))


def test_a_run_of_another_kind_is_refused(rlgen, trained):
    code, _, err = rlgen("sample", "latest")
    assert code == 2
    assert "rlgen play" in err
    code, _, err = rlgen("eval", "latest", "--samples", "4")
    assert code == 2
    assert "--samples: dqn-CartPole-1 is an agent, which is scored on --episodes" in err
    assert rlgen("plot", "latest", "--out", "curves.doc")[0] == 2
    assert rlgen("eval", "latest", "--checkpoint", "first")[0] == 2


def test_a_damaged_run_is_named(rlgen, trained):
    folder = Path(trained["run"])
    for path in folder.glob("checkpoints/*/manifest.json"):
        path.write_text("{}")
    code, _, err = rlgen("eval", "latest")
    assert code == 4
    assert "dqn-CartPole-1" in err
    (folder / "run.json").write_text("not json")
    code, _, err = rlgen("eval", folder)
    assert code == 2
    assert "run.json" in err
    assert rlgen("runs")[0] == 0  # the others are still listed


def test_every_help_has_two_examples(rlgen):
    code, out, _ = rlgen("--help")
    assert code == 0
    for command in ("dqn", "gan", "runs", "resume", "plot", "eval", "play", "sample", "list"):
        assert command in out
        code, help_, _ = rlgen(command, "--help")
        assert code == 0
        assert len(re.findall(rf"^ *rlgen {command}\b", help_.split("Examples")[1], re.MULTILINE)) >= 2, command


def test_the_version(rlgen):
    import rlgen as package

    assert rlgen("--version") == (0, f"rlgen {package.__version__}\n", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("words", [["list"], ["lesson"], ["--version"]])
def test_output_to_a_full_disk_is_one_line(words):
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "rlgen", *words]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (7, "error: No space left on device\n")


@pytest.mark.parametrize(("reason", "code"), [(errno.EROFS, 7), (errno.EFBIG, 7), (errno.EIO, 7), (errno.ENOENT, 1)])
def test_an_error_of_a_disk_has_its_exit_code(rlgen, monkeypatch, reason, code):
    def fail(*args, **options):
        raise OSError(reason, os.strerror(reason), "a file")

    monkeypatch.setattr(cli, "app", fail)
    assert rlgen("list") == (code, "", f"error: {os.strerror(reason)}: a file\n")
