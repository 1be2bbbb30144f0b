"""Environments by short name, many of them stepped together: `VectorEnv("CartPole", num_envs=8, seed=0)`."""

from gymnasium import register

from rlgen.envs import minatar
from rlgen.envs.names import canonical, listing, module_of, resolve, short
from rlgen.envs.vector_env import Step, VectorEnv

__all__ = ["Step", "VectorEnv", "canonical", "listing", "module_of", "resolve", "short"]

register("rlgen/GridWorld-v0", "rlgen.envs.grid:GridWorld", max_episode_steps=100)
register("rlgen/Catch-v0", "rlgen.envs.catch:Catch", max_episode_steps=104)  # the step at which apple 20 lands
register("rlgen/CartPoleHidden-v0", "rlgen.envs.hidden:CartPoleHidden", reward_threshold=475.0, max_episode_steps=500)
minatar.register()
