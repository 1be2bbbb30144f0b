"""The environments of a name, by the class that steps them fastest."""

from rlgen.core.errors import UserError
from rlgen.envs.atari import Atari
from rlgen.envs.cartpole import NAMES, VectorCartPole
from rlgen.envs.environments import Environments, GymEnvironments

MANY = 3  # environments from which on CartPole as arrays is faster than a loop


def environments(
    name: str, num_envs: int, render_mode: str | None, repeat_action_probability: float | None
) -> Environments:
    """N environments of the gymnasium id `name`. Raises UserError like `VectorEnv`."""
    if name.split(":")[-1].startswith("ALE/"):
        return Atari(name, num_envs, render_mode=render_mode, repeat_action_probability=repeat_action_probability)
    minatar = name.startswith("MinAtar/")
    if repeat_action_probability and not minatar:
        raise UserError(f"{name} has no repeated actions: leave out --repeat-action-probability")
    if name in NAMES and num_envs >= MANY and not render_mode:
        return VectorCartPole(name, num_envs)
    return GymEnvironments(
        name,
        num_envs,
        render_mode=render_mode,
        repeat_action_probability=repeat_action_probability if minatar else None,
    )
