"""CartPole without its velocities: one look does not tell what to do. Hausknecht and Stone 2015, arXiv:1507.06527."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.classic_control import CartPoleEnv
from numpy.typing import NDArray

SEEN = [0, 2]  # of (position of the cart, its velocity, angle of the pole, its velocity)


class CartPoleHidden(CartPoleEnv):
    """CartPole that observes the cart's position (m) and the pole's angle (rad), (2,): how fast they change, it hides.

    A memory of what was seen before, or a stack of frames, makes up for what is hidden.
    """

    def __init__(self, sutton_barto_reward: bool = False, render_mode: str | None = None) -> None:
        super().__init__(sutton_barto_reward, render_mode)
        whole = self.observation_space
        assert isinstance(whole, gym.spaces.Box)
        self.observation_space = gym.spaces.Box(whole.low[SEEN], whole.high[SEEN])

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """A start, as CartPole has it."""
        obs, info = super().reset(seed=seed, options=options)
        return obs[SEEN], info

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """A push to the left (0) or to the right (1)."""
        obs, reward, terminated, truncated, info = super().step(action)  # type: ignore[no-untyped-call]
        return obs[SEEN], reward, terminated, truncated, info
