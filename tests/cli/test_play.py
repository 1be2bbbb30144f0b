"""The command that records episodes."""

import shutil
from pathlib import Path

from PIL import Image

from rlgen.core import portraits


def test_play_with_values_and_ages(rlgen, trained):
    code, out, _ = rlgen("play", "latest", "--thinking", "--out", "one.gif")
    assert code == 0
    assert out.startswith("one.gif  return ")
    with Image.open("one.gif") as one:
        assert one.n_frames > 5
        width = one.size[0]
    code, out, _ = rlgen("play", "latest", "--thinking", "--at", "all", "--out", "all.gif")
    assert code == 0
    ages = min(5, len(portraits.times(trained_folder(trained))))
    assert len(out.split("return ")[1].split(",")) == ages >= 2
    with Image.open("all.gif") as several:
        assert several.size[0] > width
    code, out, _ = rlgen("play", "latest", "--at", "all", "--out", "plain.gif")
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
