import numpy as np
import pytest

from rlgen.envs import VectorEnv, factory
from rlgen.envs.cartpole import VectorCartPole
from rlgen.envs.environments import GymEnvironments


def balanced(environments, rng):
    """Actions between a controller that balances the pole, in the first environment, and random ones in the last."""
    _, _, angle, spin = environments.state
    return np.where(
        rng.random(len(angle)) < np.linspace(0, 1, len(angle)), rng.integers(2, size=len(angle)), angle + spin > 0
    ).astype(np.int64)


def test_the_physics_is_bit_identical_to_gymnasium_s():
    """Starts, states in double precision, observations, rewards and ends, also after a reset."""
    count, rng, ends = 12, np.random.default_rng(0), 0
    many, single = VectorCartPole("CartPole-v1", count), GymEnvironments("CartPole-v1", count)
    seeds = [int(seed) for seed in rng.integers(2**32, size=count)]
    np.testing.assert_array_equal(many.reset(np.arange(count), seeds), single.reset(np.arange(count), seeds))
    for t in range(400):
        actions = balanced(many, rng)
        ours, theirs = many.step(actions, np.ones(count, bool)), single.step(actions, np.ones(count, bool))
        for here, there in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(here, there)
            assert here.dtype == there.dtype
        np.testing.assert_array_equal(many.state.T, [env.unwrapped.state for env in single.envs])
        fallen = np.flatnonzero(ours[2])
        ends += len(fallen)
        if len(fallen):
            again = [1000 * t + int(index) for index in fallen]
            np.testing.assert_array_equal(many.reset(fallen, again), single.reset(fallen, again))
    assert ends > 20


@pytest.mark.parametrize("restart", [True, False])
@pytest.mark.parametrize("name", ["CartPole", "CartPole-v0"])
def test_the_vector_environment_is_the_same_with_both(name, restart, monkeypatch):
    """T2, T3: observations, steps, returns and time limits."""
    many = VectorEnv(name, 5, seed=3, restart=restart, max_episode_steps=30)
    monkeypatch.setattr(factory, "MANY", 6)
    single, rng, ends = VectorEnv(name, 5, seed=3, restart=restart, max_episode_steps=30), np.random.default_rng(0), []
    assert (type(many.environments), type(single.environments)) == (VectorCartPole, GymEnvironments)
    assert (many.max_episode_steps, many.shape, many.dtype, many.scale) == (30, (4,), np.float32, 1)
    for _ in range(100):
        actions = balanced(many.environments, rng)
        ours, theirs = many.step(actions), single.step(actions)
        for here, there in zip((*ours, many.obs, many.is_first), (*theirs, single.obs, single.is_first), strict=True):
            np.testing.assert_array_equal(here, there)
        ends += ours.terminated[ours.episode_end].tolist()
    assert set(ends) == {True, False}


def test_limits_are_those_of_the_environment():
    assert [VectorEnv(name, 9, 0).max_episode_steps for name in ("CartPole-v0", "CartPole-v1")] == [200, 500]


def test_pictures_are_drawn_by_gymnasium():
    assert isinstance(VectorEnv("CartPole", 9, 0, render_mode="rgb_array").environments, GymEnvironments)


def test_carts_that_are_not_running_keep_their_state():
    """Otherwise the numbers of an episode that has ended would grow until they overflow."""
    carts = VectorCartPole("CartPole-v1", 3)
    carts.reset(np.arange(3), [0, 1, 2])
    before = carts.state.copy()
    carts.step(np.ones(3, np.int64), np.array([True, False, True]))
    assert (carts.state != before).any(0).tolist() == [True, False, True]
