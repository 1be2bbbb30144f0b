"""Random actions in a vector environment, for the tests."""

import numpy as np


def play(env, steps, rng=None):
    """(observations before, actions, step) of random actions; from a generator with seed 0 by default."""
    rng = rng or np.random.default_rng(0)
    for _ in range(steps):
        obs, actions = env.obs.copy(), rng.integers(env.num_actions, size=len(env.obs))
        yield obs, actions, env.step(actions)


def steps_of(env, count):
    """The results of `count` random steps."""
    return [step for _, _, step in play(env, count)]
