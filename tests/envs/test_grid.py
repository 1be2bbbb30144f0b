import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import rlgen.envs  # noqa: F401  # registers the environments
from rlgen.envs.grid import MAP, GridWorld

SMALL = """
S.#
.XG
S..
"""


def test_gymnasium_s_checker_passes_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make("rlgen/GridWorld-v0", render_mode="rgb_array").unwrapped)


def test_moves_into_walls_or_off_the_map_leave_the_agent_in_place():
    grid = GridWorld(SMALL, slip=0)
    assert grid.observation_space.n == 8
    assert grid.places[:3] == [(0, 0), (0, 1), (1, 0)]
    up, right, down, left = (grid.P[grid.number[0, 1]][action] for action in range(4))
    stays = (1.0, grid.number[0, 1], pytest.approx(-0.01), False)
    assert up == right == [stays]
    assert down == [(1.0, grid.number[1, 1], pytest.approx(-1.01), True)]
    assert left == [(1.0, grid.number[0, 0], pytest.approx(-0.01), False)]
    assert grid.P[grid.number[2, 2]][0] == [(1.0, grid.number[1, 2], pytest.approx(0.99), True)]


def test_a_move_slips_to_its_sides():
    grid = GridWorld(SMALL, slip=0.2, cost=0)
    outcomes = {state: (p, reward, terminated) for p, state, reward, terminated in grid.P[grid.number[2, 1]][1]}
    assert outcomes == {
        grid.number[2, 2]: (0.8, 0, False), grid.number[1, 1]: (0.1, -1, True), grid.number[2, 1]: (0.1, 0, False)
    }  # fmt: skip


@pytest.mark.parametrize("map", [MAP, SMALL])
def test_probabilities_add_up_to_1(map):
    grid = GridWorld(map)
    for actions in grid.P.values():
        for outcomes in actions.values():
            assert sum(chance for chance, *_ in outcomes) == pytest.approx(1)
    assert grid.initial_state_distrib.sum() == pytest.approx(1)


def test_goals_and_pits_lead_only_to_termination():
    grid = GridWorld(SMALL)
    for place in ((1, 1), (1, 2)):
        state = grid.number[place]
        assert list(grid.P[state].values()) == [[(1.0, state, 0.0, True)]] * 4


def test_steps_follow_the_table_of_transitions():
    grid = GridWorld(SMALL, slip=0.3)
    grid.reset(seed=0)
    rng = np.random.default_rng(0)
    for action in range(4):
        place = int(rng.choice([grid.number[p] for p in ((0, 0), (1, 0), (2, 1), (2, 2))]))
        expected, counted = {}, {}
        for chance, *outcome in grid.P[place][action]:
            expected[tuple(outcome)] = expected.get(tuple(outcome), 0) + chance
        for _ in range(4_000):
            grid.place = place
            state, reward, terminated, truncated, _ = grid.step(action)
            assert not truncated
            counted[state, reward, terminated] = counted.get((state, reward, terminated), 0) + 1
        assert counted.keys() == expected.keys()
        for outcome, chance in expected.items():
            assert counted[outcome] / 4_000 == pytest.approx(chance, abs=0.04)


def test_every_start_is_drawn_and_depends_on_the_seed():
    grid = GridWorld(SMALL)
    starts = [grid.reset(seed=seed)[0] for seed in range(40)]
    assert set(starts) == {grid.number[0, 0], grid.number[2, 0]}
    assert starts == [grid.reset(seed=seed)[0] for seed in range(40)]


@pytest.mark.parametrize(
    ("map", "slip", "reason"),
    [
        ("S.\n.", 0, "the same length"), ("S?G", 0, r"not \?"), ("S..", 0, "a goal G"), ("..G", 0, "start"),
        ("", 0, "rows"), ("S.G", 1.5, "slip is a probability, not 1.5"),
    ],
)  # fmt: skip
def test_an_invalid_map_or_slip_is_refused(map, slip, reason):
    with pytest.raises(ValueError, match=reason):
        GridWorld(map, slip)


def test_the_picture_shows_the_tile_of_the_agent():
    grid = GridWorld(SMALL, slip=0, render_mode="rgb_array")
    grid.reset(seed=0)
    grid.place = grid.number[0, 0]
    before = grid.render()
    assert before.dtype == np.uint8
    assert before.shape == (160, 160, 3)
    grid.step(1)
    changed = np.argwhere((grid.render() != before).any(-1))
    assert changed.min(0).tolist() >= [8, 8]
    assert changed[:, 0].max() < 8 + 48  # the first row of tiles
    assert changed[:, 1].max() > 8 + 48  # into the second column
    assert changed[:, 1].max() < 8 + 96
