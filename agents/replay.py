"""A replay buffer of transitions, sampled as n-step transitions. Lin 1992, doi:10.1007/BF00992699; Sutton 1988.

Prioritised: Schaul et al. 2016, arXiv:1511.05952. Sequences with their recurrent state: Kapturowski et al. 2019 (R2D2).
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlgen.agents.actor import ActorInput
from rlgen.agents.frames import Frames, Slots, by_row
from rlgen.agents.members import MemberSeed, Number, column
from rlgen.agents.priorities import Priorities
from rlgen.core.ring import Ring
from rlgen.core.seeds import stream
from rlgen.core.state import State, Stateful
from rlgen.envs import Step

LEAST = 1e-6  # added to every priority, so that a transition with a TD error of 0 can be drawn again
CPU = torch.device("cpu")


class Batch(NamedTuple):
    """n-step transitions S_t, A_t -> Σ_k γᵏ R, S_{t+n} of S seeds, B each; on the replay's device."""

    obs: Tensor  # (S, B, *observation) float32 or uint8
    action_mask: Tensor  # (S, B, A) bool, or (S, B, 1) without action masks
    action: Tensor  # (S, B) int64
    reward: Tensor  # (S, B) Σ_k γᵏ R over the n steps, or fewer where the episode ended
    discount: Tensor  # (S, B) γ to the power of the number of steps, or 0 where the episode terminated
    next_obs: Tensor  # (S, B, *observation) after the last of these steps; arbitrary where it terminated
    next_action_mask: Tensor  # (S, B, A) or (S, B, 1)
    weight: Tensor  # (S, B) importance weight, at most 1
    index: Tensor  # type: ignore[assignment]  # (S, B) int64 slots, on the CPU: for `prioritize`

    def split(self, size: int) -> "Iterator[Batch]":
        """Batches of `size` transitions for each seed."""
        total = self.weight.shape[1]
        return (
            iter([self])
            if total <= size
            else (Batch(*(x[:, i : i + size] for x in self)) for i in range(0, total, size))
        )


class Sequences(NamedTuple):
    """T consecutive steps of one environment, B for each of S seeds; they may contain the end of an episode."""

    obs: Tensor  # (S, B, T, *observation)
    action_mask: Tensor  # (S, B, T, A) or (S, B, T, 1)
    is_first: Tensor  # (S, B, T) bool: first observation of an episode
    action: Tensor  # (S, B, T) int64
    reward: Tensor  # (S, B, T)
    terminated: Tensor  # (S, B, T) bool
    done: Tensor  # (S, B, T) bool
    recurrent_state: Tensor  # (S, B, M) the recurrent state stored with the first step
    weight: Tensor  # (S, B)
    index: Tensor  # type: ignore[assignment]  # (S, B) int64 slots of the first step, on the CPU: for `prioritize`


class Window(NamedTuple):
    """The n steps of each transition in a batch."""

    obs: Tensor  # (S, B, n, *observation) arbitrary after the end of the episode, like all columns
    action_mask: Tensor  # (S, B, n, A) or (S, B, n, 1)
    action: Tensor  # (S, B, n) int64
    discount: Tensor  # (S, B, n) γᵏ, or 0 after the end of the episode


class Replay(Stateful):
    """The last steps of S seeds with N environments each; the frames are on `device` if they fit.

    Row t holds one step of every environment: slot (t mod R, seed, environment) of every column.
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
        gamma: Number,
        alpha: float = 0.0,
        seed: MemberSeed,
        recurrent_size: int = 0,
        device: torch.device = CPU,
    ) -> None:
        self.rows, self.seeds, self.num_envs, self.n = buffer_size // num_envs, seeds, num_envs, n_step
        self.device, self.alpha, self.width = device, alpha, seeds * num_envs
        # γ⁰, ..., γⁿ of all seeds (n + 1,), or of each (S, n + 1)
        self.gamma = (np.asarray(gamma)[..., None] ** np.arange(n_step + 1)).astype(np.float32)
        self.frames = Frames(
            self.rows + 1, self.width, shape, dtype, mask_width, frame_stack, device
        )  # one row for next observations
        slots = (self.rows + 1) * self.width
        self.action, self.reward = np.zeros(slots, np.int32), np.zeros(slots, np.float32)
        self.terminated, self.done = np.zeros(slots, bool), np.zeros(slots, bool)
        self.recurrent_state = np.zeros((slots, recurrent_size), np.float32)
        self.column = np.arange(seeds)[:, None] * num_envs  # of each seed's first environment
        self.rng = stream(seed, "replay")
        self.count = 0  # rows written since the beginning
        self.priorities = Priorities(seeds, (self.rows + 1) * num_envs) if alpha else None
        self.ready = [0, 0]  # first and last + 1 of the rows with a priority
        self.largest = np.zeros((seeds, 1))  # priority so far of each seed, before the exponent α

    def push(self, inputs: ActorInput, action: NDArray[np.int64], step: Step) -> None:
        """Store one step of every environment, those of one seed next to each other: shapes (S * N, ...)."""
        here = self.frames.row(self.count)
        self.frames.write(self.count, inputs.obs, inputs.action_mask, inputs.is_first, step)
        self.action[here], self.reward[here] = action, step.reward
        self.terminated[here], self.done[here] = step.terminated, step.done
        if inputs.recurrent_state is not None:
            self.recurrent_state[here] = inputs.recurrent_state
        self.count += 1

    def cut(self, which: NDArray[np.bool_]) -> None:
        """End the episode of the newest step in these environments (S * N,)."""
        if self.count:
            newest = self.frames.row(self.count - 1)
            self.frames.set_aside(self.count - 1, which & ~self.done[newest])
            self.done[newest] |= which

    def __len__(self) -> int:
        """Number of rows that begin a whole window of n steps."""
        return self.windows(self.n)

    def windows(self, length: int) -> int:
        """Number of rows that begin `length` stored steps."""
        first, end = self._whole(length)
        return max(0, end - first)

    def sample(self, size: int, beta: Number = 0.0) -> Batch:
        """`size` n-step transitions for each seed, with probability in proportion to priority^α, or uniform.

        The weights (N P)^-β are divided by the largest of each seed's draw.
        """
        return self.transitions(*self._draw(size, self.n, beta))

    def transitions(self, slot: Slots, weight: NDArray[np.float32]) -> Batch:
        """The n-step transitions that begin in these slots (S, B), with these importance weights."""
        last, reward, steps = slot, self.reward.take(slot), np.ones(slot.shape, np.int64)
        for k in range(1, self.n):  # the next row where the episode continues
            on = ~self.done.take(last)
            last = np.where(on, self.frames.later(slot, k), last)
            reward = reward + self.gamma[..., k, None] * self.reward.take(last) * on
            steps += on
        terminated = self.terminated.take(last)
        discount = self.gamma[steps] if self.gamma.ndim == 1 else np.take_along_axis(self.gamma, steps, 1)
        action, discount = self.action.take(slot).astype(np.int64), discount * ~terminated
        after = self.frames.after(last, self.done.take(last) & ~terminated)
        numbers = [self._tensor(x) for x in (action, reward, discount)]
        return Batch(*(*self.frames.at(slot), *numbers, *after, self._tensor(weight), torch.from_numpy(slot)))

    def spaced(self, most: int, window: int) -> tuple[NDArray[np.int64], Slots]:
        """At most `most` evenly spaced stored windows of each seed: their rows since the beginning (B,), slots (S, B).

        Of a vector environment every copy in turn.
        """
        first, end = self._whole(window)
        total = max(0, end - first) * self.num_envs
        place = np.linspace(0, total - 1, min(most, total)).round().astype(np.int64)
        row = first + place // self.num_envs
        return row, row % (self.rows + 1) * self.width + place % self.num_envs + self.column

    def stored(self, slot: Slots) -> NDArray[np.float64] | None:
        """Priorities (S, B) of these slots, before the exponent α, NaN without any yet; None of a uniform buffer."""
        if self.priorities is None:
            return None
        place = slot // self.width * self.num_envs + slot % self.width % self.num_envs
        found = np.take_along_axis(self.priorities.of, place, 1)
        return np.where(found > 0, found ** (1 / self.alpha), np.nan)

    def window(self, index: Tensor) -> Window:
        """The n steps of the transitions with these slots (S, B)."""
        slot = self.frames.later(index.numpy()[..., None], np.arange(self.n))  # (S, B, n)
        alive = np.ones(slot.shape, bool)
        alive[..., 1:] = ~np.logical_or.accumulate(self.done.take(slot[..., :-1]), -1)
        action, discount = self.action.take(slot).astype(np.int64), self.gamma[..., None, : self.n] * alive
        return Window(*self.frames.at(slot), self._tensor(action), self._tensor(discount))

    def sequences(self, size: int, length: int, beta: Number = 0.0) -> Sequences:
        """`size` sequences of `length` steps for each seed, drawn by the priority of their first step, or uniformly."""
        return self.sequences_from(*self._draw(size, length, beta), length)

    def sequences_from(self, first: Slots, weight: NDArray[np.float32], length: int) -> Sequences:
        """The sequences of `length` steps that begin in these slots (S, B), with these importance weights."""
        slot = self.frames.later(first[..., None], np.arange(length))  # (S, B, T)
        steps = self.frames.is_first(slot), self.action.take(slot).astype(np.int64), self.reward.take(slot)
        ends = self.terminated.take(slot), self.done.take(slot), self.recurrent_state.take(first, 0), weight
        return Sequences(*(*self.frames.at(slot), *[self._tensor(x) for x in (*steps, *ends)], torch.from_numpy(first)))

    def prioritize(self, index: Tensor, error: Tensor) -> None:
        """Set the priorities of these slots (S, B) to the TD errors, or other numbers ≥ 0, (S, B), on any device."""
        if self.priorities is None:
            return
        priority = error.detach().cpu().numpy().astype(np.float64) + LEAST
        largest = priority.max(1, keepdims=True)
        if not self.largest.any():  # slots that entered with 1 before any priority was known
            self.priorities.scale(largest**self.alpha)
        self.largest = np.maximum(self.largest, largest)
        row, column = np.divmod(index.numpy(), self.width)
        self.priorities.assign(row * self.num_envs + column % self.num_envs, priority**self.alpha)

    def state_dict(self) -> State:
        """The rows written so far: those that no step changes any more as a ring, and the `newest` two as tensors."""
        rows, ring = min(self.count, self.rows) + 1, self._ring()
        saved = {**super().state_dict(), "rows": ring, "newest": ring.rows(ring.end, self.count + 1)}
        saved["frames"] = self.frames.state_dict()
        if self.priorities is not None:
            saved["priorities"] = torch.from_numpy(self.priorities.of[:, : rows * self.num_envs].copy())
        return saved

    def load_state_dict(self, saved: State) -> None:
        """Restore the result of `state_dict`. Raises KeyError for other names, ValueError for other shapes."""
        if (self.priorities is None) == ("priorities" in saved):
            raise KeyError("priorities: only one of the replay buffer and the checkpoint has them")
        super().load_state_dict({name: saved[name] for name in self.state})
        ring = self._ring()
        if "rows" in saved:
            ring.fill(saved["rows"])
            ring.put(saved["rows"].end, saved["newest"])
        else:  # schema 2 had all rows in the order of their places
            flat = {name: {**saved, **saved["frames"]}[name] for name in ring.columns}
            rows = len(flat["done"]) // self.width
            ring.put(0, {name: flat[name].reshape(rows, *own.shape[1:]) for name, own in ring.columns.items()})
        self.frames.load_state_dict(saved["frames"])
        if self.priorities is not None:
            self.priorities.load(saved["priorities"].cpu().numpy())

    def _ring(self) -> Ring:
        """All columns by row. The row of the newest step may still be `cut`, and the one after it has no step yet."""
        columns = by_row(self, self.columns, self.width) | by_row(self.frames, self.frames.columns, self.width)
        first = max(0, self.count - self.rows)
        return Ring(columns, first, max(first, self.count - 1))

    def _tensor(self, x: NDArray[Any]) -> Tensor:
        return torch.from_numpy(x).to(self.device)

    def _whole(self, window: int) -> tuple[int, int]:
        """First and last + 1 of the rows that begin a stored window, with the frames before it that a stack needs."""
        first = 0 if self.count <= self.rows else self.count - self.rows + self.frames.frame_stack - 1
        return first, self.count - window + 1

    def _draw(self, size: int, window: int, beta: Number) -> tuple[Slots, NDArray[np.float32]]:
        """Slots (S, B) of the first steps of `size` windows, and their importance weights."""
        first, end = self._whole(window)
        if end <= first:
            raise ValueError(f"the replay buffer has {self.count} rows: too few for a window of {window} steps")
        if self.priorities is None:
            slot = self.rng.integers(first, end, (self.seeds, size)) % (self.rows + 1) * self.width + self.column
            if self.num_envs > 1:
                slot += self.rng.integers(self.num_envs, size=(self.seeds, size))
            return slot, np.ones(slot.shape, np.float32)
        self._enter(self.priorities, first, end)
        place, priority = self.priorities.draw(self.rng.random((self.seeds, size)))
        slot = place if self.seeds == 1 else place // self.num_envs * self.width + place % self.num_envs + self.column
        weight = (priority.min(1, keepdims=True) / priority) ** column(beta)
        return slot, weight.astype(np.float32)

    def _enter(self, priorities: Priorities, first: int, end: int) -> None:
        """Give the largest priority so far to rows from `first` to `end` without one, and 0 to all other rows."""
        before, upto = self.ready
        newest = self.largest**self.alpha if self.largest.any() else 1.0
        gone, new = [(before, min(first, upto)), (max(before, end), upto)], (max(first, upto), end)
        for (begin, stop), value in ((gone[0], 0.0), (gone[1], 0.0), (new, newest)):
            if begin < stop:
                row = np.arange(max(begin, stop - self.rows - 1), stop) % (self.rows + 1)
                place = (row[:, None] * self.num_envs + np.arange(self.num_envs)).reshape(1, -1)
                priorities.assign(np.repeat(place, self.seeds, 0), value)
        self.ready = [first, end]
