"""A ring of past transitions; sampling gives n-step transitions. Lin 1992, doi:10.1007/BF00992699; Sutton 1988.

Prioritised: Schaul et al. 2016, arXiv:1511.05952. Sequences with their recurrent state: Kapturowski et al. 2019 (R2D2).
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rlgen.agents.frames import Frames, Slots, restore
from rlgen.agents.priorities import Priorities
from rlgen.envs import Step
from torch import Tensor

from rlgen.core.seeds import numpy_stream
from rlgen.core.state import State, Stateful

LEAST = 1e-6  # added to every surprise: what held none once may hold some later
CPU = torch.device("cpu")


class Batch(NamedTuple):
    """n-step transitions S_t, A_t -> Σ_k γᵏ R, S_{t+n} of S seeds, B each; on the replay's device."""

    obs: Tensor  # (S, B, *observation) as the lanes have it: float32 or uint8
    action_mask: Tensor  # (S, B, A) bool, or (S, B, 1) without action masks
    action: Tensor  # (S, B) int64
    reward: Tensor  # (S, B) Σ_k γᵏ R over the n steps, or fewer where the episode ended
    discount: Tensor  # (S, B) γ to the number of steps, or 0 where the episode terminated
    next_obs: Tensor  # (S, B, *observation) where the last of these steps led; any where it terminated
    next_action_mask: Tensor  # (S, B, A) or (S, B, 1)
    weight: Tensor  # (S, B) at most 1: corrects for the uneven chances of prioritised drawing
    index: Tensor  # type: ignore[assignment]  # (S, B) int64 slots, on the CPU: for `prioritize`


class Sequences(NamedTuple):
    """T consecutive steps of one lane, B for each of S seeds; an episode may end and another begin within them."""

    obs: Tensor  # (S, B, T, *observation)
    action_mask: Tensor  # (S, B, T, A) or (S, B, T, 1)
    is_first: Tensor  # (S, B, T) bool: obs is the first of an episode
    action: Tensor  # (S, B, T) int64
    reward: Tensor  # (S, B, T)
    terminated: Tensor  # (S, B, T) bool
    done: Tensor  # (S, B, T) bool
    recurrent_state: Tensor  # (S, B, M) the recurrent state stored with the first step
    weight: Tensor  # (S, B)
    index: Tensor  # type: ignore[assignment]  # (S, B) int64 slots of the first step, on the CPU: for `prioritize`


class Replay(Stateful):
    """The last steps of S seeds with N lanes each, on `device` where they fit.

    Row t holds one step of every lane: slot (t mod R, seed, lane) of every column. Numpy: written at every step.
    """

    columns = ("action", "reward", "terminated", "done", "recurrent_state")
    state = ("count", "rng", "ready", "largest")

    def __init__(
        self,
        buffer_size: int,
        seeds: int,
        num_envs: int,
        shape: tuple[int, ...],
        dtype: Any = np.float32,
        mask_width: int = 1,
        *,
        frame_stack: int = 1,
        n_step: int,
        gamma: float,
        alpha: float = 0.0,
        seed: int,
        recurrent_size: int = 0,
        device: torch.device = CPU,
    ) -> None:
        self.rows, self.seeds, self.num_envs, self.n = buffer_size // num_envs, seeds, num_envs, n_step
        self.device, self.alpha, self.width = device, alpha, seeds * num_envs
        self.gamma = (gamma ** np.arange(n_step + 1)).astype(np.float32)  # γ⁰, ..., γⁿ
        self.frames = Frames(
            self.rows + 1, self.width, shape, dtype, mask_width, frame_stack, device
        )  # one for the successor
        slots = (self.rows + 1) * self.width
        self.action, self.reward = np.zeros(slots, np.int32), np.zeros(slots, np.float32)
        self.terminated, self.done = np.zeros(slots, bool), np.zeros(slots, bool)
        self.recurrent_state = np.zeros((slots, recurrent_size), np.float32)
        self.column = np.arange(seeds)[:, None] * num_envs  # of each seed's first lane
        self.rng = numpy_stream(seed, "replay")
        self.count = 0  # rows written since the beginning
        self.priorities = Priorities(seeds, (self.rows + 1) * num_envs) if alpha else None
        self.ready = [0, 0]  # the first and the last + 1 of the rows that have a priority
        self.largest = np.zeros((seeds, 1))  # priority seen so far, of each seed

    def push(
        self,
        obs: NDArray[Any],
        action_mask: NDArray[np.bool_],
        is_first: NDArray[np.bool_],
        action: NDArray[np.int64],
        step: Step,
        recurrent_state: NDArray[np.float32] | None = None,
    ) -> None:
        """Store one step of every lane, the lanes of one seed side by side: shapes (S * N, ...)."""
        here = self.frames.row(self.count)
        self.frames.write(self.count, obs, action_mask, is_first, step)
        self.action[here], self.reward[here] = action, step.reward
        self.terminated[here], self.done[here] = step.terminated, step.done
        if recurrent_state is not None:
            self.recurrent_state[here] = recurrent_state
        self.count += 1

    def cut(self, which: NDArray[np.bool_]) -> None:
        """Let the newest step of these lanes (S * N,) be the last of its episode, for what follows is another one."""
        if self.count:
            newest = self.frames.row(self.count - 1)
            self.frames.set_aside(self.count - 1, which & ~self.done[newest])
            self.done[newest] |= which

    def __len__(self) -> int:
        """Rows that begin a whole window of n steps, and so can be drawn."""
        return self.windows(self.n)

    def windows(self, length: int) -> int:
        """Rows that begin `length` steps that are all there."""
        first, end = self._whole(length)
        return max(0, end - first)

    def sample(self, size: int, beta: float = 0.0) -> Batch:
        """`size` transitions for each seed, whole windows of n steps, as likely as their priorities or all alike.

        The weights (N P)^-β are divided by the largest of each seed's draw.
        """
        slot, weight = self._draw(size, self.n, beta)
        last, reward, steps = slot, self.reward.take(slot), np.ones(slot.shape, np.int64)
        for k in range(1, self.n):  # go on to the next row where the episode does
            on = ~self.done.take(last)
            last = np.where(on, self.frames.later(slot, k), last)
            reward = reward + self.gamma[k] * self.reward.take(last) * on
            steps += on
        terminated = self.terminated.take(last)
        action, discount = self.action.take(slot).astype(np.int64), self.gamma[steps] * ~terminated
        after = self.frames.after(last, self.done.take(last) & ~terminated)
        numbers = [self._tensor(x) for x in (action, reward, discount)]
        return Batch(*(*self.frames.at(slot), *numbers, *after, self._tensor(weight), torch.from_numpy(slot)))

    def sequences(self, size: int, length: int, beta: float = 0.0) -> Sequences:
        """`size` times `length` steps for each seed, whose beginning is as likely as its priority or all alike."""
        first, weight = self._draw(size, length, beta)
        slot = self.frames.later(first[..., None], np.arange(length))  # (S, B, T)
        steps = self.frames.starts(slot), self.action.take(slot).astype(np.int64), self.reward.take(slot)
        ends = self.terminated.take(slot), self.done.take(slot), self.recurrent_state.take(first, 0), weight
        return Sequences(*(*self.frames.at(slot), *[self._tensor(x) for x in (*steps, *ends)], torch.from_numpy(first)))

    def prioritize(self, index: Tensor, error: Tensor) -> None:
        """Let the priorities of these slots (S, B) follow from the surprise ≥ 0 they held, (S, B), on any device."""
        if self.priorities is None:
            return
        priority = error.detach().cpu().numpy().astype(np.float64) + LEAST
        seen = priority.max(1, keepdims=True)
        if not self.largest.any():  # slots that entered with 1, for nothing was known, get what all others get
            self.priorities.scale(seen**self.alpha)
        self.largest = np.maximum(self.largest, seen)
        row, column = np.divmod(index.numpy(), self.width)
        self.priorities.assign(row * self.num_envs + column % self.num_envs, priority**self.alpha)

    def state_dict(self) -> State:
        """The rows written so far, and no others: a young memory makes a small checkpoint."""
        rows = min(self.count, self.rows) + 1
        columns = {name: torch.from_numpy(getattr(self, name)[: rows * self.width]) for name in self.columns}
        saved = {**super().state_dict(), **columns, "frames": self.frames.state_dict(rows)}
        if self.priorities is not None:
            saved["priorities"] = torch.from_numpy(self.priorities.of[:, : rows * self.num_envs].copy())
        return saved

    def load_state_dict(self, saved: State) -> None:
        """Take over what `state_dict` gave. Raises KeyError where names differ, ValueError where shapes do."""
        if (self.priorities is None) == ("priorities" in saved):
            raise KeyError("of the replay and the checkpoint only one holds priorities")
        super().load_state_dict({name: saved[name] for name in self.state})
        restore(self, self.columns, saved)
        self.frames.load_state_dict(saved["frames"])
        if self.priorities is not None:
            self.priorities.load(saved["priorities"].cpu().numpy())

    def _tensor(self, x: NDArray[Any]) -> Tensor:
        return torch.from_numpy(x).to(self.device)

    def _whole(self, window: int) -> tuple[int, int]:
        """The first and the last + 1 of the rows that begin a window that is written, with frames to look back on."""
        first = 0 if self.count <= self.rows else self.count - self.rows + self.frames.frame_stack - 1
        return first, self.count - window + 1

    def _draw(self, size: int, window: int, beta: float) -> tuple[Slots, NDArray[np.float32]]:
        """The slots (S, B) where `size` windows begin, and their weights."""
        first, end = self._whole(window)
        if end <= first:
            raise ValueError(f"nothing to draw: {self.count} rows hold no {window} steps in turn")
        if self.priorities is None:
            slot = self.rng.integers(first, end, (self.seeds, size)) % (self.rows + 1) * self.width + self.column
            if self.num_envs > 1:
                slot += self.rng.integers(self.num_envs, size=(self.seeds, size))
            return slot, np.ones(slot.shape, np.float32)
        self._enter(self.priorities, first, end)
        place, priority = self.priorities.draw(self.rng.random((self.seeds, size)))
        slot = place if self.seeds == 1 else place // self.num_envs * self.width + place % self.num_envs + self.column
        weight = (priority.min(1, keepdims=True) / priority) ** beta
        return slot, weight.astype(np.float32)

    def _enter(self, priorities: Priorities, first: int, end: int) -> None:
        """Give the largest priority seen to rows from `first` to `end` that have none, and none to all other rows."""
        before, upto = self.ready
        newest = self.largest**self.alpha if self.largest.any() else 1.0
        gone, new = [(before, min(first, upto)), (max(before, end), upto)], (max(first, upto), end)
        for (begin, stop), value in ((gone[0], 0.0), (gone[1], 0.0), (new, newest)):
            if begin < stop:
                row = np.arange(max(begin, stop - self.rows - 1), stop) % (self.rows + 1)
                place = (row[:, None] * self.num_envs + np.arange(self.num_envs)).reshape(1, -1)
                priorities.assign(np.repeat(place, self.seeds, 0), value)
        self.ready = [first, end]
