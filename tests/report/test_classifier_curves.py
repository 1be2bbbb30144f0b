"""Curves and progress lines of a classifier: scales, the gap, the initial loss, percents."""

import json

import numpy as np
import pytest

from rlgen.core.errors import UserError
from rlgen.core.progress import Progress
from rlgen.kinds import CLASSIFIER
from rlgen.report import plots
from rlgen.report.console import Display
from rlgen.report.experiments import experiments
from rlgen.report.lines import lines
from rlgen.report.logs import read


@pytest.fixture
def run(tmp_path):
    """A run of a classifier: accuracies of 0.9 to 0.99 and losses that fall."""

    def make(name="classify-digits-1", seed=0, kind="classifier", **config):
        folder = tmp_path / name
        folder.mkdir()
        info = {"name": name, "kind": kind, "algorithm": "classify", "task": "digits", "seed": seed, "config": config}
        (folder / "run.json").write_text(json.dumps(info))
        rows = [{"time": 0, "eval_initial_loss": 2.5, "eval_uniform_loss": 2.3026}]
        for i in range(5):
            error = 0.1 * 10 ** (-i / 4)
            rows.append({
                "time": 1_000 * i, "loss": 2 * error, "accuracy": 1 - error,
                "eval_train_accuracy": 1 - error / 2, "eval_validation_accuracy": 1 - error,
                "eval_train_loss": error, "eval_validation_loss": 3 * error,
            })  # fmt: skip
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return folder

    return make


def drawn(*folders):
    return plots.figure(lines(experiments([read(folder) for folder in folders])))


def gaps(picture):
    """The entries of the legend about gaps."""
    words = [text.get_text() for text in picture.legends[0].get_texts()]
    return [text for text in words if text.startswith("gap")]


def test_accuracy_and_loss_have_scales_that_show_the_end(run):
    accuracy, loss = drawn(run()).axes
    assert (accuracy.get_ylabel(), loss.get_ylabel()) == ("accuracy", "loss")
    assert accuracy.get_yscale() == "function"
    assert loss.get_yscale() == "log"
    assert accuracy.get_ylim()[1] > 0.995
    assert loss.get_ylim()[0] < 0.01


def test_the_loss_of_equal_scores_is_a_line(run):
    picture = drawn(run())
    assert "loss of equal scores for all classes 2.303" in [t.get_text() for t in picture.legends[0].get_texts()]
    assert picture.axes[1].get_ylim()[1] > 2.3026


def test_the_gap_between_training_and_validation_is_shaded_and_named(run):
    picture = drawn(run())
    assert gaps(picture) == ["gap of the accuracy, 0.50 points at the end", "gap of the loss, 0.02 at the end"]
    area = picture.axes[0].collections[0].get_paths()[0].vertices
    assert area[:, 1].min() == pytest.approx(0.9)
    assert area[:, 1].max() == pytest.approx(0.995)


def test_a_gap_below_zero_keeps_its_sign(run):
    folder = run()
    rows = (folder / "metrics.jsonl").read_text()
    swapped = rows.replace("train", "other").replace("validation", "train").replace("other", "validation")
    (folder / "metrics.jsonl").write_text(swapped)
    assert gaps(drawn(folder)) == ["gap of the accuracy, -0.50 points at the end", "gap of the loss, -0.02 at the end"]


def test_beside_several_experiments_there_is_no_gap(run):
    picture = drawn(run("a-1", lr=0.1), run("b-1", lr=0.2))
    assert not gaps(picture)


def test_several_experiments_have_few_metrics_and_room_for_their_names(run):
    folders = [run(f"{name}-1", network=name, note=30 * f"{name} ") for name in ("lenet5", "resnet20", "plain-20")]
    one, several = drawn(folders[0]), drawn(*folders)
    words = [text.get_text() for text in several.legends[0].get_texts()]
    assert "validation" in words
    assert "training images" not in words
    assert len([word for word in words if "classify" in word]) == 3
    assert several.get_figheight() > one.get_figheight() + 0.3
    several.draw_without_rendering()
    assert min(axes.get_position().height * several.get_figheight() for axes in several.axes) > 1.3


def test_equal_words_have_one_colour_in_every_panel(run):
    picture = drawn(run())
    words = [text.get_text() for text in picture.legends[0].get_texts()]
    assert len(words) == len(set(words))
    colours = [{line.get_color() for line in axes.lines if line.get_marker() == "D"} for axes in picture.axes]
    assert colours[0] == colours[1]
    assert len(colours[0]) == 1


def test_a_classifier_and_an_agent_have_no_axis_in_common(run):
    with pytest.raises(UserError, match="classifiers and agents have no axis in common: plot a-1 and b-1 apart"):
        drawn(run("a-1"), run("b-1", kind="agent"))


def test_the_progress_line_has_percents_and_the_initial_loss_once(tmp_path, capsys):
    with Display(CLASSIFIER, 6_000, tmp_path / "log.txt", Progress()) as display:
        display(0, {"eval_validation_accuracy": 0.1, "eval_initial_loss": 2.5, "eval_uniform_loss": 2.3026})
        display(500, {"loss": 0.3, "accuracy": 0.91234})
        display(1_000, {"eval_validation_accuracy": 0.99, "eval_train_accuracy": [1.0, 0.98]})
        assert not {"eval_initial_loss", "eval_uniform_loss"} & display.latest.keys()
    first, second = capsys.readouterr().err.splitlines()
    assert "validation 10.00 %  initial loss 2.5  that of equal scores 2.3" in first
    assert "accuracy 91.23 %" in second
    assert "loss 0.3" in second
    assert "validation 99.00 %  training images 99.00 %" in second
    assert "equal scores" not in second


def test_several_seeds_have_one_gap_of_their_means(run):
    picture = drawn(*(run(f"classify-digits-{seed}", seed=seed) for seed in range(3)))
    assert "gap of the accuracy, 0.50 points at the end" in gaps(picture)
    assert np.isfinite(picture.axes[0].collections[0].get_paths()[0].vertices).all()
