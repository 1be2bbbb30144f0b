import sys
from importlib.util import find_spec

import numpy as np
import pytest
from rlgen.envs import VectorEnv

from rlgen.core.errors import UserError


def test_without_the_package_the_way_to_get_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(UserError, match=r"^ALE/Pong-v5 cannot be made: [^\n]*pip install 'rlgen\[atari\]'$"):
        VectorEnv("Pong", 1, seed=0)


needs_ale = pytest.mark.skipif(find_spec("ale_py") is None, reason="ale-py is not installed: rlgen[atari]")


def play(env, actions):
    """The steps of these actions (T, L)."""
    return [env.step(row) for row in actions]


def actions(env, steps, seed=0):
    return np.random.default_rng(seed).integers(env.num_actions, size=(steps, len(env.obs)))


@needs_ale
def test_what_an_agent_sees():
    env = VectorEnv("Pong", 2, seed=0, frame_stack=4)
    assert (env.shape, env.dtype, env.scale, env.num_actions) == ((4, 84, 84), np.uint8, 255, 6)
    assert (env.max_episode_steps, env.frame_stack, env.action_mask.shape) == (27_000, 4, (2, 1))
    *_, step = play(env, actions(env, 40))
    assert step.next_obs.shape == (2, 4, 84, 84)
    assert len(np.unique(step.next_obs)) > 3  # shades of grey
    assert not np.array_equal(env.obs[0], env.obs[1])


@needs_ale
def test_any_game_of_ale_py():
    env = VectorEnv("Frostbite", 1, seed=0)
    assert (env.name, env.num_actions, env.shape) == ("ALE/Frostbite-v5", 18, (1, 84, 84))


@needs_ale
def test_a_game_follows_from_its_seed_and_actions():
    """Whatever happens in other lanes, and whatever was played before it was started anew."""
    one, three = VectorEnv("Breakout", 1, seed=0), VectorEnv("Breakout", 3, seed=1)
    script = actions(three, 400)
    play(three, script)
    assert (three.episode > 0).all()  # games that ended, one by one, were begun again
    np.testing.assert_array_equal(
        three.environments.reset(np.array([1]), [77]), one.environments.reset(np.array([0]), [77])
    )
    for row in script[:60]:
        here, there = three.environments.step(row, np.ones(3, bool)), one.environments.step(row[1:2], np.ones(1, bool))
        for ours, theirs in zip(here, there, strict=True):
            np.testing.assert_array_equal(ours[1], theirs[0])
    np.testing.assert_array_equal(three.environments.lives[1], one.environments.lives[0])


@needs_ale
@pytest.mark.parametrize("before", [0, 150])
def test_resumed_in_mid_game_the_future_is_the_same(before, caplog):
    """T15, with lanes that have played for different times since their games began."""
    whole, other = (VectorEnv("Breakout", 3, seed=5, frame_stack=2, life_loss=True) for _ in range(2))
    play(whole, actions(whole, before))
    play(other, actions(other, 20, seed=9))
    if before:
        assert len(set(whole.length.tolist())) > 1
    other.load_state_dict(whole.state_dict())
    assert not caplog.records
    np.testing.assert_array_equal(whole.obs, other.obs)
    script = actions(whole, 60, seed=3)
    for ours, theirs in zip(play(whole, script), play(other, script), strict=True):
        for here, there in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(here, there)


@needs_ale
def test_lives_and_signs_are_for_learning_while_the_game_goes_on():
    """T12: a lost life terminates without restarting the game; scores are those of whole games."""
    learning = VectorEnv("Breakout", 2, seed=0, life_loss=True, clip_reward=True)
    plain = VectorEnv("Breakout", 2, seed=0)
    script, lost, over = actions(plain, 500), 0, 0
    for ours, whole in zip(play(learning, script), play(plain, script), strict=True):
        np.testing.assert_array_equal(ours.next_obs, whole.next_obs)
        np.testing.assert_array_equal(ours.episode_end, whole.episode_end)
        np.testing.assert_array_equal(ours.episode_return, whole.episode_return)
        np.testing.assert_array_equal(ours.reward, np.sign(whole.reward))
        np.testing.assert_array_equal(whole.done, whole.episode_end)
        assert (ours.done | ~ours.episode_end).all()
        lost += int((ours.done & ~ours.episode_end).sum())
        over += int(ours.episode_end.sum())
    assert over >= 2
    assert 4 * over <= lost <= 4 * (over + 2)  # five lives, the last of which ends the game


@needs_ale
def test_an_evaluation_plays_whole_games():
    """T12: each lane one game to its end, which no lost life is."""
    env, lives = VectorEnv("Breakout", 2, seed=0, restart=False), []
    rng = np.random.default_rng(0)
    while not env.episode_end.all():
        lives.append(env.environments.lives.tolist())
        env.step(rng.integers(4, size=2))
    assert np.max(lives, 0).tolist() == [5, 5]
    assert env.environments.lives.tolist() == [0, 0]


@needs_ale
def test_actions_stick():
    """T12: by default with probability 0.25, and not at all where 0 is asked for."""
    script = np.random.default_rng(0).integers(6, size=(40, 1))

    def frames(repeat_action_probability):
        env = VectorEnv("Pong", 1, seed=0, repeat_action_probability=repeat_action_probability)
        return np.stack([step.next_obs for step in play(env, script)])

    np.testing.assert_array_equal(frames(None), frames(0.25))
    assert not np.array_equal(frames(None), frames(0.0))


@needs_ale
def test_a_time_limit():
    env = VectorEnv("Pong", 2, seed=0, max_episode_steps=12)
    steps = play(env, actions(env, 24))
    assert [bool(step.episode_end.all()) for step in steps] == ([False] * 11 + [True]) * 2
    assert not any(step.terminated.any() for step in steps)


@needs_ale
def test_pictures_show_the_same_game_in_colour():
    env = VectorEnv("Breakout", 2, seed=0, render_mode="rgb_array")
    script = actions(env, 250)
    for row in script:
        env.step(row)
        for game, film in zip(env.environments.games, env.environments.films, strict=True):
            assert game.ale is not film.ale
    assert (env.episode > 0).any()
    picture = env.render(1)
    assert (picture.shape, picture.dtype) == ((420, 320, 3), np.uint8)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 6
    grey = (picture[::2, ::2] @ [0.299, 0.587, 0.114]).reshape(210, 160)
    rows, columns = np.arange(84) * 210 // 84, np.arange(84) * 160 // 84
    apart = np.abs(grey[rows][:, columns] - env.obs[1, 0])
    assert np.median(apart) < 2
    with pytest.raises(UserError, match="rgb_array"):
        VectorEnv("Pong", 1, seed=0).render()
    env.close()
