"""Atari 2600 games with the usual preprocessing. Bellemare et al. 2013, arXiv:1207.4708; Machado et al. 2018.

Mnih et al. 2015, doi:10.1038/nature14236: an action lasts four frames; the observation is the maximum of the last
two of them, in grey, at 84 x 84 pixels. Repeated actions: arXiv:1709.06009. An episode is a whole game with the
rewards of the game. It begins with up to 30 frames of NOOP and one frame of FIRE.

In games with lives the first FIRE_STEPS steps of every life press FIRE, whatever the action: Breakout, for example,
launches no ball before, and a greedy policy without FIRE would stay there until the time limit.
"""

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from rlgen.core.errors import UserError
from rlgen.envs.environments import StepArrays
from rlgen.envs.faults import fault
from rlgen.envs.names import specification
from rlgen.envs.preprocessing import Preprocessing

REPEAT_ACTION_PROBABILITY = 0.25
HEIGHT, WIDTH = 210, 160  # pixels of the console's picture
# A repeated action may replace FIRE in each of its frames: in all four with probability 0.25^4, one press in 256.
FIRE_STEPS = 2


class Atari:
    """N games, an `AtariVectorEnv` of one game each: every game runs in its own C++ thread.

    A single `AtariVectorEnv` of N games would be no faster, and would restart games that have ended.
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
        try:
            game = specification(name).kwargs["game"]
        except gym.error.Error as error:
            raise fault(name, "make", error) from error
        options = {
            "game": game,
            "num_envs": 1,
            "repeat_action_probability": REPEAT_ACTION_PROBABILITY
            if repeat_action_probability is None
            else repeat_action_probability,
            "noop_max": 30,  # frames
            "frameskip": 4,
            "maxpool": True,
            "use_fire_reset": True,
            # The time limit, frame stack, sign of rewards and lost lives are the work of `VectorEnv`.
            "max_num_frames_per_episode": 2**31 - 1,
            "stack_num": 1,
            "reward_clipping": False,
            "episodic_life": False,
        }
        self.games = [AtariVectorEnv(**options) for _ in range(num_envs)]
        colour = {**options, "grayscale": False, "img_height": HEIGHT, "img_width": WIDTH}
        self.colour_games = [AtariVectorEnv(**colour) for _ in range(num_envs)] if render_mode else []
        self.pictures = np.zeros((num_envs, HEIGHT, WIDTH, 3), np.uint8)
        actions = [action.name for action in self.games[0].ale.get_action_set()]
        self.num_actions, self.first_action = len(actions), 0
        self.action_names = [name.lower() for name in actions]
        self.fire = actions.index("FIRE") if "FIRE" in actions else None
        self.fire_steps = np.zeros(num_envs, np.int64)  # steps in which FIRE is still to be pressed
        self.preprocessing = Preprocessing(name, Box(0, 255, (1, 84, 84), np.uint8))
        self.max_episode_steps: int | None = 27_000  # 108,000 frames, 30 minutes of play
        self.fps = 15.0
        self.action_mask = np.ones((num_envs, 1), bool)
        self.lives: NDArray[np.int64] | None = np.zeros(num_envs, np.int64)

    def reset(self, indices: NDArray[np.int64], seeds: list[int]) -> NDArray[np.uint8]:
        """Begin a game from its seed in each of the n environments at `indices`: (n, 1, 84, 84)."""
        frames, lives = np.zeros((len(indices), *self.preprocessing.shape), np.uint8), np.array(self.lives)
        for i, (index, seed) in enumerate(zip(indices.tolist(), seeds, strict=True)):
            seed_31 = np.array([seed % 2**31])  # ale-py takes 31 bits
            observation, info = self.games[index].reset(seed=seed_31)
            frames[i], lives[index] = observation[0], info["lives"][0]
            if self.colour_games:
                self.pictures[index] = self.colour_games[index].reset(seed=seed_31)[0][0, 0]
        self.fire_steps[indices] = np.where(lives[indices] > 1, FIRE_STEPS, 0)
        self.lives = lives
        return frames

    def step(self, actions: NDArray[np.int64], running: NDArray[np.bool_]) -> StepArrays:
        """Four frames of the `running` (N,) games, all at the same time."""
        num_envs, lives = len(self.games), np.array(self.lives)
        if self.fire is not None and self.fire_steps.any():
            actions = np.where(self.fire_steps > 0, self.fire, actions)
            self.fire_steps -= running & (self.fire_steps > 0)
        frames = np.zeros((num_envs, *self.preprocessing.shape), np.uint8)
        reward, terminated, truncated = np.zeros(num_envs), np.zeros(num_envs, bool), np.zeros(num_envs, bool)
        indices = np.flatnonzero(running).tolist()
        for index in indices:
            self.games[index].send(actions[index : index + 1])
        for index in indices:
            observation, value, terminated[index : index + 1], _, info = self.games[index].recv()
            frames[index], reward[index] = observation[0], value[0]
            if info["lives"][0] < lives[index]:
                self.fire_steps[index] = FIRE_STEPS
            lives[index] = info["lives"][0]
            if self.colour_games:  # the same seed and actions give the same game, in colour
                self.pictures[index] = self.colour_games[index].step(actions[index : index + 1])[0][0, 0]
        self.lives = lives
        return frames, reward, terminated, truncated

    def render(self, index: int) -> NDArray[np.uint8]:
        """The picture of the console after the last step, twice enlarged: (420, 320, 3)."""
        if not self.colour_games:
            raise UserError("no pictures without render_mode='rgb_array'")
        return np.kron(self.pictures[index], np.ones((2, 2, 1), np.uint8))

    def close(self) -> None:
        """Release the emulators and their threads."""
        self.games, self.colour_games = [], []
