import json

import numpy as np
import pytest
from rich.console import Console

from rlgen.core.errors import UserError
from rlgen.core.folder import Folder
from rlgen.report import watch
from rlgen.report.pictures import write_png
from rlgen.report.saved_grids import Layout
from rlgen.report.watch import View, capabilities, newest


@pytest.fixture
def folder(tmp_path):
    facts = {"algorithm": "gan", "task": "mnist", "plan": {"budget": 1000}, "time": 0, "kind": "model"}
    folder = Folder.create(tmp_path / "runs", "gan-mnist", **facts)
    rows = [{"time": 100 * i, "discriminator_loss": 1.3 - 0.1 * i, "generator_loss": [i, None]} for i in range(1, 5)]
    write(folder, "metrics.jsonl", *rows)
    write(folder, "timing.jsonl", {"time": 400, "seconds": 4.0, "rate": 100.0})
    return folder


def write(folder, name, *rows):
    with (folder.directory / name).open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def text(view, width=80, height=30, **shown):
    view.update()
    lines = view.lines(width, height, **shown)
    assert len(lines) <= height
    assert all(len(line.plain) <= width for line in lines)
    return "\n".join(line.plain for line in lines)


def test_progress_curves_and_remaining_time(folder):
    with folder:
        shown = text(View(folder))
    for words in ("gan-mnist-1  gan on mnist  running", "400/1,000 images", "40%", "100 images/s  0:06 left"):
        assert words in shown
    assert "loss of the discriminator  ─ discriminator 0.9" in shown
    assert "generator 4" in shown
    assert "samples" not in shown


def test_new_lines_appear(folder):
    view = View(folder)
    text(view)
    write(folder, "metrics.jsonl", {"time": 500, "discriminator_loss": 0.25, "generator_loss": 1})
    assert "discriminator 0.25" in text(view)
    assert "500/1,000" in text(view)


def test_the_newest_samples_are_shown(folder):
    for time, grey in ((100, 0), (400, 255)):
        picture = np.full((64, 64), grey, np.uint8)
        write_png(picture, folder.directory / f"samples/{time:09d}.png", Layout(0, 0, 32, 32, 2))
    shown = text(View(folder), colour=False)
    assert "samples after 400 images" in shown
    assert "█" in shown
    (folder.directory / "samples/000000400.png").write_bytes(b"no picture")
    assert "samples" not in text(View(folder))


@pytest.mark.parametrize("width", [12, 20, 40, 200])
@pytest.mark.parametrize("height", [4, 8, 24])
def test_every_size_of_terminal(folder, width, height):
    assert "gan-mnist-1"[: width - 1] in text(View(folder), width, height)


def test_no_colour_and_no_unicode(folder):
    assert text(View(folder), colour=False, unicode=False).isascii()


def test_a_run_without_a_log(tmp_path):
    folder = Folder.create(tmp_path, "x", algorithm="dqn", task="CartPole", plan={"budget": 10})
    assert "no line of the log yet" in text(View(folder))


def test_hostile_names_are_harmless(folder):
    folder.describe(task="\x1b[2Jmnist\n")
    assert "\\x1b[2Jmnist\\n" in text(View(folder))


def test_the_end_of_a_run_and_its_removal(folder, monkeypatch):
    with folder:
        view = View(folder)
        assert view.running
    view.update()
    assert not view.running
    folder.describe(status="running")  # its process was killed
    monkeypatch.setattr(watch, "LOCK", -1.0)
    view.update()
    assert view.status == "stale"
    (folder.directory / "run.json").unlink()
    with pytest.raises(UserError):
        view.update()


def test_the_newest_run_of_this_rlgen(folder, tmp_path):
    Folder.create(tmp_path / "runs", "other", algorithm="unknown", task="x")
    assert newest(tmp_path / "runs").name == "gan-mnist-1"
    with pytest.raises(UserError, match="no runs"):
        newest(tmp_path / "nowhere")


def test_capabilities_of_a_terminal(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert capabilities(Console(color_system="truecolor", force_terminal=True))["colour"]
    assert not capabilities(Console(color_system="standard", force_terminal=True))["colour"]
    assert not capabilities(Console(color_system="truecolor", force_terminal=True, no_color=True))["colour"]
