"""Pictures of a classifier's report, for few and many classes."""

import json
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from rlgen.core.errors import UserError
from rlgen.core.folder import Folder
from rlgen.kinds import KINDS
from rlgen.report import classification, final


def report(k=3, names=None, wrong=2, right=20):
    """The numbers of a report with `wrong` images of each class classified as the next one."""
    names = names or [f"class {i}" for i in range(k)]
    matrix = (right * np.eye(k) + wrong * np.roll(np.eye(k), 1, axis=1)).astype(int)
    row = {
        "images": right + wrong,
        "recall": 0.9,
        "precision": 0.8,
        "recall_ci95": [0.7, 0.95],
        "precision_ci95": [0.6, 0.9],
    }
    bins = {
        "edges": [0.0, 0.5, 1.0],
        "count": [0, int(matrix.sum())],
        "confidence": [None, 0.9],
        "accuracy": [None, 0.8],
    }
    return {
        "accuracy": right / (right + wrong),
        "images": int(matrix.sum()),
        "ece": 0.1,
        "confusion": matrix.tolist(),
        "classes": {name: {"images": right + wrong, **row} for name in names},
        "calibration": bins,
    }  # fmt: skip


def texts(figure):
    return [found.get_text() for found in figure.findobj(Text) if found.get_text()]


def test_every_picture_is_written(tmp_path):
    paths = classification.draw(report(), tmp_path, "classify on digits")
    assert [path.name for path in paths] == ["confusion.png", "classes.png", "calibration.png"]
    for path in paths:
        with Image.open(path) as image:
            assert min(image.size) > 300


def test_equal_numbers_give_equal_files(tmp_path):
    files = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        files.append([path.read_bytes() for path in classification.draw(report(), tmp_path / name, "title")])
    assert files[0] == files[1]


def test_only_pictures_with_numbers_are_drawn(tmp_path):
    without = {**report(), "calibration": None}
    assert [path.name for path in classification.draw(without, tmp_path, "title")] == ["confusion.png", "classes.png"]


def test_the_confusion_matrix_has_counts_and_shares_of_the_row():
    found = texts(classification.confusion(report(wrong=2, right=20), "classify on digits"))
    assert found.count("20\n90.9 %") == 3
    assert found.count("2\n9.1 %") == 3
    assert {"label", "predicted class", "errors, share of the row"} <= set(found)
    assert any("66 test images" in text for text in found)


@pytest.mark.parametrize(("k", "numbers", "names"), [(2, 4, 2), (14, 28, 14), (30, 60, 30), (64, 0, 64), (100, 0, 50)])
def test_a_matrix_of_many_classes_keeps_what_can_be_read(k, numbers, names):
    figure = classification.confusion(report(k, right=20, wrong=5), "title")
    found = texts(figure)
    assert sum(text.split("\n")[0] in ("20", "5") for text in found) == numbers
    assert len({text for text in found if text.startswith("class ")}) == names
    assert max(figure.get_size_inches()) <= 17


def test_a_rare_error_is_coloured_though_its_share_is_small():
    perfect_but_one = report(2, right=1_000, wrong=0)
    perfect_but_one["confusion"][0][1] = 1
    image = classification.confusion(perfect_but_one, "title").axes[0].images[0].get_array()
    assert image[1, 0].tolist() == [1, 1, 1, 1], "a cell without errors is white"
    red, _, blue, _ = image[0, 1]
    assert red > blue + 0.5, "the error is orange"


def test_a_perfect_matrix_can_be_drawn():
    assert "20\n100 %" in texts(classification.confusion(report(wrong=0), "title"))


def test_classes_stand_in_the_order_of_their_recall():
    numbers = report()
    for name, recall in zip(("class 0", "class 1", "class 2"), (0.9, 0.5, 0.7), strict=True):
        numbers["classes"][name] = {**numbers["classes"][name], "recall": recall}
    axes = classification.by_class(numbers, "title").axes[0]
    assert [tick.get_text().split(" (")[0] for tick in axes.get_yticklabels()] == ["class 1", "class 2", "class 0"]
    assert axes.yaxis_inverted()


def test_a_class_without_test_images_is_left_out():
    numbers = report()
    numbers["classes"]["class 1"] = {**numbers["classes"]["class 1"], "recall": None}
    axes = classification.by_class(numbers, "title").axes[0]
    assert len(axes.get_yticklabels()) == 2


def test_a_class_without_predictions_has_no_precision():
    numbers = report()
    numbers["classes"]["class 1"] = {**numbers["classes"]["class 1"], "precision": None}
    assert len(classification.by_class(numbers, "title").axes[0].get_yticklabels()) == 3


def test_of_many_classes_the_worst_are_shown():
    found = texts(classification.by_class(report(60), "title"))
    assert any("the 40 of 60 classes of the lowest recall" in text for text in found)


def test_empty_bins_have_no_point():
    above, _ = classification.calibration(report(), "title").axes
    points = next(line for line in above.lines if line.get_marker() == "o")
    assert points.get_xdata().tolist() == [0.9]
    assert points.get_ydata().tolist() == [0.8]


def test_predictions_of_several_networks_do_not_narrow_an_interval():
    def width(networks, count):
        numbers = {**report(), "networks": networks}
        numbers["calibration"] = {**numbers["calibration"], "count": [0, count]}
        segment = classification.calibration(numbers, "title").axes[0].collections[0].get_segments()[0]
        return segment[1, 1] - segment[0, 1]

    assert width(3, 300) == pytest.approx(width(1, 100))
    assert width(1, 300) < width(1, 100)


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (1, "100 %"),
        (0.0833, "8.3 %"),
        (0.25, "25 %"),
        (0.9997, "99.97 %"),
        (0.00012, "0.01 %"),
        (0.5, "50 %"),
    ],
)
def test_shares_in_words(share, text):
    assert classification._percent(share) == text


def test_long_names_keep_both_ends():
    assert classification._cut("a photograph of a cat") == "a photogr…of a cat"
    assert classification._cut("cat") == "cat"


def test_the_report_of_a_run_folder_is_drawn_again(tmp_path, monkeypatch):
    kind = replace(KINDS["model"], pictures="rlgen.report.classification")
    monkeypatch.setitem(KINDS, "classifier", kind)
    folder = Folder.create(tmp_path, "classify-digits", kind="classifier", algorithm="classify", task="digits")
    assert final.draw(folder.directory) == []
    final.write(folder.directory, report())
    assert json.loads((folder.directory / "report.json").read_text()) == report()
    drawn = final.draw(folder.directory)
    assert {path.parent for path in drawn} == {folder.directory}
    assert len(drawn) == 3
    foreign = {**report(), "classes": {"cat": {**next(iter(report()["classes"].values())), "precision": "high"}}}
    final.write(folder.directory, foreign)
    with pytest.raises(UserError, match="holds no report of this rlgen"):
        final.draw(folder.directory)


def test_numbers_that_are_not_finite_are_null(tmp_path):
    final.write(tmp_path, {"loss": float("inf"), "classes": {"cat": [1.0, float("nan")]}, "images": 3})
    expected = {"loss": None, "classes": {"cat": [1.0, None]}, "images": 3}
    assert json.loads((tmp_path / "report.json").read_text()) == expected


def test_a_kind_without_pictures_of_its_report_has_none(tmp_path):
    folder = Folder.create(tmp_path, "dqn-CartPole", kind="agent", algorithm="dqn", task="CartPole")
    final.write(folder.directory, report())
    assert final.draw(folder.directory) == []
