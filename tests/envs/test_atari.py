import sys
from importlib.util import find_spec

import numpy as np
import pytest

from rlgen.core.errors import UserError
from rlgen.envs import VectorEnv


def test_without_the_package_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(UserError, match=r"^ALE/Pong-v5 cannot be made: [^\n]*pip install 'rlgen\[atari\]'$"):
        VectorEnv("Pong", 1, seed=0)


needs_ale = pytest.mark.skipif(find_spec("ale_py") is None, reason="ale-py is not installed: rlgen[atari]")


def play(env, actions):
    """The steps of these actions (T, N)."""
    return [env.step(row) for row in actions]


def actions(env, steps, seed=0):
    return np.random.default_rng(seed).integers(env.num_actions, size=(steps, len(env.obs)))


@needs_ale
def test_observations_are_stacked_grey_frames_of_84_pixels():
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
    """Not from the other environments, nor from the games before."""
    one, three = VectorEnv("Breakout", 1, seed=0), VectorEnv("Breakout", 3, seed=1)
    script = actions(three, 400)
    play(three, script)
    assert (three.episode > 0).all()  # games ended one by one and began again
    np.testing.assert_array_equal(
        three.environments.reset(np.array([1]), [77]), one.environments.reset(np.array([0]), [77])
    )
    for row in script[:60]:
        here, there = three.environments.step(row, np.ones(3, bool)), one.environments.step(row[1:2], np.ones(1, bool))
        for ours, theirs in zip(here, there, strict=True):
            np.testing.assert_array_equal(ours[1], theirs[0])
    np.testing.assert_array_equal(three.environments.lives[1], one.environments.lives[0])


@needs_ale
@pytest.mark.parametrize("before", [0, pytest.param(150, marks=pytest.mark.slow)])
def test_after_loading_a_state_in_mid_game_the_future_is_the_same(before, caplog):
    """T15, with games of different lengths."""
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
@pytest.mark.slow
def test_lost_lives_and_clipped_rewards_leave_the_game_unchanged():
    """T12: a lost life terminates without restarting the game; scores are those of whole games."""
    learning = VectorEnv("Breakout", 2, seed=0, life_loss=True, clip_reward=True)
    plain = VectorEnv("Breakout", 2, seed=0)
    script, lost, ended = actions(plain, 500), 0, 0
    for ours, whole in zip(play(learning, script), play(plain, script), strict=True):
        np.testing.assert_array_equal(ours.next_obs, whole.next_obs)
        np.testing.assert_array_equal(ours.episode_end, whole.episode_end)
        np.testing.assert_array_equal(ours.episode_return, whole.episode_return)
        np.testing.assert_array_equal(ours.reward, np.sign(whole.reward))
        np.testing.assert_array_equal(whole.done, whole.episode_end)
        assert (ours.done | ~ours.episode_end).all()
        lost += int((ours.done & ~ours.episode_end).sum())
        ended += int(ours.episode_end.sum())
    assert ended >= 2
    assert 4 * ended <= lost <= 4 * (ended + 2)  # five lives, the last of which ends the game


@needs_ale
def test_without_restart_every_environment_ends_one_whole_game():
    """T12: a lost life is not the end."""
    env, lives = VectorEnv("Breakout", 2, seed=0, restart=False), []
    rng = np.random.default_rng(0)
    while not env.episode_end.all():
        lives.append(env.environments.lives.tolist())
        env.step(rng.integers(4, size=2))
    assert np.max(lives, 0).tolist() == [5, 5]
    assert env.environments.lives.tolist() == [0, 0]


@needs_ale
def test_actions_are_repeated_with_the_given_probability():
    """T12: by default with probability 0.25, and not at all where 0 is given."""
    script = np.random.default_rng(0).integers(6, size=(40, 1))

    def frames(repeat_action_probability):
        env = VectorEnv("Pong", 1, seed=0, repeat_action_probability=repeat_action_probability)
        return np.stack([step.next_obs for step in play(env, script)])

    np.testing.assert_array_equal(frames(None), frames(0.25))
    assert not np.array_equal(frames(None), frames(0.0))


@needs_ale
@pytest.mark.slow
def test_a_time_limit():
    env = VectorEnv("Pong", 2, seed=0, max_episode_steps=12)
    steps = play(env, actions(env, 24))
    assert [bool(step.episode_end.all()) for step in steps] == ([False] * 11 + [True]) * 2
    assert not any(step.terminated.any() for step in steps)


@needs_ale
@pytest.mark.slow
def test_pictures_show_the_same_game_in_colour():
    env = VectorEnv("Breakout", 2, seed=0, render_mode="rgb_array")
    script = actions(env, 250)
    for row in script:
        env.step(row)
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


@needs_ale
@pytest.mark.slow
def test_the_picture_after_the_last_step_is_that_of_the_terminal_state():
    env, other = (VectorEnv("Breakout", 1, 0, restart=restart, render_mode="rgb_array") for restart in (False, True))
    rng = np.random.default_rng(0)
    while not env.episode_end.all():
        action = rng.integers(4, size=1)
        step = env.step(action)
        other.step(action)
    terminal = env.render()
    assert not np.array_equal(terminal, other.render())  # the first frame of the next game
    assert same_picture(terminal, step.next_obs[0, 0])
    env.step(action)
    np.testing.assert_array_equal(env.render(), terminal)


def same_picture(picture, frame):
    """Whether a picture (420, 320, 3) and a frame (84, 84) show the same game."""
    grey = (picture[::2, ::2] @ [0.299, 0.587, 0.114]).reshape(210, 160)
    small = grey[np.arange(84) * 210 // 84][:, np.arange(84) * 160 // 84]
    return np.median(np.abs(small - frame)) < 2


@needs_ale
@pytest.mark.slow
def test_a_policy_without_fire_ends_its_game():
    """Breakout launches a ball only after FIRE, at the start and after every lost life: NOOP would wait for ever."""
    env = VectorEnv("Breakout", 8, seed=0, restart=False)
    for _ in range(400):
        env.step(np.zeros(8, np.int64))
    assert env.episode_end.all()
    assert env.environments.lives.tolist() == [0] * 8
    assert env.length.min() > 80


@needs_ale
def test_the_first_steps_of_a_life_press_fire_whatever_the_action():
    """The same game, though the actions of those steps differ; in all other steps they count."""
    env, other = (VectorEnv("Breakout", 1, seed=0, restart=False, repeat_action_probability=0.0) for _ in range(2))
    rng, since, lives, starts = np.random.default_rng(0), 0, 5, 0
    while not env.episode_end.all():
        action = rng.integers(4, size=1)
        step, expected = env.step(action), other.step((action + 1) % 4 if since < 2 else action)
        starts += since < 2
        np.testing.assert_array_equal(step.next_obs, expected.next_obs)
        since, lives = (0 if env.environments.lives[0] < lives else since + 1), int(env.environments.lives[0])
    assert starts == 10  # two for each of five lives

    env, other = (VectorEnv("Breakout", 1, seed=0, repeat_action_probability=0.0) for _ in range(2))
    play(env, np.array([[0], [0], [2]] + [[2]] * 5))
    play(other, np.array([[0], [0], [3]] + [[3]] * 5))
    assert not np.array_equal(env.obs, other.obs)


@needs_ale
@pytest.mark.parametrize("name", ["Pong", "Enduro"])
def test_in_games_without_lives_every_action_counts(name):
    """With the games of ale-py itself: the same frames from the same seed and actions."""
    import ale_py

    env = VectorEnv(name, 1, seed=0)
    seed = int(np.random.SeedSequence([0, 0, 0]).generate_state(1)[0]) % 2**31
    reference = reference_game(ale_py, name.lower())
    np.testing.assert_array_equal(reference.reset(seed=np.array([seed]))[0], env.obs)
    script = actions(env, 60)
    for row in script:
        np.testing.assert_array_equal(env.step(row).next_obs, reference.step(row)[0])


def reference_game(ale_py, game, **options):
    """A game of ale-py with the preprocessing of Mnih et al. 2015 and Machado et al. 2018 spelled out."""
    return ale_py.AtariVectorEnv(
        **{
            "game": game, "num_envs": 1, "repeat_action_probability": 0.25, "frameskip": 4, "maxpool": True,
            "noop_max": 30, "use_fire_reset": True, "stack_num": 1, "grayscale": True, "img_height": 84,
            "img_width": 84, "reward_clipping": False, "episodic_life": False, **options,
        }
    )  # fmt: skip


@needs_ale
@pytest.mark.parametrize(
    "option",
    [
        {"maxpool": False},
        {"noop_max": 0},
        {"use_fire_reset": False},
        {"frameskip": 3},
        {"repeat_action_probability": 0},
    ],
)
def test_each_part_of_the_preprocessing_is_in_effect(option):
    """Without it the frames are others; the game ends no life within these steps."""
    import ale_py

    env = VectorEnv("Breakout", 1, seed=0)
    seed = int(np.random.SeedSequence([0, 0, 0]).generate_state(1)[0]) % 2**31
    script = actions(env, 16)
    script[:2] = env.environments.fire  # the steps that press FIRE anyway

    def frames(game):
        first = game.reset(seed=np.array([seed]))[0]
        return np.stack([first, *(game.step(row)[0] for row in script)])

    expected = np.stack([env.obs, *(step.next_obs for step in play(env, script))])
    np.testing.assert_array_equal(frames(reference_game(ale_py, "breakout")), expected)
    assert not np.array_equal(frames(reference_game(ale_py, "breakout", **option)), expected)


@needs_ale
def test_the_rewards_of_a_game_are_not_clipped():
    env = VectorEnv("Qbert", 1, seed=0)
    assert max(float(step.reward[0]) for step in play(env, actions(env, 120))) > 1
