"""Environment steps per second with 0, 1, 2 and 4 workers: `python -m tests.benchmarks.workers LunarLander-v3 4 16`.

One after the other in turn, medians of five ratios to none. `TestSlow-v0` takes a millisecond of arithmetic per step,
`TestWaits-v0` one of waiting, such as for a simulator of its own.
"""

import statistics
import sys
import time
from typing import Any

import gymnasium as gym
import numpy as np

from rlgen.envs import VectorEnv

WORKERS = (0, 1, 2, 4)
ROUNDS, SECONDS = 5, 0.5


class Slow(gym.Env[Any, Any]):
    """A millisecond of arithmetic, or of waiting, per step."""

    observation_space = gym.spaces.Box(-1, 1, (8,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, waits: bool = False) -> None:
        self.waits = waits

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(8, np.float32), {}

    def step(self, action):
        until = time.perf_counter() + 1e-3
        while not self.waits and time.perf_counter() < until:
            pass
        time.sleep(1e-3 * self.waits)
        return np.zeros(8, np.float32), 0.0, False, False, {}


gym.register("TestSlow-v0", Slow, max_episode_steps=1_000)
gym.register("TestWaits-v0", Slow, max_episode_steps=1_000, kwargs={"waits": True})


def rate(env: VectorEnv, rng: np.random.Generator) -> float:
    """Environment steps per second."""
    steps, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        env.step(rng.integers(env.num_actions, size=len(env.obs)))
        steps += len(env.obs)
    return steps / (time.perf_counter() - start)


def main(name: str, *counts: str) -> None:
    for count in map(int, counts):
        envs = {workers: VectorEnv(name, count, 0, workers=workers) for workers in WORKERS}
        rng, rates = np.random.default_rng(0), {workers: [] for workers in WORKERS}
        for _ in range(ROUNDS):
            for workers, env in envs.items():
                rates[workers].append(rate(env, rng))
        for workers, env in envs.items():
            ratio = statistics.median(b / a for a, b in zip(rates[0], rates[workers], strict=True))
            each = statistics.median(rates[workers])
            print(f"{name}  {count} environments, {workers} workers: {each:8,.0f} steps/s, {ratio:.2f} x", flush=True)
            env.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
