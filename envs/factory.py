"""The environments of a name, by the class that steps them fastest."""

import threading

from rlgen.core.errors import UserError
from rlgen.envs.atari import Atari
from rlgen.envs.cartpole import NAMES, VectorCartPole
from rlgen.envs.environments import Environments, GymEnvironments
from rlgen.envs.watchdog import watchdog
from rlgen.envs.workers import WorkerEnvironments

MANY = 3  # environments from which on CartPole as arrays is faster than a loop


def watched(
    name: str,
    num_envs: int,
    render_mode: str | None,
    repeat_action_probability: float | None,
    step_timeout: float | None,
    workers: int,
) -> Environments:
    """`environments` whose steps and resets end after `step_timeout` seconds; with `workers` > 0 in as many processes.

    One environment, those that draw pictures, and those made by a thread, with which workers would end, are in this
    process.
    """
    if not workers:
        made = environments(name, num_envs, render_mode, repeat_action_probability)
    elif name.split(":")[-1].startswith("ALE/"):
        raise UserError(f"--env-workers {workers}: {name} is stepped in threads of its own: leave it out")
    elif name in NAMES:
        raise UserError(f"--env-workers {workers}: {name} is stepped as arrays, faster than by processes: leave it out")
    elif num_envs > 1 and not render_mode and threading.current_thread() is threading.main_thread():
        sticky = _sticky(name, repeat_action_probability)
        return WorkerEnvironments(name, num_envs, workers, sticky, step_timeout)
    else:
        made = environments(name, num_envs, render_mode, repeat_action_probability)
    if step_timeout is not None:
        watchdog.watch(made, step_timeout)
    return made


def environments(
    name: str, num_envs: int, render_mode: str | None, repeat_action_probability: float | None
) -> Environments:
    """N environments of the gymnasium id `name`. Raises UserError like `VectorEnv`."""
    if name.split(":")[-1].startswith("ALE/"):
        return Atari(name, num_envs, render_mode=render_mode, repeat_action_probability=repeat_action_probability)
    sticky = _sticky(name, repeat_action_probability)
    if name in NAMES and num_envs >= MANY and not render_mode:
        return VectorCartPole(name, num_envs)
    return GymEnvironments(name, num_envs, render_mode=render_mode, repeat_action_probability=sticky)


def _sticky(name: str, repeat_action_probability: float | None) -> float | None:
    """The probability of repeated actions that an environment made by gymnasium takes. Raises UserError for others."""
    minatar = name.startswith("MinAtar/")
    if repeat_action_probability and not minatar:
        raise UserError(f"{name} has no repeated actions: leave out --repeat-action-probability")
    return repeat_action_probability if minatar else None
