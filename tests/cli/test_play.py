"""The command that records episodes."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from rlgen.core import portraits
from tests.cli.small import SMALL


@pytest.mark.slow
def test_play_with_values(rlgen, trained):
    code, out, _ = rlgen("play", "latest", "--thinking", "--out", "one.gif")
    assert code == 0
    assert out.startswith("one.gif  return ")
    with Image.open("one.gif") as one:
        assert one.n_frames > 5


@pytest.mark.slow
def test_play_with_values_of_several_ages(rlgen, trained):
    code, out, _ = rlgen("play", "latest", "--thinking", "--at", "all", "--out", "all.gif")
    assert code == 0
    ages = min(5, len(portraits.times(trained_folder(trained))))
    assert len(out.split("return ")[1].split(",")) == ages >= 2
    rlgen("play", "latest", "--thinking", "--out", "one.gif")
    with Image.open("one.gif") as one, Image.open("all.gif") as several:
        assert several.size[0] > one.size[0]


@pytest.mark.slow
def test_play_of_several_ages(rlgen, trained):
    ages = min(5, len(portraits.times(trained_folder(trained))))
    code, _, _ = rlgen("play", "latest", "--at", "all", "--out", "plain.gif")
    assert code == 0
    with Image.open("plain.gif") as plain:
        assert plain.size == (600 * ages, 425)


def trained_folder(trained):
    return Path(trained["run"])


def test_play_of_one_age(rlgen, trained):
    code, _, err = rlgen("play", "latest", "--at", "0", "--out", "early.gif")
    assert code == 0
    assert "weights at 0 steps" in err
    assert "not an integer" in rlgen("play", "latest", "--at", "every")[2]


def test_what_play_refuses(rlgen, trained, monkeypatch):
    code, _, err = rlgen("play", "latest", "--thinking", "--episodes", 2)
    assert code == 2
    assert "--seed gives another" in err
    code, _, err = rlgen("play", "latest", "--out", "agent.avi")
    assert code == 2
    assert "must end in .gif or .mp4" in err
    shutil.rmtree(trained_folder(trained) / "portraits")
    code, _, err = rlgen("play", "latest", "--at", "all")
    assert code == 2
    assert "has no portraits" in err


def test_play_repeats_an_episode_that_failed(rlgen, tmp_path):
    """It ends with the same error, and the film goes up to it."""
    raises = "tests.envs.misbehaving:Misbehaving-raises"
    code, _, err = rlgen("dqn", f"{raises}-v0", *SMALL)
    assert code == 8
    file = next(tmp_path.glob("runs/*/failed_episode.json"))
    assert f"`rlgen play --episode {file.relative_to(tmp_path)} --trust` repeats it" in err
    assert err.strip().endswith("RLGEN_DEBUG=1 shows the traceback")
    code, out, err = rlgen("play", "--episode", file)
    assert code == 8
    assert out == f"{file.with_suffix('.gif')}  6 of 7 steps  return 6\n"
    assert f"error: {raises}-v0 failed in step(): ZeroDivisionError: two lines" in err
    with Image.open(file.with_suffix(".gif")) as film:
        assert film.n_frames >= 7
    assert "must end in .gif or .mp4" in rlgen("play", "--episode", file, "--out", "film.avi")[2]


def test_an_episode_that_does_not_fail_again_says_so(rlgen, tmp_path, monkeypatch):
    (tmp_path / "one.json").write_text('{"environment": "CartPole-v1", "seed": 5, "actions": [0, 1, 0]}')
    code, out, err = rlgen("play", "--episode", "one.json", "--out", "one.gif")
    assert (code, out) == (0, "one.gif  3 of 3 steps  return 3\n")
    assert "the episode did not fail again" in err


def test_an_episode_imports_no_module_without_trust(rlgen, tmp_path, monkeypatch):
    (tmp_path / "strange_games.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "one.json").write_text('{"environment": "strange_games:X-v0", "seed": 5, "actions": []}')
    code, _, err = rlgen("play", "--episode", "one.json")
    assert code == 2
    assert "one.json would import the Python module 'strange_games'" in err
    assert "add --trust" in err
    code, _, err = rlgen("play", "--episode", "one.json", "--trust")
    assert code == 8
    assert "strange_games:X-v0 failed in make(): SystemExit: imported" in err


def test_what_an_environment_prints_goes_to_stderr(rlgen, tmp_path):
    """The results on stdout stay what they are: one object with --json."""
    code, out, err = rlgen("dqn", "tests.envs.misbehaving:Misbehaving-prints-v0", *SMALL, "--json")
    assert code == 0
    assert json.loads(out)["status"] == "finished"
    assert "a line of the environment" in err
    code, out, _ = rlgen("eval", "latest", "--trust", "--episodes", 2, "--json")
    assert code == 0
    assert json.loads(out)["episodes"] == 2


def test_an_environment_that_fails_in_eval_is_kept_as_well(rlgen, tmp_path, monkeypatch):
    monkeypatch.setenv("MISBEHAVE_SHARE", "0")
    assert rlgen("dqn", "tests.envs.misbehaving:Misbehaving-calls-exit-v0", *SMALL)[0] == 0
    monkeypatch.setenv("MISBEHAVE_SHARE", "1")
    code, _, err = rlgen("eval", "latest", "--trust")
    assert code == 8
    assert "failed in step(): SystemExit: good bye" in err
    assert len(list(tmp_path.glob("runs/*/failed_episode.json"))) == 1
