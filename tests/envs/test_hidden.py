import warnings

import gymnasium as gym
import numpy as np
from gymnasium.utils.env_checker import check_env

from rlgen.envs import VectorEnv
from rlgen.envs.hidden import CartPoleHidden


def test_gymnasium_s_checker_passes_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make("rlgen/CartPoleHidden-v0", render_mode="rgb_array").unwrapped)


def test_it_is_cartpole_without_the_velocities():
    full, hidden = gym.make("CartPole-v1"), gym.make("rlgen/CartPoleHidden-v0")
    assert hidden.spec.max_episode_steps == full.spec.max_episode_steps
    assert hidden.observation_space.shape == (2,)
    np.testing.assert_array_equal(hidden.observation_space.high, full.observation_space.high[[0, 2]])
    rng = np.random.default_rng(0)
    for seed in range(5):
        (obs, _), (seen, _) = full.reset(seed=seed), hidden.reset(seed=seed)
        end = False
        while not end:
            np.testing.assert_array_equal(seen, obs[[0, 2]])
            action = int(rng.integers(2))
            obs, *rest, end, truncated, _ = full.step(action)
            seen, *rest_, end_, truncated_, _ = hidden.step(action)
            assert (rest, end, truncated) == (rest_, end_, truncated_)


def test_the_vector_environment_has_no_velocities():
    env = VectorEnv("CartPoleHidden", 3, seed=0)
    assert env.shape == (2,)
    assert env.step(np.zeros(3, np.int64)).next_obs.shape == (3, 2)
    assert isinstance(env.environments.envs[0].unwrapped, CartPoleHidden)
