"""Pictures of an episode with its values."""

import numpy as np
import pytest

from rlgen.agents.episode import Episode
from rlgen.report.thinking import BARS, ROW, Thinking, side_by_side

BLUE, ORANGE = (0x58, 0xAA, 0xEB), (0xF0, 0xA0, 0x4B)


def episode(q, actions, *, tail=0.0, truncated=False, **spread):
    q, steps = np.array(q, np.float64), len(q)
    returns = np.linspace(1, 0.2, steps)
    return Episode(
        frames=[], observations=np.zeros((steps + 1, 2)), states=[None] * (steps + 1), action_masks=None,
        actions=np.array(actions), rewards=np.ones(steps), learned=np.ones(steps), q=q,
        probabilities=spread.get("probabilities"), atoms=spread.get("atoms"), quantiles=spread.get("quantiles"),
        v=q.max(1), returns=returns, tail=np.full(steps, tail), sums=np.ones(steps), terminated=not truncated,
        truncated=truncated, units="sum of rewards",
    )  # fmt: skip


def drawn(made, t=0, size=(60, 80), beside=True):
    scene = Thinking(made, ["left", "right"], "an agent", (*size, 3), beside)
    picture = scene.draw(t, np.full((*size, 3), 200, np.uint8))
    left, top, right, bottom = map(round, scene.bars)
    return scene, picture, picture[top:bottom, left:right]


def count(picture, colour):
    return int((picture == np.array(colour, np.uint8)).all(-1).sum())


def test_a_bar_is_as_long_as_its_value():
    made = episode([[2.0, 1.0], [1.0, 2.0], [1.0, 1.5]], [0, 1, 1])
    long, short = (count(drawn(made, t)[2], BLUE) for t in (0, 2))
    assert short == pytest.approx(0.75 * long, rel=0.05)
    rows = drawn(made, 1)[2]
    top, bottom = rows[:ROW], rows[ROW:]
    assert count(top, BLUE) == 0 < count(bottom, BLUE)  # of the action taken


def test_forbidden_actions_have_no_bar():
    rows = drawn(episode([[-np.inf, 1.0]] * 2, [1, 1]))[2]
    assert count(rows[:ROW], BLUE) == 0 < count(rows[ROW:], BLUE)


def test_a_histogram_shows_probabilities():
    p = np.zeros((1, 2, 5))
    p[0, 0] = [0, 0, 1, 0, 0]
    p[0, 1] = 0.2
    made = episode([[0.0, 0.0]], [0], probabilities=p, atoms=np.linspace(-2, 2, 5))
    narrow = count(drawn(made)[2], BLUE)
    other = episode([[0.0, 0.0]], [1], probabilities=p, atoms=np.linspace(-2, 2, 5))
    assert count(drawn(other)[2], BLUE) > 3 * narrow > 0


def test_quantiles_are_drawn_as_steps():
    made = episode([[0.0, 1.0]], [0], quantiles=np.array([[[-1.0, 0.0, 1.0], [0.0, 1.0, 2.0]]]))
    rows = drawn(made)[2]
    assert count(rows, BLUE) > 20
    levels = {int(y) for y in np.nonzero((rows == np.array(BLUE, np.uint8)).all(-1))[0]}
    assert len(levels) > 15  # of the height of the action


def test_after_the_last_step_there_are_no_values():
    made = episode([[2.0, 1.0]] * 3, [0] * 3)
    scene, whole, bars = drawn(made, 3)
    assert count(bars, BLUE) == 0
    assert (whole == scene.draw(99, np.full((60, 80, 3), 200, np.uint8))).all()


def test_the_rest_after_a_time_limit_is_a_line_of_its_own():
    cut = episode([[2.0, 1.0]] * 9, [0] * 9, tail=0.5, truncated=True)
    plain = episode([[2.0, 1.0]] * 9, [0] * 9)
    assert count(drawn(cut)[1], ORANGE) > count(drawn(plain)[1], ORANGE)


def test_frames_have_about_the_same_width():
    made = episode([[2.0, 1.0]] * 2, [0] * 2)
    for size, width in (((100, 100), 300), ((400, 600), 300), ((400, 320), 320)):
        scene, picture, _ = drawn(made, 0, size)
        assert picture.shape[1] == width + BARS + 30
        assert (picture[scene.place[1] + 5, scene.place[0] + 5] == 200).all()
        assert (picture[scene.place[1] + 5, scene.place[0] + width - 5] == 200).all()


def test_pictures_of_several_heights_stand_side_by_side():
    sheet = side_by_side([np.full((4, 3, 3), 9, np.uint8), np.full((6, 2, 3), 8, np.uint8)])
    assert sheet.shape == (6, 5, 3)
    assert (sheet[:4, :3] == 9).all()
    assert (sheet[:, 3:] == 8).all()
