"""Episodes of an agent as JSON, and their frames."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from rlgen.agents.episode import record
from rlgen.core.errors import UserError
from rlgen.ui.actions.agents import Film, episode, frames, recorded, reduced, rounded
from tests.ui.actions.tiny_agents import dqn, drqn, table


def decoded(url):
    head, data = url.split(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


@pytest.mark.parametrize(
    ("make", "task"), [(dqn, "CartPole"), (drqn, "TestCue"), (table, "FrozenLake"), (dqn, "TestLegal")]
)
def test_an_episode_is_json_with_numbers_of_every_step(make, task):
    agent = make(task)
    found = json.loads(json.dumps(episode(agent, {"seed": 4}, {}), allow_nan=False))
    expected = record(agent, 4, frames=False)
    assert found["steps"] == len(expected)
    assert found["actions"] == expected.actions.tolist()
    for name in ("v", "returns", "tail", "sums", "rewards"):
        np.testing.assert_allclose(found[name], getattr(expected, name), rtol=1e-4)
    q = np.array([[-np.inf if x is None else x for x in row] for row in found["q"]])
    np.testing.assert_allclose(q, expected.q, rtol=1e-4)
    assert len(found["names"]) == agent.env.num_actions
    assert len(found["observations"]) == found["steps"] + 1
    assert found["recurrent"] == (make is drqn)


def test_bounds_of_numbers_without_bounds_are_observed():
    found = episode(dqn(), {"seed": 0}, {})
    position, velocity = found["numbers"][:2]
    column = [row[1] for row in found["observations"]]
    assert not position["observed"]
    assert velocity["observed"]
    assert velocity["low"] < min(column) < max(column) < velocity["high"]


def test_frames_are_drawn_as_far_as_they_are_requested():
    agent, session = table(), {}
    request = {"seed": 1}
    steps = episode(agent, request, session)["steps"]
    assert len(session["film"].frames) == 1
    found = frames(agent, {**request, "start": 2, "count": 3}, session)
    assert len(found["frames"]) == min(3, steps - 1)
    assert len(session["film"].frames) == min(5, steps + 1)
    whole = record(agent, 1)
    for url, expected in zip(found["frames"], whole.frames[2:5], strict=False):
        np.testing.assert_array_equal(decoded(url), expected)
    rest = frames(agent, {**request, "start": 0}, session)["frames"]
    assert len(rest) == min(50, steps + 1)


def test_another_seed_is_another_film():
    agent, session = dqn(), {}
    one = episode(agent, {"seed": 1}, session)
    film = session["film"]
    assert episode(agent, {"seed": 1}, session) == one
    assert session["film"] is film
    episode(agent, {"seed": 2}, session)
    assert session["film"] is not film


def test_frames_after_the_session_was_lost_are_the_same():
    agent = dqn()
    one = frames(agent, {"seed": 1, "start": 3, "count": 2}, {})
    assert one == frames(agent, {"seed": 1, "start": 3, "count": 2}, {})


@pytest.mark.parametrize(
    ("settings", "name", "width"), [({"atoms": 5}, "atoms", 5), ({"quantiles": 3}, "quantiles", 3)]
)
def test_distributions_come_with_the_frames(settings, name, width):
    agent, session = dqn(**settings), {}
    assert episode(agent, {}, session)["distribution"] == name
    found = frames(agent, {"start": 0, "count": 4, "film": False}, session)
    assert found["frames"] == []
    assert np.shape(found["distributions"]) == (4, 2, width)
    if name == "atoms":
        np.testing.assert_allclose(np.sum(found["distributions"], -1), 1, atol=1e-3)


def test_an_environment_without_pictures_has_numbers():
    found = episode(dqn("TestIdentity"), {}, session := {})
    assert not found["film"]
    assert "TestIdentity" in found["reason"]
    assert found["numbers"] == [{"name": "state", "low": 0.0, "high": 3.0, "whole": True, "observed": False}]
    assert found["steps"] == 10
    with pytest.raises(UserError):
        frames(dqn("TestIdentity"), {"start": 0}, session)


@pytest.mark.parametrize("request_", [{"seed": -1}, {"seed": "x"}, {"max_steps": 0}, {"max_steps": 10**9}])
def test_impossible_requests_are_refused(request_):
    with pytest.raises(UserError):
        recorded(dqn(), request_, {})


def test_wide_pictures_are_reduced():
    assert reduced(np.zeros((400, 600, 3), np.uint8)).shape == (200, 300, 3)
    assert reduced(np.zeros((256, 256, 3), np.uint8)).shape == (256, 256, 3)


def test_numbers_have_five_digits():
    assert rounded(np.array([123456.0, 1.234567e-7, 0.0, -np.inf])) == [123460.0, 1.2346e-07, 0.0, None]


def test_a_film_ends_with_its_last_state():
    class Still:
        steps: list = []  # noqa: RUF012

        class env:
            @staticmethod
            def render():
                return np.zeros((2, 2, 3), np.uint8)

        def step(self, action):
            self.steps.append(action)

    film = Film(Still(), [3, 1])
    assert len(film.upto(99)) == 3
    assert Still.steps == [3, 1]
