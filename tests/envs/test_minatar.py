import subprocess
import sys
from importlib.util import find_spec

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from rlgen.core.errors import UserError
from rlgen.envs import VectorEnv, resolve, short
from rlgen.envs.minatar import FREEWAY_LIMIT, GAMES, LIMIT

needs_minatar = pytest.mark.skipif(find_spec("minatar") is None, reason="MinAtar is not installed: rlgen[minatar]")


def make(game, **kwargs):
    return gym.make(f"MinAtar/{game}-v1", disable_env_checker=True, **kwargs).unwrapped


def test_names():
    for game in GAMES:
        assert resolve(f"MinAtar/{game}") == resolve(f"minatar/{game.lower()}") == f"MinAtar/{game}-v1"
        assert short(f"MinAtar/{game}-v1") == f"MinAtar/{game}"
        assert short(f"MinAtar/{game}-v0") == f"MinAtar/{game}-v0"


def test_without_the_package_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "minatar", None)
    with pytest.raises(UserError, match=r"^MinAtar/Breakout-v1 cannot be made: [^\n]*pip install 'rlgen\[minatar\]'$"):
        VectorEnv("MinAtar/Breakout", 1, seed=0)


def test_optional_packages_are_imported_only_when_needed():
    code = "import sys, rlgen.envs; assert not {'minatar', 'ale_py', 'Box2D', 'seaborn', 'pygame'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@needs_minatar
@pytest.mark.parametrize("game", GAMES)
def test_gymnasium_s_checker_passes(game):
    """T13: observations are in their space."""
    check_env(make(game, render_mode="rgb_array"), skip_render_check=True)


@needs_minatar
@pytest.mark.parametrize(("game", "actions", "channels"), [
    ("Asterix", 5, 4), ("Breakout", 3, 4), ("Freeway", 3, 7), ("Seaquest", 6, 10), ("SpaceInvaders", 4, 6),
])  # fmt: skip
def test_observations_are_planes_of_0_and_1(game, actions, channels):
    """T13: channels first, bytes. The v1 games have their minimal actions, v0 all six."""
    env, rng = VectorEnv(f"MinAtar/{game}", 2, seed=0), np.random.default_rng(0)
    bare = env.environments.envs[1]
    assert (env.num_actions, env.shape, env.dtype, env.scale) == (actions, (channels, 10, 10), np.uint8, 1)
    assert VectorEnv(f"MinAtar/{game}-v0", 1, seed=0).num_actions == 6
    for _ in range(50):
        step = env.step(rng.integers(actions, size=2))
        if not step.episode_end[1]:
            np.testing.assert_array_equal(env.obs[1], np.moveaxis(bare.unwrapped.game.state(), 2, 0))
    assert set(np.unique(env.obs)) == {0, 1}


@needs_minatar
@pytest.mark.filterwarnings("default")  # of its plotting library
@pytest.mark.parametrize("game", GAMES)
def test_the_games_are_those_of_the_package(game):
    """The same generator and actions in the package's own class give the same observations and rewards."""
    import minatar

    ours, theirs, rng = make(game), minatar.Environment(GAMES[game]), np.random.default_rng(1)
    for seed in range(3):
        ours.reset(seed=seed)
        theirs.seed(np.random.Generator(np.random.PCG64(seed)).integers(2**32))
        theirs.reset()
        theirs.last_action = 0
        for _ in range(200):
            action = rng.integers(ours.action_space.n)
            obs, reward, terminated, _, _ = ours.step(action)
            assert (reward, terminated) == theirs.act(ours.meaning[action])
            np.testing.assert_array_equal(obs, theirs.state())
            if terminated:
                break


@needs_minatar
@pytest.mark.parametrize("game", GAMES)
def test_an_episode_depends_on_its_seed_alone(game):
    """T13: the first action is never a repetition from the episode before."""

    def play(env):
        first, _ = env.reset(seed=5)
        return [first, *(env.step(0)[0] for _ in range(60))]

    fresh, used = make(game, repeat_action_probability=0.9), make(game, repeat_action_probability=0.9)
    used.reset(seed=1)
    for _ in range(40):
        used.step(used.action_space.n - 1)
    np.testing.assert_array_equal(play(fresh), play(used))


@needs_minatar
def test_actions_are_repeated_with_the_given_probability():
    def moved(repeat_action_probability):
        env, moves = make("Breakout", repeat_action_probability=repeat_action_probability), 0
        env.reset(seed=0)
        for t in range(400):
            before, action = env.last, 1 + t % 2
            env.step(action)
            moves += env.last == env.meaning[action]
            assert env.last in (before, env.meaning[action])
        return moves / 400

    assert moved(0.0) == 1
    assert moved(1.0) == 0
    assert 0.85 < moved(0.1) < 0.95
    assert make("Breakout").repeat_action_probability == 0.1
    assert (
        VectorEnv("MinAtar/Breakout", 1, 0, repeat_action_probability=0.3)
        .environments.envs[0]
        .unwrapped.repeat_action_probability
        == 0.3
    )


@needs_minatar
@pytest.mark.parametrize("game", GAMES)
def test_the_time_limit_is_no_termination(game):
    """T13: neither the limit of the other games nor the one inside of Freeway."""
    env = VectorEnv(f"MinAtar/{game}", 1, seed=0)
    assert env.max_episode_steps == (FREEWAY_LIMIT if game == "Freeway" else LIMIT)
    if game == "Freeway":
        ends = [step for step in (env.step(np.zeros(1, int)) for _ in range(FREEWAY_LIMIT)) if step.done[0]]
        assert [(bool(step.episode_end[0]), bool(step.terminated[0])) for step in ends] == [(True, False)]
        env = make(game)
        env.reset(seed=0)
        assert [env.step(0)[2:4] for _ in range(FREEWAY_LIMIT + 1)][-2:] == [(False, False), (False, True)]


@needs_minatar
@pytest.mark.parametrize("game", GAMES)
def test_the_picture_changes_with_the_game(game):
    env = VectorEnv(f"MinAtar/{game}", 1, 0, render_mode="rgb_array")
    first = env.render()
    assert (first.shape, first.dtype) == ((240, 240, 3), np.uint8)
    assert len(np.unique(first.reshape(-1, 3), axis=0)) >= 2
    for _ in range(20):
        env.step(np.array([1]))
    assert not np.array_equal(first, env.render())
