"""The replay buffer as JSON: the most surprising transitions, histograms, and statistics over time."""

import json

import numpy as np
import pytest

from rlgen.agents.surprise import surprise
from rlgen.core.errors import UserError
from rlgen.ui.actions.replay import replay
from tests.ui.actions.tiny_agents import dqn, drqn, table

SMALL = {"learning_starts": 20, "train_freq": 4, "target_update_interval": 20}


def trained(make=dqn, task="CartPole", **settings):
    agent = make(task, **SMALL, **settings)
    while agent.time < 100:
        agent.step()
    return agent


def asked(agent, request=None, session=None):
    found = replay(agent, request or {}, {} if session is None else session)
    return json.loads(json.dumps(found, allow_nan=False))


@pytest.mark.parametrize("settings", [{}, {"alpha": 0.5, "n_step": 3}, {"atoms": 11}])
def test_the_largest_errors_come_first(settings):
    agent = trained(**settings)
    found, all_ = asked(agent, {"count": 7}), surprise(agent, 10_000)
    errors = [abs(each["error"]) for each in found["transitions"]]
    assert errors == pytest.approx(sorted(np.abs(all_.errors).tolist(), reverse=True)[:7])
    for each in found["transitions"]:
        (i,) = np.flatnonzero(all_.time == each["time"])
        assert each["observation"] == pytest.approx(all_.observations[i].tolist(), rel=1e-3)
        assert each["error"] == pytest.approx(each["target"] - each["q"])
        assert (each["next"] is None) == each["terminated"] == (all_.discounts[i] == 0)
        assert each["action"] == ["push left", "push right"][all_.actions[i]]
    assert found["numbers"][2] == "pole angle (rad)"


def test_histograms_and_statistics_over_time_count_every_transition():
    agent = trained(alpha=0.5)
    found, all_ = asked(agent), surprise(agent, 10_000)
    size = np.abs(all_.errors)
    errors = found["errors"]
    assert sum(errors["counts"]) == found["computed"] == len(size)
    half = (errors["x"][1] - errors["x"][0]) / 2
    for x, count in list(zip(errors["x"], errors["counts"], strict=True))[1:-1]:
        assert count == pytest.approx(((np.log10(size) >= x - half) & (np.log10(size) < x + half)).sum(), abs=1)
    assert 10 ** (errors["x"][-1] + half) == pytest.approx(size.max(), rel=0.01)
    assert errors["largest"] == pytest.approx(size.max())
    assert max(errors["largest_of_period"]) == pytest.approx(size.max(), rel=1e-3)
    assert all(
        a <= b <= c for a, b, c in zip(errors["median"], errors["high"], errors["largest_of_period"], strict=True)
    )
    assert found["first"] == 1
    assert found["last"] == int(all_.time[-1])
    known = np.isfinite(all_.stored)
    assert sum(found["priorities"]["counts"]) == known.sum()
    assert -1 <= found["correlation"] <= 1


def test_uniform_replay_has_no_priorities():
    found = asked(trained())
    assert found["priorities"] is found["correlation"] is None
    assert found["alpha"] == 0


def test_images_are_shown_as_pictures():
    found = asked(trained(task="TestSmallImage"), {"count": 1})
    assert found["transitions"][0]["observation"].startswith("data:image/png;base64,")
    assert found["numbers"] == []


def test_recurrent_agents_have_errors_by_their_stored_states():
    found = asked(trained(drqn, "CartPoleHidden"), {"count": 3})
    assert len(found["transitions"]) == 3


def test_an_agent_without_a_buffer_is_refused():
    with pytest.raises(UserError, match="no replay buffer"):
        replay(table(), {}, {})
    with pytest.raises(UserError, match="count must be"):
        replay(trained(), {"count": 0}, {})
