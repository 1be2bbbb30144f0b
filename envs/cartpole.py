"""CartPole for many lanes at once, in numpy. Barto, Sutton and Anderson 1983, doi:10.1109/TSMC.1983.6313077."""

import gymnasium as gym
import numpy as np
from gymnasium.envs.classic_control import CartPoleEnv
from numpy.typing import NDArray
from rlgen.envs.environments import StepArrays
from rlgen.envs.preprocessing import Preprocessing

from rlgen.core.errors import UserError

GRAVITY, POLE, TOTAL, LENGTH, FORCE, TAU = 9.8, 0.1, 0.1 + 1.0, 0.5, 10.0, 0.02  # TOTAL: masses of pole and cart
FARTHEST, STEEPEST = 2.4, 12 * 2 * np.pi / 360
NAMES = ("CartPole-v0", "CartPole-v1")


class VectorCartPole:
    """L carts. To the bit what gymnasium's CartPoleEnv does one by one, so every operation keeps its order."""

    def __init__(self, name: str, num_envs: int) -> None:
        self.preprocessing, self.num_actions, self.first_action = (
            Preprocessing(name, CartPoleEnv().observation_space),
            2,
            0,
        )
        self.max_episode_steps, self.fps = gym.spec(name).max_episode_steps, 50.0
        self.action_mask = np.ones((num_envs, 1), bool)
        self.lives: NDArray[np.int64] | None = None
        self.state = np.zeros((4, num_envs))  # position, velocity, angle, angular velocity

    def reset(self, indices: NDArray[np.int64], seeds: list[int]) -> NDArray[np.float32]:
        """Stand still but for a little, by its seed, in each of these lanes: (n, 4)."""
        starts = [gym.utils.seeding.np_random(seed)[0].uniform(-0.05, 0.05, 4) for seed in seeds]
        self.state[:, indices] = np.stack(starts, 1)
        return self.state[:, indices].T.astype(np.float32)

    def step(self, actions: NDArray[np.int64], live: NDArray[np.bool_]) -> StepArrays:
        """Push the carts that live: action 1 to the right, 0 to the left."""
        _, speed, angle, spin = self.state
        cos, sin = np.cos(angle), np.sin(angle)
        push = (np.where(actions == 1, FORCE, -FORCE) + POLE * LENGTH * np.square(spin) * sin) / TOTAL
        spin_change = (GRAVITY * sin - cos * push) / (LENGTH * (4.0 / 3.0 - POLE * np.square(cos) / TOTAL))
        speed_change = push - POLE * LENGTH * spin_change * cos / TOTAL
        change = np.stack([speed, speed_change, spin, spin_change])
        self.state = np.where(live, self.state + TAU * change, self.state)
        fallen = (np.abs(self.state[0]) > FARTHEST) | (np.abs(self.state[2]) > STEEPEST)
        return self.state.T.astype(np.float32), np.ones(len(live)), fallen, np.zeros(len(live), bool)

    def render(self, index: int) -> NDArray[np.uint8]:
        """There are no pictures: those come from gymnasium's own."""
        raise UserError("CartPole in many lanes draws no pictures")

    def close(self) -> None:
        """There is nothing to free."""
