"""CartPole as arrays over N environments. Barto, Sutton and Anderson 1983, doi:10.1109/TSMC.1983.6313077."""

import gymnasium as gym
import numpy as np
from gymnasium.envs.classic_control import CartPoleEnv
from numpy.typing import NDArray

from rlgen.core.errors import UserError
from rlgen.envs.environments import StepArrays
from rlgen.envs.preprocessing import Preprocessing

GRAVITY = 9.8  # m/s²
POLE_MASS, TOTAL_MASS = 0.1, 0.1 + 1.0  # kg; pole, pole and cart
HALF_LENGTH = 0.5  # m, of the pole
FORCE = 10.0  # N
TAU = 0.02  # s per step
MAX_POSITION, MAX_ANGLE = 2.4, 12 * 2 * np.pi / 360  # m, rad; beyond them the episode terminates
NAMES = ("CartPole-v0", "CartPole-v1")  # the ids that this class replaces


class VectorCartPole:
    """N carts. Bit-identical to N environments of gymnasium's CartPoleEnv, so the order of operations is fixed."""

    def __init__(self, name: str, num_envs: int) -> None:
        self.preprocessing = Preprocessing(name, CartPoleEnv().observation_space)
        self.num_actions, self.first_action = 2, 0
        self.max_episode_steps, self.fps = gym.spec(name).max_episode_steps, 50.0
        self.action_mask = np.ones((num_envs, 1), bool)
        self.lives: NDArray[np.int64] | None = None
        self.state = np.zeros((4, num_envs))  # position (m), velocity (m/s), angle (rad), angular velocity (rad/s)

    def reset(self, indices: NDArray[np.int64], seeds: list[int]) -> NDArray[np.float32]:
        """Begin an episode near the upright position in the n environments at `indices`, one seed each: (n, 4)."""
        starts = [gym.utils.seeding.np_random(seed)[0].uniform(-0.05, 0.05, 4) for seed in seeds]
        self.state[:, indices] = np.stack(starts, 1)
        return self.state[:, indices].T.astype(np.float32)

    def step(self, actions: NDArray[np.int64], running: NDArray[np.bool_]) -> StepArrays:
        """Push the `running` (N,) carts: action 1 to the right, 0 to the left."""
        _, velocity, angle, spin = self.state
        cos, sin = np.cos(angle), np.sin(angle)
        push = (np.where(actions == 1, FORCE, -FORCE) + POLE_MASS * HALF_LENGTH * np.square(spin) * sin) / TOTAL_MASS
        spin_change = (GRAVITY * sin - cos * push) / (
            HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * np.square(cos) / TOTAL_MASS)
        )
        velocity_change = push - POLE_MASS * HALF_LENGTH * spin_change * cos / TOTAL_MASS
        change = np.stack([velocity, velocity_change, spin, spin_change])
        self.state = np.where(running, self.state + TAU * change, self.state)
        terminated = (np.abs(self.state[0]) > MAX_POSITION) | (np.abs(self.state[2]) > MAX_ANGLE)
        return self.state.T.astype(np.float32), np.ones(len(running)), terminated, np.zeros(len(running), bool)

    def render(self, index: int) -> NDArray[np.uint8]:
        """Not available: `VectorEnv` takes gymnasium's CartPole where pictures are requested."""
        raise UserError("no pictures without render_mode='rgb_array'")

    def close(self) -> None:
        """Nothing to release."""
