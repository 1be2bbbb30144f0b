import warnings
from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import rlgen.envs  # noqa: F401  # registers the environments
from rlgen.envs.catch import APPLES, FALL, SIZE, Catch


def play(policy, seed):
    """The observations of one episode, its rewards, and whether it terminated."""
    env = gym.make("rlgen/Catch-v0")
    obs, _ = env.reset(seed=seed)
    seen, rewards, end = [obs], [], False
    while not end:
        obs, reward, terminated, truncated, _ = env.step(policy(env.unwrapped))
        seen.append(obs)
        rewards.append(reward)
        end = terminated or truncated
    return np.stack(seen), np.array(rewards), terminated


def best(game):
    return 1 + int(np.sign(game.target() - game.basket))


def test_gymnasium_s_checker_passes_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make("rlgen/Catch-v0", render_mode="rgb_array").unwrapped)


def test_all_apples_can_be_caught_and_random_actions_catch_few():
    """20 apples land in an episode, and the best policy catches all of them."""
    for seed in range(60):
        seen, rewards, terminated = play(best, seed)
        assert rewards.sum() == APPLES == 20
        assert set(rewards) == {0, 1}
        assert not terminated  # the time limit truncates the episode
        assert len(seen) == 105
    rng = np.random.default_rng(0)
    scores = [play(lambda game: rng.integers(3), seed)[1].sum() for seed in range(60)]
    assert 4 < np.mean(scores) < 7


def test_the_planes_show_basket_apples_and_trail():
    rng = np.random.default_rng(1)
    seen, rewards, _ = play(lambda game: rng.integers(3), 3)
    assert seen.dtype == np.uint8
    assert seen.shape[1:] == (3, SIZE, SIZE)
    assert set(np.unique(seen)) == {0, 255}
    for before, now in pairwise(seen):
        assert not now[0, :FALL].any()
        assert 2 <= (now[0] > 0).sum() <= 3  # columns: one of its three may be beyond the edge
        assert abs(int(now[0, FALL].argmax()) - int(before[0, FALL].argmax())) <= 1
        falling = before[1].copy()
        falling[FALL - 1] = 0  # an apple in the last row but one has landed
        np.testing.assert_array_equal(now[2], falling)
        assert not now[1, FALL].any()
        assert 1 <= (now[1] > 0).sum() <= 2
    caught = [before[1, FALL - 1].any() for before in seen[:-1]]
    assert sum(caught) == APPLES
    assert not rewards[~np.array(caught)].any()


@pytest.mark.parametrize("seed", range(8))
def test_an_apple_keeps_its_drift_and_bounces_off_the_walls(seed):
    game = Catch()
    game.reset(seed=seed)
    (_, lands, drift), columns = game.apples[0], []
    for _ in range(FALL):
        obs = game._observe()
        columns.append(int(obs[1, len(columns)].argmax()))
        game.step(1)
    columns.append(lands)
    moves = np.diff(columns)
    assert set(np.abs(moves)) == {abs(drift)}
    turns = np.flatnonzero(np.diff(moves))
    assert all(columns[turn + 1] in (0, SIZE - 1) for turn in turns)
    assert moves[-1] == drift or lands in (0, SIZE - 1)


def test_episodes_depend_on_their_seed():
    one, other, third = (play(best, seed)[0] for seed in (5, 5, 6))
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(one, third)


def test_observations_are_not_overwritten_by_later_steps():
    game = Catch()
    first, _ = game.reset(seed=0)
    kept = first.copy()
    for _ in range(5):
        game.step(2)
    np.testing.assert_array_equal(first, kept)


def test_the_picture_shows_the_basket_and_caught_and_missed_apples():
    game = Catch(render_mode="rgb_array")
    game.reset(seed=0)
    first = game.render()
    assert first.shape == (400, 400, 3)
    assert first.dtype == np.uint8
    game.basket = (game.basket + 4) % SIZE
    moved = (game.render() != first).any(-1)
    assert moved[360:].any()
    assert not moved[:360].any()
    pictures = {}
    for caught in (True, False):
        game.landed = (4, caught)
        pictures[caught] = game.render()
        assert not np.array_equal(pictures[caught], first)
    assert not np.array_equal(pictures[True], pictures[False])
