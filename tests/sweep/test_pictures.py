"""Pictures of a study: what is drawn, and that every picture can be written."""

import numpy as np
import pytest

from rlgen.core.files import PARTIAL
from rlgen.sweep import cards, pictures
from rlgen.sweep.analysis.held_out import finalists
from rlgen.sweep.analysis.importance import importance
from rlgen.sweep.analysis.outcomes import outcomes
from rlgen.sweep.analysis.price import price
from rlgen.sweep.analysis.sensitivity import sensitivity
from rlgen.sweep.space import Choices
from tests.sweep.made_up import study, table, trial

WORDS = pictures.Words("dqn on CartPole, 24 trials", "return per episode")


@pytest.fixture(scope="module")
def trials():
    return study(n=24, limit=4e-3)


def points(panel, label):
    """The points of a line by its label."""
    return next(line for line in panel.lines if line.get_label() == label).get_xydata()


def test_the_history_has_every_trial_the_best_so_far_and_fresh_scores(trials):
    made = outcomes(trials)
    panel = pictures.history(made, finalists(trials), WORDS).axes[0]
    means = points(panel, "mean and range of 4 seeds")
    assert means[:, 0].tolist() == [t.number for t in trials if t.role == "tuning" and t.state == "complete"]
    assert points(panel, "failed, diverged or pruned")[:, 0].tolist() == [
        t.number for t in trials if t.state == "diverged"
    ]
    so_far = points(panel, "best so far")
    assert (np.diff(so_far[:, 1]) >= 0).all()
    assert so_far[-1, 1] == means[:, 1].max()
    assert len(points(panel, "8 fresh seeds, 95 %")) == 3
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("trial", "return per episode")


def test_where_lower_is_better_the_numbers_are_those_of_the_trials():
    trials = [trial(i, [score, score + 2.0]) for i, score in enumerate((7.0, 3.0, 5.0), 1)]
    words = pictures.Words("vae on digits", "nats per image", -1.0)
    made = outcomes(trials, -1.0)
    panel = pictures.history(made, [], words).axes[0]
    assert points(panel, "mean and range of 2 seeds")[:, 1].tolist() == [8, 4, 6]
    assert points(panel, "best so far")[:, 1].tolist() == [8, 4, 4]
    panel = pictures.price(price(made), [], words).axes[0]
    assert points(panel, "expected, held-out seed")[-1, 1] == 4
    assert (np.diff(points(panel, "expected, held-out seed")[:, 1]) <= 0).all()


def test_the_price_is_in_cpu_seconds_and_ends_at_the_fresh_score(trials):
    made = outcomes(trials)
    found = finalists(trials)
    panel = pictures.price(price(made), found, WORDS).axes[0]
    line = points(panel, "expected, held-out seed")
    assert line[-1, 0] == pytest.approx(made.seconds.sum())
    fresh = points(panel, f"trial {found[0].number} with 8 fresh seeds")
    assert fresh[0].tolist() == [line[-1, 0], found[0].fresh.value]
    one = [trial(1, [1.0], seconds=0.0)]
    assert pictures.price(price(outcomes(one)), [], WORDS).axes


def test_parallel_coordinates_have_a_line_per_trial_and_a_range_per_score(trials):
    made, (settings, *_) = outcomes(trials), table(trials)
    panel = cards.parallel(made, settings, WORDS).axes[0]
    labels = [label.get_text() for label in panel.get_xticklabels()]
    assert labels[:4] == ["lr", "n_step", "double", "gamma"]
    through = [line for line in panel.lines if len(line.get_xdata()) == 5]
    assert len(through) == made.scored.sum()
    assert sum(len(collection.get_segments()) for collection in panel.collections) == made.scored.sum()
    heights = np.concatenate([line.get_ydata() for line in through])
    assert heights.min() >= 0
    assert heights.max() <= 1


def test_the_card_has_a_panel_per_setting_and_one_of_falls(trials):
    card = sensitivity(*table(trials))
    figure = cards.sensitivity(card, outcomes(trials), WORDS)
    names = [panel.get_xlabel() for panel in figure.axes]
    assert names == [*(along.setting.name for along in card.slices), "fall from the best setting, 95 %"]
    bars = [label.get_text() for label in figure.axes[-1].get_yticklabels()]
    assert bars == [*names[:-1], "together"]
    assert [patch.get_width() for patch in figure.axes[-1].patches][-1] == pytest.approx(card.together.value)


@pytest.mark.filterwarnings("error")
def test_every_picture_can_be_written(trials, tmp_path):
    settings, rows, scores, variances, best = table(trials)
    made = outcomes(trials)
    drawn = [
        pictures.history(made, [], WORDS), pictures.price(price(made), [], WORDS),
        pictures.importance(importance(settings, rows, scores, 2), WORDS), cards.parallel(made, settings, WORDS),
        cards.sensitivity(sensitivity(settings, rows, scores, variances, best), made, WORDS),
    ]  # fmt: skip
    for place, figure in enumerate(drawn):
        path = pictures.save(figure, tmp_path / f"{place}.png")
        assert path.read_bytes()[:4] == b"\x89PNG"
    assert not list(tmp_path.glob(f"{PARTIAL}*"))


def test_words_and_equal_scores_are_drawn():
    trials = [trial(i, [1.0], a="xyz"[i % 3], b=bool(i % 2)) for i in range(1, 9)]
    space = {"a": Choices(("x", "y", "z")), "b": Choices((True, False))}
    made, (settings, rows, scores, variances, best) = outcomes(trials), table(trials, space)
    assert cards.parallel(made, settings, WORDS).axes
    assert len(cards.sensitivity(sensitivity(settings, rows, scores, variances, best), made, WORDS).axes) == 3
