"""Toy environments for agents: masked actions, and a cue that is needed later."""

import gymnasium as gym
import numpy as np
from gymnasium import spaces

LEGAL = np.array([[1, 0, 0, 1, 0], [0, 1, 0, 0, 0], [1, 1, 1, 1, 1], [0, 1, 1, 0, 1]], bool)  # (places, actions)


class Legal(gym.Env):
    """Four random states, each with its own allowed actions; the reward is the number of the action / 4."""

    observation_space = spaces.Discrete(4)
    action_space = spaces.Discrete(5)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._draw()

    def step(self, action):
        assert LEGAL[self.place, action], "a masked action"
        return (*self._draw()[:1], action / 4, bool(self.np_random.random() < 0.2), False, self._info())

    def _draw(self):
        self.place = int(self.np_random.integers(4))
        return self.place, self._info()

    def _info(self):
        return {"action_mask": LEGAL[self.place].astype(np.int8)}


class Cue(gym.Env):
    """Shows which of two actions will be right, then nothing; the action four steps later brings 1 if it is right."""

    observation_space = spaces.Box(0, 1, (3,), np.float32)
    action_space = spaces.Discrete(2)
    delay = 4

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.cue = 0, int(self.np_random.integers(2))
        return self._observe(), {}

    def step(self, action):
        self.t += 1
        over = self.t > self.delay
        return self._observe(), float(over and action == self.cue), over, False, {}

    def _observe(self):
        return np.array(
            [self.t == 0 and self.cue == 0, self.t == 0 and self.cue == 1, self.t == self.delay], np.float32
        )


gym.register("TestLegal-v0", Legal, max_episode_steps=8)
gym.register("TestCue-v0", Cue, max_episode_steps=10)
gym.register(
    "TestSmallGrid-v0", "rlgen.envs.grid:GridWorld", max_episode_steps=50, kwargs={"map": "S.. .#X ..G", "slip": 0.05}
)
