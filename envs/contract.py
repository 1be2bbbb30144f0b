"""What `reset` and `step` of an environment return: values of another kind are named and refused, never converted.

A value of the usual kind is recognised by the loop over environments; the functions here judge all others.
"""

import math
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, Tuple, flatten
from numpy.typing import NDArray

LARGEST = float(np.finfo(np.float32).max)  # of a reward: it is learned as float32
SHOWN = 60  # characters of a value in a message
NUMBERS = "biuf"  # kinds of numpy's types that are real numbers


class Unfit(Exception):
    """A value that an environment must not return; the message continues `returned`."""


class Observations:
    """Copies observations of a space into the rows of an array (n, *raw), flattened where the space is no Box.

    `dtype` and `shape` are those of an observation that can be copied as it is; None where every one is converted.
    `finite` says whether an observation may hold NaN or infinity.
    """

    def __init__(self, space: gym.Space[Any]) -> None:
        self.space = space
        self.dtype: np.dtype[Any] | None = space.dtype if isinstance(space, Box) else None
        self.shape: tuple[int, ...] | None = space.shape if isinstance(space, Box) else None
        self.finite = not isinstance(space, Discrete) and (self.dtype is None or self.dtype.kind == "f")

    def store(self, rows: NDArray[Any], index: int, observation: Any) -> None:
        """Write an observation of any kind into a row of zeros. Raises Unfit where it is none of the space."""
        space = self.space
        if isinstance(space, Discrete):
            place = _integer(observation)
            if place is None or not 0 <= place - space.start < space.n:
                raise Unfit(f"the observation {shown(observation)}, which is not in its space {space}")
            rows[index, place - space.start] = 1
        elif isinstance(space, Box):
            rows[index] = _array(observation, space)
        else:
            if not _fits(space, observation):
                raise Unfit(f"the observation {shown(observation)}, which is not in its space {shown(space)}")
            rows[index] = flatten(space, observation)


def first_of(result: Any) -> tuple[Any, Mapping[str, Any]]:
    """(observation, info), as `reset` returns them. Raises Unfit for anything else."""
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise Unfit(f"{_kind(result)} in place of (observation, info)")
    return result[0], information(result[1])


def five_of(result: Any) -> tuple[Any, Any, Any, Any, Any]:
    """The five values that `step` returns. Raises Unfit for anything else."""
    if not isinstance(result, tuple | list) or len(result) != 5:
        raise Unfit(f"{_kind(result)} in place of (observation, reward, terminated, truncated, info)")
    return tuple(result)


def number(reward: Any) -> float:
    """A reward as a float; an array of shape (1,) is its only number. Raises Unfit for anything else."""
    try:
        value = np.asarray(reward)
    except Exception:
        value = np.asarray(None)
    if value.dtype.kind == "O" and isinstance(reward, int):  # of more than 64 bits
        raise Unfit(f"the reward {shown(reward)}, which is beyond the range of float32")
    if value.shape not in ((), (1,)) or value.dtype.kind not in NUMBERS:
        raise Unfit(f"the reward {shown(reward)}, which is no number")
    found = float(value.reshape(()))
    if not -LARGEST <= found <= LARGEST:
        raise Unfit(f"the reward {found:g}, which is {_bad(found)}")
    return found


def flag(value: Any, name: str) -> bool:
    """`terminated` or `truncated` as a bool. Raises Unfit for anything but True, False, 0 and 1."""
    if isinstance(value, bool | np.bool_) or (isinstance(value, int | np.integer) and value in (0, 1)):
        return bool(value)
    found = np.asarray(value) if isinstance(value, np.ndarray) else None
    if found is not None and found.dtype == bool and found.shape in ((), (1,)):
        return bool(found.reshape(()))
    raise Unfit(f"{name} = {shown(value)}, which is neither true nor false")


def information(info: Any) -> Mapping[str, Any]:
    """The info of a step or reset. Raises Unfit for anything but a mapping."""
    if not isinstance(info, Mapping):
        raise Unfit(f"the info {shown(info)}, which is no dict")
    return info


def nonfinite(rows: NDArray[np.float32]) -> tuple[int, str] | None:
    """The first row with NaN or infinity, and what it is; None where all are finite."""
    places = np.argwhere(~np.isfinite(rows))
    if not len(places):
        return None
    index, *place = places[0].tolist()
    where = f" at place {', '.join(map(str, place))}" if place else ""
    value = float(rows[tuple(places[0])])
    return index, f"an observation with {value:g}{where}, which is {_bad(value)}"


def shown(value: Any) -> str:
    """A value in one line, cut where it is long."""
    try:
        text = " ".join(repr(value).split())
    except Exception:
        text = f"a {type(value).__name__}"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({type(value).__name__})"


def _array(observation: Any, space: Box) -> NDArray[Any]:
    """The observation of a Box in an unusual type or dtype: a list, float64 for float32, whole floats for bytes."""
    try:
        array = np.asarray(observation)
    except Exception:
        array = np.asarray(None)
    if array.dtype.kind not in NUMBERS:
        raise Unfit(f"the observation {shown(observation)}, which is no array of numbers")
    if array.shape != space.shape:
        raise Unfit(f"an observation of shape {array.shape}, and its space has the shape {space.shape}")
    if space.dtype.kind != "f" and not np.can_cast(array.dtype, space.dtype):
        with np.errstate(invalid="ignore"):
            same = array.astype(space.dtype) == array
        if not same.all():
            value = array[tuple(np.argwhere(~same)[0])]
            raise Unfit(f"an observation of {array.dtype} with the value {value:g}, and its space is of {space.dtype}")
    return array


def _fits(space: gym.Space[Any], observation: Any) -> bool:
    """Whether an observation has the structure, shapes and discrete values of a space; reals may be of any size."""
    if isinstance(space, Dict):
        known = isinstance(observation, Mapping) and space.spaces.keys() <= observation.keys()
        return known and all(_fits(part, observation[key]) for key, part in space.spaces.items())
    if isinstance(space, Tuple):
        known = isinstance(observation, tuple | list) and len(observation) == len(space.spaces)
        return known and all(map(_fits, space.spaces, observation))
    if isinstance(space, Discrete):
        place = _integer(observation)
        return place is not None and bool(0 <= place - space.start < space.n)
    if isinstance(space, Box):
        try:
            _array(observation, space)
        except Unfit:
            return False
        return True
    return bool(space.contains(observation))


def _integer(value: Any) -> int | None:
    """An integer, also as a numpy number or an array of one; None for anything else."""
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, np.ndarray) and value.shape in ((), (1,)) and value.dtype.kind in "biu":
        return int(value.reshape(()))
    return None


def _bad(value: float) -> str:
    return "beyond the range of float32" if math.isfinite(value) else "not finite"


def _kind(result: Any) -> str:
    if isinstance(result, tuple | list):
        return f"{len(result)} value{'' if len(result) == 1 else 's'}"
    return shown(result)
