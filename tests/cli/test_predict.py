"""`rlgen predict`, and the other commands with the run of a classifier."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from rlgen import data
from rlgen.core.folder import Folder
from rlgen.session import prepare

TEST = data.load("digits", "test")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with the run of a small classifier, trained once."""
    folder = tmp_path_factory.mktemp("runs")
    given = {"network": "linear", "budget": 6_000, "lr": 0.01}
    prepare("classify", "digits", given, runs=folder).train(quiet=True)
    return folder


@pytest.fixture
def run(rlgen, runs, tmp_path):
    shutil.copytree(runs, tmp_path / "runs")
    return "classify-digits-1"


def save(path, number, scale=1):
    """Test image `number` as a file, enlarged by a whole number."""
    pixels = TEST.images[number, 0].numpy().repeat(scale, 0).repeat(scale, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return str(path)


def test_probabilities_are_those_of_the_loaded_run(rlgen, run, tmp_path):
    import rlgen as package

    files = [save(tmp_path / f"{i}.png", i) for i in range(5)]
    code, out, _ = rlgen("predict", run, *files, "--json")
    assert code == 0
    rows = json.loads(out)["pictures"]
    expected = package.load(run).predict(TEST.images[:5])
    assert [row["file"] for row in rows] == files
    for row, p in zip(rows, expected, strict=True):
        assert [row["probabilities"][str(k)] for k in range(10)] == pytest.approx(p.tolist(), rel=1e-4)
        assert row["class"] == str(p.argmax())
        assert list(row["probabilities"].values()) == sorted(row["probabilities"].values(), reverse=True)


def test_a_row_per_picture_with_the_likeliest_classes(rlgen, run, tmp_path):
    save(tmp_path / "photo.png", 0, scale=30)
    _, out, _ = rlgen("predict", run, "photo.png", "--top", 2)
    head, row = out.splitlines()
    assert head.split() == ["file", "class"]
    name, first, share, second, other = row.split()
    assert name == "photo.png"
    assert first == str(TEST.labels[0].item())
    assert first != second
    assert float(share.rstrip("%")) > float(other.rstrip("%"))
    assert len(rlgen("predict", run, "photo.png", "--top", 99)[1].splitlines()[1].split()) == 21


def test_a_file_that_is_no_picture_leaves_the_others_classified(rlgen, run, tmp_path):
    save(tmp_path / "photo.png", 0)
    (tmp_path / "text.png").write_text("hello")
    code, out, err = rlgen("predict", run, "text.png", "photo.png", "missing.png")
    assert code == 5
    assert "photo.png" in out
    assert "error: text.png cannot be read as an image: neither a PNG nor a JPEG file: convert it" in err
    assert "error: missing.png cannot be read as an image: No such file" in err
    code, out, _ = rlgen("predict", run, "text.png", "--json")
    assert code == 5
    assert json.loads(out)["unreadable"] == [
        {"file": "text.png", "reason": "neither a PNG nor a JPEG file: convert it"}
    ]


def test_pictures_in_class_folders_have_an_accuracy(rlgen, run, tmp_path):
    for i in range(12):
        save(tmp_path / "own" / str(TEST.labels[i].item()) / f"{i}.png", i)
    code, out, _ = rlgen("predict", run, "own", "--json")
    assert code == 0
    found = json.loads(out)
    right = [row["label"] == row["class"] for row in found["pictures"]]
    assert found["labelled"] == 12
    assert found["accuracy"] == pytest.approx(np.mean(right))
    last = rlgen("predict", run, "own")[1].splitlines()[-1]
    assert last.startswith(f"accuracy {np.mean(right):.2%} of 12 pictures in class folders, 95 % interval")


def test_class_folders_of_other_classes_are_refused(rlgen, run, tmp_path):
    save(tmp_path / "own" / "cat" / "1.png", 1)
    code, out, err = rlgen("predict", run, "own")
    assert (code, out) == (2, "")
    assert "class folder cat: classify-digits-1 has no such class, but 0, 1, 2" in err
    assert rlgen("predict", run, "own/cat")[0] == 0


def test_a_run_of_another_kind_is_refused(rlgen, run, tmp_path):
    folder = Folder(tmp_path / "runs" / run)
    folder.describe(kind="agent", algorithm="dqn")
    code, _, err = rlgen("predict", run, "a.png")
    assert code == 2
    assert "is an agent, and `rlgen predict` is for classifiers" in err


def test_commands_for_other_kinds_name_one_for_a_classifier(rlgen, run):
    for command in ("play", "sample"):
        code, _, err = rlgen(command, run)
        assert code == 2
        assert "is a classifier" in err
        assert f"try `rlgen eval {run}`" in err


def test_eval_prints_the_table_and_all_values(rlgen, run):
    _, out, _ = rlgen("eval", run)
    assert "95 % interval" in out
    assert sum(line.split()[0].isdecimal() for line in out.splitlines()) == 10
    values = json.loads(rlgen("eval", run, "--json")[1])
    assert {"accuracy", "ci95", "loss", "ece", "classes", "confusion", "most_confused", "calibration"} <= set(values)
    assert f"accuracy {values['accuracy']:.2%}" in out


def test_plot_draws_curves_and_the_report_again(rlgen, run, tmp_path):
    folder = tmp_path / "runs" / run
    for path in folder.glob("*.png"):
        path.unlink()
    code, out, _ = rlgen("plot", run)
    assert code == 0
    drawn = {path.name for path in folder.glob("*.png")}
    assert drawn == {"curves.png", "confusion.png", "classes.png", "calibration.png"}
    assert len(out.splitlines()) == 4
    assert rlgen("plot", run, "--out", "one.png")[1] == "one.png\n"


def test_runs_shows_the_best_accuracy_in_percent(rlgen, run):
    row = rlgen("runs")[1].splitlines()[1].split()
    best = json.loads(rlgen("runs", "--json")[1])[0]["best"]
    assert f"{best:.2%}" in row
