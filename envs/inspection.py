"""Checks of an environment that are too slow for every step: the first ones are inspected, then one in a thousand."""

import logging
import random
from functools import cache
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.spaces import Box
from numpy.typing import NDArray

FIRST = 10  # calls that are inspected at the start
PERIOD = 1_000  # calls, one of which is inspected afterwards


class Inspection:
    """Warns, once per environment, of observations outside their space and of draws from global random numbers."""

    def __init__(self, name: str, space: gym.Space[Any]) -> None:
        self.name, self.space, self.calls = name, space, 0
        self.streams: dict[str, bytes] = {}

    def begin(self) -> int:
        """Before an inspected call; returns the number of calls until the next one that is inspected."""
        self.calls += 1
        self.streams = global_streams()
        return 1 if self.calls < FIRST else PERIOD

    def end(self, rows: NDArray[Any]) -> None:
        """After the call: `rows` (n, *raw) are the observations of the environments that were reset or stepped."""
        for source, state in global_streams().items():
            if state != self.streams[source]:
                _warn_once(
                    f"{self.name} draws from the global random numbers of {source}: its episodes do not follow from"
                    " their seeds, and a resumed run differs; self.np_random in the environment has numbers that do"
                )
        if isinstance(self.space, Box) and len(rows):
            low, high = (bound.astype(rows.dtype, copy=False) for bound in (self.space.low, self.space.high))
            outside = np.argwhere((rows < low) | (rows > high))
            if len(outside):
                _, *place = outside[0].tolist()
                value, bounds = rows[tuple(outside[0])], (low[tuple(place)], high[tuple(place)])
                _warn_once(
                    f"{self.name} returned an observation outside its space, {value:g} at place"
                    f" {', '.join(map(str, place))}, where {bounds[0]:g} to {bounds[1]:g} are allowed: it is used as it"
                    " is; correct the bounds or the observation"
                )


def global_streams() -> dict[str, bytes]:
    """The states of the random generators that a whole process shares."""
    state: Any = np.random.get_state(legacy=False)  # noqa: NPY002  # read, not drawn from
    return {
        "numpy": state["state"]["key"].tobytes() + b"%d" % state["state"]["pos"],
        "Python": repr(hash(random.getstate())).encode(),
        "torch": torch.get_rng_state().numpy().tobytes(),
    }


@cache
def _warn_once(message: str) -> None:
    logging.getLogger("rlgen").warning(message)
