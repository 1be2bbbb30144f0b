import warnings

import gymnasium as gym
import numpy as np
from gymnasium.utils.env_checker import check_env
from rlgen.envs import VectorEnv
from rlgen.envs.hidden import CartPoleHidden


def test_it_passes_gymnasiums_check_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make("rlgen/CartPoleHidden-v0", render_mode="rgb_array").unwrapped)


def test_it_is_cartpole_but_for_the_velocities():
    whole, hidden = gym.make("CartPole-v1"), gym.make("rlgen/CartPoleHidden-v0")
    assert hidden.spec.max_episode_steps == whole.spec.max_episode_steps
    assert hidden.observation_space.shape == (2,)
    np.testing.assert_array_equal(hidden.observation_space.high, whole.observation_space.high[[0, 2]])
    rng = np.random.default_rng(0)
    for seed in range(5):
        (obs, _), (seen, _) = whole.reset(seed=seed), hidden.reset(seed=seed)
        over = False
        while not over:
            np.testing.assert_array_equal(seen, obs[[0, 2]])
            action = int(rng.integers(2))
            obs, *rest, over, truncated, _ = whole.step(action)
            seen, *rest_, over_, truncated_, _ = hidden.step(action)
            assert (rest, over, truncated) == (rest_, over_, truncated_)


def test_the_velocities_are_nowhere_in_the_lanes():
    env = VectorEnv("CartPoleHidden", 3, seed=0)
    assert env.shape == (2,)
    assert env.step(np.zeros(3, np.int64)).next_obs.shape == (3, 2)
    assert isinstance(env.environments.envs[0].unwrapped, CartPoleHidden)
