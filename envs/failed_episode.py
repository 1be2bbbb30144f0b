"""The episode in which an environment failed, read from the file of `rlgen.core.failures` and played again."""

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgen.core.errors import EnvironmentFault, UserError
from rlgen.core.files import json_object
from rlgen.envs.factory import environments
from rlgen.envs.faults import fault
from rlgen.envs.names import resolve
from rlgen.envs.watchdog import StepTimeout, watchdog

LIMIT = 1 << 24  # bytes of such a file that are read


@dataclass(frozen=True)
class FailedEpisode:
    """What repeats an episode up to its failure."""

    environment: str  # id in gymnasium's registry, `module:Name-v0` where the import of a module registers it
    seed: int  # of the episode
    actions: tuple[int, ...]  # from 0; the last one is that of the step that failed
    method: str  # that failed: reset or step
    error: str  # the message then
    repeat_action_probability: float | None
    step_timeout: float | None  # s


def read(path: Path) -> FailedEpisode:
    """The episode in a file. Raises UserError, in one line, for anything else."""
    try:
        found = json_object(path, LIMIT)
    except OSError as error:
        raise UserError(f"cannot read the episode in {path}: {error.strerror or error}") from None
    try:
        return _checked(found)
    except (KeyError, TypeError, ValueError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(f"{path} holds no episode: {reason}") from None


class Repetition:
    """An episode that is played again: the environment alone, without a policy.

    `rewards` of the steps so far. `picture` is that of the present state; None where the environment draws none.
    `failure` is for whoever plays it to keep the fault that ended it. Raises UserError where it cannot be made.
    """

    failure: EnvironmentFault | None = None

    def __init__(self, episode: FailedEpisode) -> None:
        self.episode, self.name = episode, resolve(episode.environment)
        self.rewards: list[float] = []
        sticky = episode.repeat_action_probability
        try:
            with warnings.catch_warnings():  # gymnasium's, of an environment that draws no pictures
                warnings.simplefilter("ignore")
                self.environments = environments(self.name, 1, "rgb_array", sticky)
        except UserError:
            self.environments = environments(self.name, 1, None, sticky)
        if episode.step_timeout is not None:
            watchdog.watch(self.environments, episode.step_timeout)
        self.fps, self.drawing = self.environments.fps, True

    @property
    def picture(self) -> NDArray[np.uint8] | None:
        """(H, W, 3)"""
        if self.drawing:
            try:
                return self.environments.render(0)
            except UserError:
                self.drawing = False
        return None

    def play(self) -> Iterator[int]:
        """Reset, then take the actions: yields the number of steps after the reset and after each step.

        Raises EnvironmentFault where the environment fails again.
        """
        step, running = 0, np.ones(1, bool)
        try:
            self.environments.reset(np.zeros(1, np.int64), [self.episode.seed])
            yield 0
            for step, action in enumerate(self.episode.actions, 1):  # the fault names it
                if action >= self.environments.num_actions:
                    raise UserError(f"the episode has the action {action}, which {self.name} has not")
                _, reward, *_ = self.environments.step(np.array([action]), running)
                self.rewards.append(float(reward[0]))
                yield step
        except (EnvironmentFault, StepTimeout) as error:
            method = "step" if step else "reset"
            found = error if isinstance(error, EnvironmentFault) else fault(self.name, method, error)
            found.args = (f"{found}, at {f'step {step:,}' if step else 'the start'} of the episode repeated",)
            raise found from error.__cause__
        finally:
            self.environments.close()


def _checked(found: dict[str, Any]) -> FailedEpisode:
    name, seed, actions, options = found["environment"], found["seed"], found["actions"], found.get("options") or {}
    if not isinstance(name, str) or len(name) > 200:
        raise ValueError("its environment has no name")
    if type(seed) is not int or not 0 <= seed < 2**63:
        raise ValueError(f"its seed is {seed!r:.40}")
    if not isinstance(actions, list) or not all(type(action) is int and 0 <= action < 2**31 for action in actions):
        raise ValueError("its actions are not whole numbers from 0")
    sticky: Any = options.get("repeat_action_probability") if isinstance(options, dict) else "unknown"
    timeout = found.get("step_timeout")
    for option, value, bound in (("repeat_action_probability", sticky, 1.0), ("step_timeout", timeout, math.inf)):
        real = isinstance(value, int | float) and 0 <= value <= bound and (value or option != "step_timeout")
        if value is not None and not real:
            raise ValueError(f"its {option} is {value!r:.40}")
    method, error = str(found.get("method", "step")), str(found.get("error", ""))
    return FailedEpisode(name, seed, tuple(actions), method, error, sticky, timeout)
