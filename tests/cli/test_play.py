"""The command that records episodes."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from rlgen.core import portraits


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
