"""Observations as input of a network: any observation space becomes pixels (C, H, W) or a vector."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, flatten, flatten_space
from numpy.typing import NDArray

from rlgen.core.errors import UserError

BYTE = 255.0  # the largest value of a byte


class Preprocessing:
    """Converts observations of a space into frames: pixels into uint8 (C, H, W), everything else into float32.

    Pixels arrive as (H, W, C), the layout that gymnasium prefers, as (C, H, W) or as (H, W). Spaces other
    than Box are flattened: a discrete observation becomes a one-hot vector. Bytes from 0 to 255 in a vector
    are divided by 255; those of pixels are stored undivided, and `scale` is their divisor for the network.

    Attributes: `raw`, the shape of an observation before preprocessing (after flattening); `shape` and `dtype`
    of a frame; `scale`, 255 for pixels of that range, otherwise 1; `plain`, whether an observation of that type is its
    own frame. Raises UserError for observations without a fixed size, like sequences and graphs.
    """

    def __init__(self, name: str, space: gym.Space[Any]) -> None:
        if not space.is_np_flattenable:
            raise UserError(f"{name} has the observations {space}: they have no fixed size, so they fit no network")
        self.name, self.space = name, space
        box = space if isinstance(space, Box) else flatten_space(space)
        assert isinstance(box, Box)
        self.raw = box.shape
        pixels = box.dtype in (np.dtype(np.uint8), np.dtype(bool))
        self.image = len(self.raw) == 3 or (len(self.raw) == 2 and pixels)
        self.dtype = np.dtype(np.uint8 if self.image and pixels else np.float32)
        self.scale = BYTE if self.image and box.dtype == np.uint8 and box.high.max(initial=0) == BYTE else 1.0
        bytes_in_it = (box.dtype == np.uint8 or box is not space) & (box.low == 0) & (box.high == BYTE)
        self.divisor = np.where(bytes_in_it, np.float32(BYTE), np.float32(1)) if not self.image else None  # (*raw,)
        if not bytes_in_it.any():
            self.divisor = None
        self.channels_last = len(self.raw) == 3 and self.raw[2] <= self.raw[0]
        self.shape: tuple[int, ...] = (int(np.prod(self.raw)),)
        if self.image:
            *size, channels = self.raw if len(self.raw) == 3 else (*self.raw, 1)
            self.shape = (channels, *size) if self.channels_last or len(self.raw) == 2 else self.raw
        self.plain = self.divisor is None and self.shape == self.raw and not self.channels_last

    def to_frames(self, raw: NDArray[Any]) -> NDArray[Any]:
        """(n, *raw) values of the flattened space -> (n, *shape) of `dtype`."""
        if self.divisor is not None:
            raw = raw / self.divisor
        if self.shape == self.raw and not self.channels_last:
            return raw.astype(self.dtype, copy=False)
        raw = np.moveaxis(raw, -1, 1) if self.channels_last else raw
        return np.ascontiguousarray(raw.reshape(-1, *self.shape), self.dtype)

    def preprocess(self, observation: Any, frame_stack: int = 1) -> tuple[NDArray[Any], bool]:
        """One observation or n of them, raw or already preprocessed, as (n, *shape); and whether it was a single one.

        With a stack of frames, joined along their first axis, only preprocessed observations are accepted. Vectors
        of bytes are raw as integers and preprocessed as floats. Raises UserError for any other observation.
        """
        stacked = (frame_stack * self.shape[0], *self.shape[1:])
        x = observation
        if not isinstance(self.space, Box):
            if self.space.contains(x):
                x = self.to_frames(np.asarray(flatten(self.space, x))[None])[0]
            elif isinstance(x, np.ndarray) and x.ndim and x.size and all(map(self.space.contains, x)):
                x = self.to_frames(np.stack([np.asarray(flatten(self.space, one)) for one in x]))
        try:
            integers = self.divisor is not None and np.asarray(x).dtype.kind in "biu"
            x = np.asarray(x, self.dtype)
        except (TypeError, ValueError, OverflowError):
            raise UserError(f"an observation of {self.name} is a {self.space}, not {observation!r}") from None
        candidates = ((self.raw, True), (stacked, False)) if integers else ((stacked, False), (self.raw, True))
        for shape, raw in candidates:
            if x.shape[-len(shape) :] == shape and x.ndim - len(shape) in (0, 1) and (frame_stack == 1 or not raw):
                single = x.ndim == len(shape)
                batch = x[None] if single else x
                return (self.to_frames(batch) if raw else batch), single
        raise UserError(f"an observation of {self.name} is a {self.space} or has the shape {stacked}, not {x.shape}")

    def describe(self, frame_stack: int = 1) -> str:
        """The observation space in words, with the shape and type of the network's input where they differ."""
        space, shape = self.space, (frame_stack * self.shape[0], *self.shape[1:])
        text = f"Box{space.shape} {space.dtype}" if isinstance(space, Box) else str(space)
        same = isinstance(space, Box) and space.shape == shape and space.dtype == self.dtype
        return text if same else f"{text} as {shape} {self.dtype}"
