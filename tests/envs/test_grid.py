import warnings

import gymnasium as gym
import numpy as np
import pytest
import rlgen.envs  # noqa: F401  # registers the environments
from gymnasium.utils.env_checker import check_env
from rlgen.envs.grid import MAP, GridWorld

SMALL = """
S.#
.XG
S..
"""


def test_it_passes_gymnasiums_check_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make("rlgen/GridWorld-v0", render_mode="rgb_array").unwrapped)


def test_walls_are_no_places_and_what_lies_outside_is_a_wall():
    world = GridWorld(SMALL, slip=0)
    assert world.observation_space.n == 8
    assert world.places[:3] == [(0, 0), (0, 1), (1, 0)]
    up, right, down, left = (world.P[world.number[0, 1]][action] for action in range(4))
    stays = (1.0, world.number[0, 1], pytest.approx(-0.01), False)
    assert up == right == [stays]
    assert down == [(1.0, world.number[1, 1], pytest.approx(-1.01), True)]
    assert left == [(1.0, world.number[0, 0], pytest.approx(-0.01), False)]
    assert world.P[world.number[2, 2]][0] == [(1.0, world.number[1, 2], pytest.approx(0.99), True)]


def test_a_move_slips_to_its_sides():
    world = GridWorld(SMALL, slip=0.2, cost=0)
    outcomes = {there: (chance, reward, over) for chance, there, reward, over in world.P[world.number[2, 1]][1]}
    assert outcomes == {
        world.number[2, 2]: (0.8, 0, False), world.number[1, 1]: (0.1, -1, True), world.number[2, 1]: (0.1, 0, False)
    }  # fmt: skip


@pytest.mark.parametrize("map", [MAP, SMALL])
def test_something_always_happens(map):
    world = GridWorld(map)
    for actions in world.P.values():
        for outcomes in actions.values():
            assert sum(chance for chance, *_ in outcomes) == pytest.approx(1)
    assert world.initial_state_distrib.sum() == pytest.approx(1)


def test_the_end_is_the_end():
    world = GridWorld(SMALL)
    for place in ((1, 1), (1, 2)):
        here = world.number[place]
        assert list(world.P[here].values()) == [[(1.0, here, 0.0, True)]] * 4


def test_it_does_what_its_table_says():
    world = GridWorld(SMALL, slip=0.3)
    world.reset(seed=0)
    rng = np.random.default_rng(0)
    for action in range(4):
        place = int(rng.choice([world.number[p] for p in ((0, 0), (1, 0), (2, 1), (2, 2))]))
        expected, counted = {}, {}
        for chance, *outcome in world.P[place][action]:
            expected[tuple(outcome)] = expected.get(tuple(outcome), 0) + chance
        for _ in range(4_000):
            world.place = place
            there, reward, terminated, truncated, _ = world.step(action)
            assert not truncated
            counted[there, reward, terminated] = counted.get((there, reward, terminated), 0) + 1
        assert counted.keys() == expected.keys()
        for outcome, chance in expected.items():
            assert counted[outcome] / 4_000 == pytest.approx(chance, abs=0.04)


def test_every_start_is_drawn():
    world = GridWorld(SMALL)
    starts = [world.reset(seed=seed)[0] for seed in range(40)]
    assert set(starts) == {world.number[0, 0], world.number[2, 0]}
    assert starts == [world.reset(seed=seed)[0] for seed in range(40)]


@pytest.mark.parametrize(
    ("map", "slip", "reason"),
    [
        ("S.\n.", 0, "as long as"), ("S?G", 0, r"not of \?"), ("S..", 0, "a start S and a goal G"), ("..G", 0, "start"),
        ("", 0, "lines"), ("S.G", 1.5, "slip is a probability, not 1.5"),
    ],
)  # fmt: skip
def test_a_map_that_cannot_be_walked_is_refused(map, slip, reason):
    with pytest.raises(ValueError, match=reason):
        GridWorld(map, slip)


def test_the_picture_shows_where_the_agent_is():
    world = GridWorld(SMALL, slip=0, render_mode="rgb_array")
    world.reset(seed=0)
    world.place = world.number[0, 0]
    before = world.render()
    assert before.dtype == np.uint8
    assert before.shape == (160, 160, 3)
    world.step(1)
    changed = np.argwhere((world.render() != before).any(-1))
    assert changed.min(0).tolist() >= [8, 8]
    assert changed[:, 0].max() < 8 + 48  # the first row of tiles
    assert changed[:, 1].max() > 8 + 48  # into the second column
    assert changed[:, 1].max() < 8 + 96
