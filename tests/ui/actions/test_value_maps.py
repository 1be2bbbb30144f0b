"""Value maps as JSON: learned and exact values of every cell, visits, and what a request may choose."""

import json

import numpy as np
import pytest

from rlgen.agents.backups import optimum
from rlgen.core.errors import UserError
from rlgen.ui.actions.value_maps import backup, value_map, visited
from tests.ui.actions.tiny_agents import dqn, drqn, table


def asked(function, agent, request=None, session=None):
    return json.loads(json.dumps(function(agent, request or {}, {} if session is None else session), allow_nan=False))


def filled(task, **settings):
    agent = table(task, **settings)
    agent.q[:] = np.random.default_rng(0).normal(size=agent.q.shape)
    agent.visits[:] = np.arange(agent.visits.size).reshape(agent.visits.shape)
    return agent


def test_a_map_of_a_lake():
    agent = filled("FrozenLake", gamma=0.9)
    found = asked(value_map, agent)
    best = optimum("FrozenLake-v1", 0.9)
    assert found["grid"]
    assert found["marks"][1] == ["", "H", "", "H"]
    right = []
    for state in range(16):
        row, column = divmod(state, 4)
        if state in (5, 7, 11, 12, 15):  # an episode ends there
            assert found["v"][row][column] is found["exact"][row][column] is found["action"][row][column] is None
            continue
        assert found["v"][row][column] == pytest.approx(agent.q[0, state].max(), rel=1e-4)
        assert found["exact"][row][column] == pytest.approx(best.q[state].max(), rel=1e-4)
        difference = agent.q[0, state].max() - best.q[state].max()
        assert found["difference"][row][column] == pytest.approx(difference, rel=1e-3)
        assert found["action"][row][column] == agent.q[0, state].argmax()
        assert found["visits"][row][column] == agent.visits[0, state].sum()
        right.append(best.q[state][agent.q[0, state].argmax()] >= best.q[state].max() - 1e-9)
    assert found["optimal"] == pytest.approx(np.mean(right))
    assert "training" in found["source"]


def test_a_map_of_real_numbers_is_that_of_values():
    agent = dqn()
    found = asked(value_map, agent, {"resolution": 7, "fixed": [0.1, 0.2, 0, 0]})
    assert (len(found["y"]), len(found["x"])) == (7, 7)
    for row, column in ((0, 0), (3, 5), (6, 2)):
        obs = np.array([0.1, 0.2, found["x"][column], found["y"][row]], np.float32)
        values = agent.values(obs)
        assert found["v"][row][column] == pytest.approx(float(values.v), rel=1e-3, abs=1e-4)
        assert found["action"][row][column] == values.action
    assert found["exact"] is None
    assert "CartPole" in found["reason"]
    assert found["fixed"] == [0.1, 0.2, 0, 0]


def test_visits_are_of_greedy_episodes_without_a_table():
    agent, session = dqn("FrozenLake"), {}
    found = asked(value_map, agent, session=session)
    observations = visited(agent, session)
    assert np.sum(found["visits"]) == len(observations)
    assert found["visits"][0][0] == (observations.argmax(1) == 0).sum() >= 10
    assert found["source"] == "10 greedy episodes"


def test_a_map_is_of_the_chosen_cells():
    agent, session = filled("Taxi"), {}
    first = asked(value_map, agent, session=session)
    again = {name: first[name] for name in ("axes", "fixed", "ranges")}
    assert asked(value_map, agent, again, session) == first
    other = asked(value_map, agent, {**again, "fixed": [0, 0, 1, 2]}, session)
    inner = agent.env.environments.envs[0].unwrapped
    state = inner.encode(3, 1, 1, 2)
    allowed = inner.action_mask(state).astype(bool)
    assert other["v"][3][1] == pytest.approx(agent.q[0, state][allowed].max(), rel=1e-4)
    assert other["v"] != first["v"]
    swapped = asked(value_map, agent, {"axes": [0, 1], "fixed": [0, 0, 1, 2]}, session)
    assert np.array_equal(np.transpose(swapped["v"]), other["v"])


@pytest.mark.parametrize(
    ("settings", "reason"), [({"clip_reward": True}, "other rewards"), ({"munchausen": 0.9}, "other rewards")]
)
def test_other_rewards_have_no_exact_values(settings, reason):
    found = asked(value_map, dqn("FrozenLake", **settings))
    assert found["exact"] is found["optimal"] is None
    assert reason in found["reason"]


def test_a_recurrent_agent_has_values_of_the_start_of_an_episode():
    agent = drqn("CartPoleHidden")
    found = asked(value_map, agent, {"resolution": 3})
    assert found["recurrent"]
    obs = np.array([found["x"][1], found["y"][2]], np.float32)
    assert found["v"][2][1] == pytest.approx(float(agent.values(obs, None, [True]).v), rel=1e-3)


def test_a_backup_of_a_cell_in_numbers():
    agent = filled("FrozenLake", gamma=0.9)
    found = asked(backup, agent, {"numbers": [2, 2]})
    best = optimum("FrozenLake-v1", 0.9).q
    assert found["steps"]
    assert not asked(backup, agent, {"numbers": [1, 1]})["steps"]  # a hole
    assert [action["q"] for action in found["actions"]] == pytest.approx(agent.q[0, 10].tolist())
    assert [action["exact"] for action in found["actions"]] == pytest.approx(best[10].tolist())
    for action in found["actions"]:
        total = 0
        for outcome in action["outcomes"]:
            state = int(4 * outcome["numbers"][0] + outcome["numbers"][1])
            v, exact = (0, 0) if outcome["terminated"] else (agent.q[0, state].max(), best[state].max())
            assert (outcome["v"], outcome["exact"]) == (pytest.approx(v), pytest.approx(exact))
            total += outcome["probability"] * (outcome["reward"] + 0.9 * v)
        assert action["backup"] == pytest.approx(total)


def test_without_transitions_the_values_remain():
    found = asked(backup, dqn("Acrobot"), {"numbers": [1, 0, 1, 0, 0.5, 0.5]})
    assert "needs the transitions" in found["reason"]
    assert all(action["backup"] is None and action["q"] is not None for action in found["actions"])


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"axes": [0, 0]}, "two of the numbers"),
        ({"axes": [0, 9]}, "axes must be"),
        ({"axes": [0.5, 1]}, "two of the numbers"),
        ({"resolution": 1000}, "resolution"),
        ({"ranges": [[0, 1]]}, "two pairs"),
        ({"ranges": [[1, 0], [0, 1]]}, "from the lower to the higher"),
        ({"fixed": [0, 0, 0]}, "list of 4 numbers"),
    ],
)
def test_a_bad_request_is_one_clear_line(request_, message):
    with pytest.raises(UserError, match=message):
        value_map(dqn(), request_, {})


def test_walls_and_images_are_refused():
    with pytest.raises(UserError, match="a wall"):
        backup(filled("GridWorld"), {"numbers": [0, 3]}, {})
    with pytest.raises(UserError, match="images"):
        value_map(dqn("TestSmallImage"), {}, {})


def test_a_map_of_too_many_cells_is_refused():
    with pytest.raises(UserError, match="cells: at most"):
        value_map(filled("Taxi"), {"ranges": [[0, 1e5], [0, 4]]}, {})
