import importlib.util
import itertools
import sys

import gymnasium as gym
import numpy as np
import pytest

from rlgen.core.errors import UserError
from rlgen.envs import VectorEnv
from rlgen.envs.environments import GymEnvironments
from rlgen.envs.mdp import mdp
from tests.envs import toy_environments
from tests.envs.playing import play, steps_of

BOX2D = importlib.util.find_spec("Box2D") is not None


@pytest.mark.parametrize("name", ["TestContinuous", "TestButtons", "Pendulum"])
def test_actions_that_are_not_discrete_are_refused(name):
    with pytest.raises(UserError, match=f"^{name}-v. has the actions [^\n]*only Discrete ones"):
        VectorEnv(name, 1, seed=0)


def test_the_first_action_may_have_any_number():
    env = VectorEnv("TestVector", 4, seed=0)
    assert (env.num_actions, env.first_action) == (3, 2)
    assert env.step(np.array([0, 1, 2, 0])).reward.tolist() == [1] * 4  # it fails for an action outside its space


def test_a_missing_module_is_named():
    with pytest.raises(UserError, match=r"^nowhere:Nothing-v0 cannot be made: [^\n]*'nowhere': [^\n]* on PYTHONPATH$"):
        VectorEnv("nowhere:Nothing-v0", 1, seed=0)


@pytest.mark.parametrize("method", ["make", "reset", "step", "render"])
def test_an_exception_of_an_environment_is_one_line(method):
    def use():
        env = VectorEnv(f"TestFailing-{method}-v0", 2, 0, render_mode="rgb_array")
        env.step(np.zeros(2, np.int64))
        env.render()

    with pytest.raises(
        UserError, match=rf"^TestFailing-{method}-v0 failed in {method}\(\): ValueError: first line \(toy_[^\n]*$"
    ):
        use()


def test_only_running_environments_are_stepped():
    environments = GymEnvironments("TestTruncated-v0", 3)
    environments.reset(np.arange(3), [0, 1, 2])
    frames, reward, *_ = environments.step(np.zeros(3, np.int64), np.array([True, False, True]))
    assert reward.tolist() == [1, 0, 1]
    assert frames.argmax(1)[[0, 2]].tolist() == [1, 1]
    assert [env.unwrapped.t for env in environments.envs] == [1, 0, 1]


def test_action_masks_are_those_of_the_current_observation():
    """Taxi has masks; the mask in a step belongs to its successor, not to the start of the next episode."""
    env = VectorEnv("Taxi", 3, seed=0, max_episode_steps=7)
    envs, rng, differ = env.environments.envs, np.random.default_rng(0), 0
    assert env.action_mask.shape == (3, 6)

    def mask(state):
        return envs[0].unwrapped.action_mask(int(state)).astype(bool)

    for _ in range(40):
        step = env.step(rng.integers(6, size=3))
        for index in range(3):
            np.testing.assert_array_equal(step.next_action_mask[index], mask(step.next_obs[index].argmax()))
            np.testing.assert_array_equal(env.action_mask[index], mask(env.obs[index].argmax()))
        differ += (step.next_action_mask != env.action_mask).any()
    assert differ
    assert VectorEnv("CartPole", 3, seed=0).action_mask.tolist() == [[True]] * 3


@pytest.mark.parametrize("restart", [True, False])
def test_a_mask_may_be_empty_at_the_end_of_an_episode(restart):
    env = VectorEnv("TestMasked", 2, seed=0, restart=restart)
    steps = steps_of(env, 8)
    assert steps[3].terminated.all()
    assert all(step.next_action_mask.any(1).all() for step in steps)
    assert steps[0].next_action_mask.tolist() == [[True, False, False]] * 2
    assert env.action_mask.any(1).all()


@pytest.mark.parametrize("name", ["TestMaskedStart", "TestMaskedStep", "TestMaskedCut"])
def test_a_mask_that_allows_no_action_is_refused(name):
    with pytest.raises(UserError, match=f"^{name}-v0 returned an action_mask that allows no action$"):
        for _ in play(VectorEnv(name, 2, seed=0), 5):
            pass


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(UserError, match=r"^TestMaskedWide-v0 failed in reset\(\): ValueError: [^\n]*$"):
        VectorEnv("TestMaskedWide", 2, seed=0)


@pytest.mark.parametrize("first", [0, 1])
def test_environments_with_and_without_masks_may_stand_side_by_side(first, monkeypatch):
    """Whichever of the two is the first to be reset; without a mask all actions are allowed."""
    monkeypatch.setattr(toy_environments.Masked, "copies", itertools.count(first))
    env = VectorEnv("TestMaskedEven", 2, seed=0)
    expected = [[True, False, False], [True, True, True]]
    expected = expected if first == 0 else expected[::-1]
    assert env.action_mask.tolist() == expected
    assert env.step(np.zeros(2, np.int64)).next_action_mask.tolist() == expected


def test_a_mask_after_first_resets_without_one_is_refused():
    env = VectorEnv("TestMaskedLate", 2, seed=0)
    env.step(np.zeros(2, np.int64))
    with pytest.raises(UserError, match=r"^TestMaskedLate-v0 has an action_mask in the info of step\(\)[^\n]*reset"):
        env.step(np.zeros(2, np.int64))


@pytest.mark.parametrize("first", [0, 1])
def test_lives_may_be_in_some_infos_only(first, monkeypatch):
    """Lives without an entry are unchanged; those of an earlier episode do not count in the next one."""
    monkeypatch.setattr(toy_environments.Lives, "copies", itertools.count(first))
    env = VectorEnv("TestSomeLives", 2, seed=0, life_loss=True)
    lost = np.array([step.terminated for step in steps_of(env, 18)])
    assert lost[:, first].tolist() == [False, False, True] * 6
    assert lost[:, 1 - first].tolist() == [False, False, True] * 6


def test_lives_are_unknown_after_a_reset_without_them(monkeypatch):
    monkeypatch.setattr(toy_environments.Lives, "copies", itertools.count())
    environments = GymEnvironments("TestSomeLives-v0", 2)
    environments.reset(np.arange(2), [0, 1])
    assert environments.lives.tolist() == [3, 0]
    for _ in range(3):
        environments.step(np.zeros(2, np.int64), np.ones(2, bool))
    assert environments.lives.tolist() == [2, 2]
    environments.reset(np.arange(2), [2, 3])
    assert environments.lives.tolist() == [3, 0]


def test_the_picture_is_that_of_the_requested_environment():
    env = VectorEnv("CartPole", 2, seed=0, render_mode="rgb_array")
    first = env.render(1)
    assert first.dtype == np.uint8
    assert first.shape[2] == 3
    assert not np.array_equal(first, env.render(0))
    for _ in range(5):
        env.step(np.zeros(2, np.int64))
    assert not np.array_equal(first, env.render(1))
    env.close()


@pytest.mark.skipif(not BOX2D, reason="Box2D is not installed: rlgen[box2d]")
def test_lunar_lander():
    env = VectorEnv("LunarLander", 2, seed=0)
    assert (env.shape, env.num_actions, env.max_episode_steps) == ((8,), 4, 1000)


def test_without_box2d_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "Box2D", None)
    monkeypatch.delitem(sys.modules, "gymnasium.envs.box2d", raising=False)
    monkeypatch.delitem(sys.modules, "gymnasium.envs.box2d.lunar_lander", raising=False)
    with pytest.raises(
        UserError, match=r"^LunarLander-v3 cannot be made: [^\n]*pip install [^\n]*rlgen\[box2d\][^\n]*$"
    ):
        VectorEnv("LunarLander", 1, seed=0)


def test_an_environment_of_another_package_is_imported_with_it(tmp_path, monkeypatch):
    (tmp_path / "my_games.py").write_text(
        "import gymnasium\n"
        "gymnasium.register('Mine-v3', 'gymnasium.envs.classic_control:CartPoleEnv', max_episode_steps=7)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    env = VectorEnv("my_games:Mine-v3", 2, seed=0)
    assert env.shape == (4,)
    assert [env.step(np.zeros(2, np.int64)).episode_end.any() for _ in range(7)][-1]
    assert mdp("my_games:Mine-v3") is None
    gym.registry.pop("Mine-v3")
