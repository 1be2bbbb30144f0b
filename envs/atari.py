"""Atari 2600 games as agents see them. Bellemare et al. 2013, arXiv:1207.4708; Machado et al. 2018, arXiv:1709.06009.

The preprocessing of Mnih et al. 2015, doi:10.1038/nature14236: an action lasts four frames, the last
two of which are joined by their maximum, in grey and shrunk to 84 x 84. An episode is a whole game with
the rewards of the game. It begins with up to 30 frames of doing nothing and, where a game waits for it,
a press of FIRE: otherwise an agent that has not learnt to press it would look at a still picture for ever.
"""

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray
from rlgen.envs.environments import StepArrays
from rlgen.envs.preprocessing import Preprocessing

from rlgen.core.errors import UserError

REPEAT_ACTION_PROBABILITY = 0.25
HEIGHT, WIDTH = 210, 160  # of a television picture


class Atari:
    """L games, each in a thread of its own in C++: `AtariVectorEnv` with one environment for each lane.

    One such environment for all lanes would be no faster, and would play on in lanes that have ended.
    """

    def __init__(
        self,
        name: str,
        num_envs: int,
        *,
        render_mode: str | None = None,
        repeat_action_probability: float | None = None,
    ) -> None:
        try:
            from ale_py import AtariVectorEnv
        except ImportError:
            raise UserError(f"{name} cannot be made: ale-py is not installed: pip install 'rlgen[atari]'") from None
        options = {
            "game": gym.spec(name).kwargs["game"],
            "num_envs": 1,
            "repeat_action_probability": REPEAT_ACTION_PROBABILITY
            if repeat_action_probability is None
            else repeat_action_probability,
            "max_num_frames_per_episode": 2**31 - 1,  # Lanes has the limit,
            "stack_num": 1,  # the stack,
            "reward_clipping": False,  # the sign of rewards
            "episodic_life": False,  # and the lives
        }
        self.games = [AtariVectorEnv(**options) for _ in range(num_envs)]
        colour = {**options, "grayscale": False, "img_height": HEIGHT, "img_width": WIDTH}
        self.films = [AtariVectorEnv(**colour) for _ in range(num_envs)] if render_mode else []
        self.pictures = np.zeros((num_envs, HEIGHT, WIDTH, 3), np.uint8)
        self.num_actions, self.first_action = len(self.games[0].ale.get_action_set()), 0
        self.preprocessing = Preprocessing(name, Box(0, 255, (1, 84, 84), np.uint8))
        self.max_episode_steps: int | None = 27_000  # 108,000 frames, half an hour of play
        self.fps = 15.0
        self.action_mask = np.ones((num_envs, 1), bool)
        self.lives: NDArray[np.int64] | None = np.zeros(num_envs, np.int64)

    def reset(self, indices: NDArray[np.int64], seeds: list[int]) -> NDArray[np.uint8]:
        """Begin a game from its seed in each of these lanes: (n, 1, 84, 84)."""
        frames, lives = np.zeros((len(indices), *self.preprocessing.shape), np.uint8), np.array(self.lives)
        for i, (index, seed) in enumerate(zip(indices.tolist(), seeds, strict=True)):
            short = np.array([seed % 2**31])  # all that ale-py takes
            observation, info = self.games[index].reset(seed=short)
            frames[i], lives[index] = observation[0], info["lives"][0]
            if self.films:
                self.pictures[index] = self.films[index].reset(seed=short)[0][0, 0]
        self.lives = lives
        return frames

    def step(self, actions: NDArray[np.int64], live: NDArray[np.bool_]) -> StepArrays:
        """Four frames of the games that live, all at the same time."""
        num_envs, lives = len(self.games), np.array(self.lives)
        frames = np.zeros((num_envs, *self.preprocessing.shape), np.uint8)
        reward, terminated, truncated = np.zeros(num_envs), np.zeros(num_envs, bool), np.zeros(num_envs, bool)
        running = np.flatnonzero(live).tolist()
        for index in running:
            self.games[index].send(actions[index : index + 1])
        for index in running:
            observation, value, terminated[index : index + 1], _, info = self.games[index].recv()
            frames[index], reward[index], lives[index] = observation[0], value[0], info["lives"][0]
            if self.films:  # the same seed and the same actions make the same game, in colour
                self.pictures[index] = self.films[index].step(actions[index : index + 1])[0][0, 0]
        self.lives = lives
        return frames, reward, terminated, truncated

    def render(self, index: int) -> NDArray[np.uint8]:
        """The game as a television shows it, twice enlarged: (420, 320, 3)."""
        if not self.films:
            raise UserError("no pictures without render_mode='rgb_array'")
        return np.kron(self.pictures[index], np.ones((2, 2, 1), np.uint8))

    def close(self) -> None:
        """Free the emulators and their threads."""
        self.games, self.films = [], []
