"""Observations in a ring buffer, each frame stored once. Frame stacks: Mnih et al. 2015, doi:10.1038/nature14236.

The next observation of a step is that of the next row, unless a time limit ended the episode between the two.
Shapes: S seeds, N environments each, L = S * N, B batch.
"""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlgen.core.state import State
from rlgen.envs import Step

Slots = NDArray[np.int64]


class Frames:
    """Rows of L environments: slot (row, environment) holds the newest frame of an observation and its action mask.

    The next observation is written into the next row at once, and overwritten there by the next step. Where that
    step is the first of another episode, the true next observation is kept in `aside`, by slot.
    """

    columns = ("obs", "action_mask", "age")

    def __init__(
        self,
        rows: int,
        num_envs: int,
        shape: tuple[int, ...],
        dtype: Any,
        mask_width: int,
        frame_stack: int,
        device: torch.device,
    ) -> None:
        self.rows, self.num_envs, self.shape, self.frame_stack, self.device = rows, num_envs, shape, frame_stack, device
        slots, frame = rows * num_envs, (shape[0] // frame_stack, *shape[1:]) if frame_stack > 1 else shape
        self.obs = _ring((slots, *frame), dtype, device)
        self.action_mask = np.zeros((slots, mask_width if mask_width > 1 else 0), bool)  # empty without masks
        # Rows since the start of the episode, at most frame_stack - 1.
        self.age = np.zeros(slots, np.uint8 if frame_stack <= 256 else np.int32)
        self.aside: dict[int, tuple[NDArray[Any], NDArray[np.bool_]]] = {}
        self.back = np.arange(frame_stack)[::-1]
        self.all = torch.ones((), dtype=torch.bool, device=device)

    def row(self, time: int) -> slice:
        """Slots of the row written at `time`."""
        first = time % self.rows * self.num_envs
        return slice(first, first + self.num_envs)

    def later(self, slot: Slots, rows: int | Slots) -> Slots:
        """Slots of the same environments `rows` rows later."""
        return (slot + rows * self.num_envs) % len(self.age)

    def write(
        self, time: int, obs: NDArray[Any], action_mask: NDArray[np.bool_], is_first: NDArray[np.bool_], step: Step
    ) -> None:
        """Store the observations before and after a step of every environment."""
        here, after = self.row(time), self.row(time + 1)
        if self.aside:
            for slot in range(here.start, here.stop):
                self.aside.pop(slot, None)
        frame = self._newest(obs)
        self._put(here, frame)
        self._put(after, self._newest(step.next_obs))
        if self.action_mask.shape[1]:
            self.action_mask[here], self.action_mask[after] = action_mask, step.next_action_mask
        if self.frame_stack == 1 or not time:
            self.age[here] = ~is_first if time else 0
        else:
            age = np.minimum(self.age[self.row(time - 1)], self.frame_stack - 2) + 1
            self.age[here] = np.where(is_first, 0, age)
        if step.done.any():
            # After a termination the discount is 0, but 0 * NaN, or a maximum over no action, would still spread.
            terminated = np.flatnonzero(step.terminated)
            self._put(after.start + terminated, frame[terminated])
            self.action_mask[after.start + terminated] = True
            self.set_aside(time, step.done & ~step.terminated)

    def set_aside(self, time: int, which: NDArray[np.bool_]) -> None:
        """Keep the next observation of the newest step, that at `time`, in environments (L,) that begin an episode."""
        here, after = self.row(time).start, self.row(time + 1).start
        for index in np.flatnonzero(which).tolist():
            frame = torch.as_tensor(self.obs[after + index]).cpu().numpy()
            self.aside[here + index] = frame.copy(), self.action_mask[after + index].copy()

    def at(self, slot: Slots) -> tuple[Tensor, Tensor]:
        """Observations (..., *observation) at the slots (...), and their action masks (..., A | 1)."""
        if self.frame_stack == 1:
            return self._gather(slot), self._masks(slot)
        back = np.minimum(self.back, self.age.take(slot)[..., None])  # the first frame is repeated
        frames = self._gather(self.later(slot[..., None], -back))
        return frames.reshape(*slot.shape, *self.shape), self._masks(slot)

    def after(self, slot: Slots, cut: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
        """Next observations of the steps at the slots (S, B), and their masks; `cut` (S, B) marks those set aside."""
        later = self.later(slot, 1)
        frames = later[..., None]
        if self.frame_stack > 1:
            frames = self.later(frames, -np.minimum(self.back, self.age.take(slot)[..., None].astype(np.int64) + 1))
        obs, action_mask = self._gather(frames), self._masks(later)  # (S, B, stack, *frame)
        if cut.any():
            frame, mask = zip(*map(self.aside.__getitem__, slot[cut].tolist()), strict=True)
            where = tuple(map(self._move, cut.nonzero()))
            obs[:, :, -1][where] = self._move(np.stack(frame))
            if self.action_mask.shape[1]:
                action_mask[where] = self._move(np.stack(mask))
        return obs.reshape(*slot.shape, *self.shape), action_mask

    def is_first(self, slot: Slots) -> NDArray[np.bool_]:
        """Whether the observation is the first of an episode."""
        return np.asarray(self.age.take(slot) == 0)

    def state_dict(self) -> State:
        """The observations set aside. All others are rows of a ring, see `by_row`."""
        aside: State = {"slot": torch.tensor(list(self.aside), dtype=torch.int64)}
        if self.aside:
            obs, action_mask = (torch.from_numpy(np.stack(kept)) for kept in zip(*self.aside.values(), strict=True))
            aside |= {"obs": obs, "action_mask": action_mask}
        return {"aside": aside}

    def load_state_dict(self, saved: State) -> None:
        """Restore the result of `state_dict`."""
        self.aside = {}
        for number, slot in enumerate(saved["aside"]["slot"].tolist()):
            obs, action_mask = (saved["aside"][name][number].cpu().numpy().copy() for name in ("obs", "action_mask"))
            self.aside[slot] = obs, action_mask

    def _newest(self, obs: NDArray[Any]) -> NDArray[Any]:
        return obs[:, -self.obs.shape[1] :] if self.frame_stack > 1 else obs

    def _put(self, place: slice | Slots, frames: NDArray[Any]) -> None:
        if isinstance(self.obs, Tensor):
            where = place if isinstance(place, slice) else self._move(place)
            self.obs[where] = self._move(frames)
        else:
            self.obs[place] = frames

    def _gather(self, slot: Slots) -> Tensor:
        if isinstance(self.obs, Tensor):
            frames = self.obs.index_select(0, self._move(slot.reshape(-1)))
            return frames.reshape(*slot.shape, *self.obs.shape[1:])
        return self._move(self.obs.take(slot, 0))

    def _masks(self, slot: Slots) -> Tensor:
        if not self.action_mask.shape[1]:
            return self.all.expand(*slot.shape, 1)
        return self._move(self.action_mask.take(slot, 0))

    def _move(self, x: NDArray[Any]) -> Tensor:
        return torch.from_numpy(x).to(self.device)


def by_row(owner: object, columns: tuple[str, ...], num_envs: int) -> dict[str, Tensor]:
    """Views (rows, L, ...) of these arrays (rows * L, ...)."""
    found = {name: torch.as_tensor(getattr(owner, name)) for name in columns}
    return {name: x.view(len(x) // num_envs, num_envs, *x.shape[1:]) for name, x in found.items()}


def _ring(shape: tuple[int, ...], dtype: Any, device: torch.device) -> NDArray[Any] | Tensor:
    """Zeros: an array on the CPU, which is faster there; a tensor on an accelerator with enough free memory."""
    kind = torch.from_numpy(np.zeros(0, dtype)).dtype
    fits = device.type != "cuda" or math.prod(shape) * kind.itemsize < 0.8 * torch.cuda.mem_get_info(device)[0]
    return torch.zeros(shape, dtype=kind, device=device) if device.type != "cpu" and fits else np.zeros(shape, dtype)
