"""Values of changed observations."""

import numpy as np
import pytest

from rlgen.core.errors import UserError
from rlgen.ui.actions.agents import episode
from rlgen.ui.actions.what_if import grid, picture, what_if
from tests.ui.actions.test_agents import decoded
from tests.ui.actions.tiny_agents import dqn, drqn, table


def test_unchanged_numbers_have_the_values_of_the_episode():
    for agent in (dqn(), drqn("TestCue"), table()):
        session = {}
        whole = episode(agent, {"seed": 1}, session)
        for step in (0, whole["steps"] - 1):
            found = what_if(agent, {"seed": 1, "step": step, "numbers": whole["observations"][step]}, session)
            np.testing.assert_allclose(found["q"], whole["q"][step], rtol=1e-3, atol=1e-5)
            assert found["action"] == whole["actions"][step]


def test_a_moved_number_moves_the_values():
    agent = dqn()
    found = what_if(agent, {"step": 2, "numbers": [0.1, 0.2, 0.3, 0.4]}, {})
    np.testing.assert_allclose(found["q"], agent.values(np.array([0.1, 0.2, 0.3, 0.4], np.float32)).q, rtol=1e-6)
    assert found["v"] == max(found["q"])


def test_a_recurrent_agent_keeps_its_past():
    agent, session = drqn("TestCue"), {}
    now = [0.0, 0.0, 1.0]
    late = what_if(agent, {"step": 4, "numbers": now}, session)
    first = what_if(agent, {"step": 0, "numbers": now}, session)
    assert not np.allclose(late["q"], first["q"])
    state = session["episode"][1].states[4]
    np.testing.assert_allclose(late["q"], agent.values(np.array(now, np.float32), state).q, rtol=1e-6)


def test_a_discrete_observation_moves_in_whole_numbers():
    agent = table()
    agent.q[0, 6] = [1, 2, 3, 4]
    assert what_if(agent, {"step": 0, "numbers": [1, 2]}, {})["q"] == [1, 2, 3, 4]
    with pytest.raises(UserError, match="row lies between 0 and 3, not 4"):
        what_if(agent, {"step": 0, "numbers": [4, 0]}, {})


def test_masked_actions_stay_forbidden():
    agent, session = dqn("TestLegal"), {}
    whole = episode(agent, {}, session)
    found = what_if(agent, {"step": 0, "numbers": [1]}, session)
    assert [x is None for x in found["q"]] == [x is None for x in whole["q"][0]]


def test_covered_pixels_are_gone():
    agent, session = dqn("Catch"), {}
    plain = what_if(agent, {"step": 5}, session)
    assert plain["cells"] == [10, 10]
    image = decoded(plain["picture"])
    assert image.shape == (10, 10, 3)
    rows, columns = np.nonzero(image.max(2))
    cells = [int(row * 10 + column) for row, column in zip(rows, columns, strict=True)]
    hidden = what_if(agent, {"step": 5, "cover": cells, "fill": "black"}, session)
    assert decoded(hidden["picture"]).max() == 0
    np.testing.assert_allclose(hidden["q"], agent.values(np.zeros((3, 10, 10), np.uint8)).q, rtol=1e-5)
    assert hidden["q"] != plain["q"]


def test_the_background_is_what_is_there_most_of_the_time():
    agent, session = dqn("Catch"), {}
    everything = list(range(100))
    found = what_if(agent, {"step": 5, "cover": everything}, session)
    median = np.median(session["episode"][1].observations, 0).astype(np.uint8)
    np.testing.assert_allclose(found["q"], agent.values(median).q, rtol=1e-5)


def test_large_images_are_covered_in_blocks():
    assert grid((4, 84, 84)) == [28, 28]
    assert grid((1, 210, 160)) == [27, 20]
    assert grid((3, 10, 10)) == [10, 10]
    agent = dqn("TestSmallImage")
    plain = what_if(agent, {"step": 1}, {})
    assert plain["cells"] == [18, 18]
    found = decoded(what_if(agent, {"step": 1, "cover": [0], "fill": "black"}, {})["picture"])
    assert (found[:2, :2] == 0).all()
    assert (found[2:, 2:] == decoded(plain["picture"])[2:, 2:]).all()


@pytest.mark.parametrize("cover", [[-1], [100], ["1"], "all", [1.5], [True]])
def test_impossible_covers_are_refused(cover):
    with pytest.raises(UserError, match="from 0 to 99"):
        what_if(dqn("Catch", max_episode_steps=6), {"step": 0, "cover": cover}, {})


def test_pictures_of_planes_and_of_stacks():
    planes = np.zeros((2, 4, 4), np.uint8)
    planes[0, 0, 0] = planes[1, 1, 1] = 1
    shown = picture(planes, 1)
    assert len({tuple(shown[i, i]) for i in range(3)}) == 3
    stack = np.arange(4, dtype=np.uint8)[:, None, None] * np.full((4, 40, 40), 50, np.uint8)
    assert (picture(stack, 4) == 150).all()
