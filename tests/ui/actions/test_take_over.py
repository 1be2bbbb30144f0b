"""Episodes in which a person acts."""

import json

import numpy as np
import pytest

from rlgen.agents.episode import Player, record
from rlgen.core.errors import UserError
from rlgen.ui.actions.take_over import take_over, waits
from tests.ui.actions.tiny_agents import dqn, drqn, table


def test_the_agent_alone_repeats_its_own_episode():
    for agent in (dqn(), drqn("TestCue"), dqn("TestLegal")):
        session = {}
        found = take_over(agent, {"do": "start", "seed": 3}, session)
        own = record(agent, 3, frames=False)
        assert found["score"] == pytest.approx(own.score)
        for action, score in zip(own.actions, found["scores"], strict=True):
            step = json.loads(json.dumps(take_over(agent, {"do": "step", "action": None}, session), allow_nan=False))
            assert (step["taken"], step["regret"], step["by"]) == (action, 0, "agent")
            assert step["total"] == pytest.approx(score, rel=1e-4)
        assert step["ended"]
        with pytest.raises(UserError, match="over: start a new one"):
            take_over(agent, {"do": "step"}, session)


def test_regret_is_what_the_agent_expects_to_lose():
    agent, session = table(), {}
    agent.q[:] = [0.5, 0.25, 1.0, 0.0]
    found = take_over(agent, {"do": "start"}, session)
    assert found["q"] == [0.5, 0.25, 1.0, 0.0]
    step = take_over(agent, {"do": "step", "action": 1}, session)
    assert (step["regret"], step["by"], step["step"]) == (0.75, "you", 1)


def test_keys_and_names_are_those_of_the_environment():
    found = take_over(table(), {"do": "start"}, {})
    assert found["names"] == ["left", "down", "right", "up"]
    assert found["keys"]["ArrowRight"] == 2
    assert (found["waits"], found["idle"]) == (True, None)
    assert found["frame"].startswith("data:image/png")
    assert not waits(dqn())
    assert take_over(dqn("Catch"), {"do": "start"}, {})["idle"] == 1


def test_an_action_that_is_not_allowed_is_refused():
    agent, session = dqn("TestLegal"), {}
    forbidden = take_over(agent, {"do": "start"}, session)["q"].index(None)
    with pytest.raises(UserError, match="not allowed now"):
        take_over(agent, {"do": "step", "action": forbidden}, session)
    with pytest.raises(UserError, match="whole number from 0 to 4"):
        take_over(agent, {"do": "step", "action": 9}, session)


def test_an_environment_without_pictures_is_played_by_its_numbers():
    found = take_over(dqn("TestIdentity"), {"do": "start"}, {})
    assert found["frame"] is None
    assert "TestIdentity" in found["reason"]
    (number,) = found["numbers"]
    assert number["name"] == "state"
    assert number["value"] in (0, 1, 2, 3)


def test_a_step_without_an_episode_is_refused():
    session = {}
    with pytest.raises(UserError, match="start a new one"):
        take_over(dqn(), {"do": "step"}, session)
    take_over(dqn(), {"do": "start"}, session)
    assert isinstance(session["player"], Player)
    assert take_over(dqn(), {"do": "stop"}, session) == {}
    assert "player" not in session


def test_both_sides_start_in_the_same_state():
    agent = dqn()
    one, other, third = (Player(agent, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.env.obs, other.env.obs)
    assert not np.array_equal(one.env.obs, third.env.obs)
