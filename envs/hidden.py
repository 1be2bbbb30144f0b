"""CartPole without velocities in its observation. Hausknecht and Stone 2015, arXiv:1507.06527."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.classic_control import CartPoleEnv
from numpy.typing import NDArray

OBSERVED = [0, 2]  # of (position of the cart, its velocity, angle of the pole, its angular velocity)


class CartPoleHidden(CartPoleEnv):
    """CartPole with the observation (2,) of the cart's position (m) and the pole's angle (rad).

    The velocities follow from earlier observations: from a recurrent state or a stack of frames.
    """

    def __init__(self, sutton_barto_reward: bool = False, render_mode: str | None = None) -> None:
        super().__init__(sutton_barto_reward, render_mode)
        full = self.observation_space
        assert isinstance(full, gym.spaces.Box)
        self.observation_space = gym.spaces.Box(full.low[OBSERVED], full.high[OBSERVED])

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin near the upright position."""
        obs, info = super().reset(seed=seed, options=options)
        return obs[OBSERVED], info

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Push the cart to the left (0) or to the right (1)."""
        obs, reward, terminated, truncated, info = super().step(action)  # type: ignore[no-untyped-call]
        return obs[OBSERVED], reward, terminated, truncated, info
