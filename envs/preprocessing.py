"""What an agent sees: any observation space as pixels (C, H, W) or as a vector."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, flatten, flatten_space
from numpy.typing import NDArray

from rlgen.core.errors import UserError


class Preprocessing:
    """Turns observations of `space` into frames: pixels into uint8 (C, H, W), whatever else into float32.

    Pixels may come as (H, W, C), which gymnasium prefers, as (C, H, W) or as (H, W). Spaces that
    are no boxes are flattened: a discrete observation becomes a one-hot vector. `scale` is what
    the largest value stands for: 255 for bytes of that range, otherwise 1.
    """

    def __init__(self, name: str, space: gym.Space[Any]) -> None:
        if not space.is_np_flattenable:
            raise UserError(f"{name} has the observations {space}: they cannot be made a vector")
        self.name, self.space = name, space
        box = space if isinstance(space, Box) else flatten_space(space)
        assert isinstance(box, Box)
        self.raw = box.shape
        pixels = box.dtype in (np.dtype(np.uint8), np.dtype(bool))
        self.image = len(self.raw) == 3 or (len(self.raw) == 2 and pixels)
        self.dtype = np.dtype(np.uint8 if self.image and pixels else np.float32)
        self.scale = 255.0 if box.dtype == np.uint8 and box.high.max(initial=0) == 255 else 1.0
        self.channels_last = len(self.raw) == 3 and self.raw[2] <= self.raw[0]
        self.shape: tuple[int, ...] = (int(np.prod(self.raw)),)
        if self.image:
            *size, channels = self.raw if len(self.raw) == 3 else (*self.raw, 1)
            self.shape = (channels, *size) if self.channels_last or len(self.raw) == 2 else self.raw

    def to_frames(self, raw: NDArray[Any]) -> NDArray[Any]:
        """(n, *raw) as the box has it -> (n, *shape)"""
        if self.shape == self.raw and not self.channels_last:
            return raw.astype(self.dtype, copy=False)
        raw = np.moveaxis(raw, -1, 1) if self.channels_last else raw
        return np.ascontiguousarray(raw.reshape(-1, *self.shape), self.dtype)

    def preprocess(self, observation: Any, frame_stack: int = 1) -> tuple[NDArray[Any], bool]:
        """One observation or several, bare or as the agent sees them, as (n, *shape); and whether it was one.

        Several frames may be stacked along their first axis: then only what the agent sees will do.
        """
        seen = (frame_stack * self.shape[0], *self.shape[1:])
        x = observation
        if not isinstance(self.space, Box):
            if self.space.contains(x):
                x = flatten(self.space, x)
            elif isinstance(x, np.ndarray) and x.ndim and x.size and all(map(self.space.contains, x)):
                x = np.stack([np.asarray(flatten(self.space, one)) for one in x])
        try:
            x = np.asarray(x, self.dtype)
        except (TypeError, ValueError, OverflowError):
            raise UserError(f"an observation of {self.name} is a {self.space}, not {observation!r}") from None
        for shape, bare in ((seen, False), (self.raw, True)):
            if x.shape[-len(shape) :] == shape and x.ndim - len(shape) in (0, 1) and (frame_stack == 1 or not bare):
                single = x.ndim == len(shape)
                batch = x[None] if single else x
                return (self.to_frames(batch) if bare else batch), single
        raise UserError(f"an observation of {self.name} is a {self.space} or has the shape {seen}, not {x.shape}")
