"""A ring of past transitions; sampling gives n-step transitions. Lin 1992, doi:10.1007/BF00992699; Sutton 1988.

Prioritised: Schaul et al. 2016, arXiv:1511.05952. Sequences with their recurrent state: Kapturowski et al. 2019 (R2D2).
"""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.priorities import Priorities
from envs import Step
from rlgen.core.seeds import numpy_stream
from rlgen.core.state import State, Stateful

LEAST = 1e-6  # added to every surprise: what held none once may hold some later
CPU = torch.device("cpu")
Index = NDArray[np.int64]


class Batch(NamedTuple):
    """n-step transitions S_t, A_t -> Σ_k γᵏ R, S_{t+n} of S seeds, B each; on the replay's device."""

    obs: Tensor  # (S, B, *observation) as the lanes have it: float32 or uint8
    legal: Tensor  # (S, B, A) bool, or (S, B, 1) without action masks
    action: Tensor  # (S, B) int64
    reward: Tensor  # (S, B) Σ_k γᵏ R over the n steps, or fewer where the episode ended
    discount: Tensor  # (S, B) γ to the number of steps, or 0 where the episode terminated
    next_obs: Tensor  # (S, B, *observation) where the last of these steps led; any where it terminated
    next_legal: Tensor  # (S, B, A) or (S, B, 1)
    weight: Tensor  # (S, B) at most 1: corrects for the uneven chances of prioritised drawing
    index: Tensor  # type: ignore[assignment]  # (S, B) int64 slots, on the CPU: for `prioritize`


class Sequences(NamedTuple):
    """T consecutive steps of one lane, B for each of S seeds; an episode may end and another begin within them."""

    obs: Tensor  # (S, B, T, *observation)
    legal: Tensor  # (S, B, T, A) or (S, B, T, 1)
    start: Tensor  # (S, B, T) bool: obs is the first of an episode
    action: Tensor  # (S, B, T) int64
    reward: Tensor  # (S, B, T)
    terminated: Tensor  # (S, B, T) bool
    done: Tensor  # (S, B, T) bool
    memory: Tensor  # (S, B, M) the recurrent state stored with the first step
    weight: Tensor  # (S, B)
    index: Tensor  # type: ignore[assignment]  # (S, B) int64 slots of the first step, on the CPU: for `prioritize`


class Replay(Stateful):
    """The last steps of S seeds with N lanes each.

    Row t holds one step of every lane: slot (t mod R, seed, lane) of every column. Each frame is
    stored once: what a step leads to stands in the next row, which is written at once and again
    when the next step comes. Only where an episode was cut off is another one there,
    and the true successor is kept in `aside`.
    """

    columns = ("obs", "legal", "age", "action", "reward", "terminated", "done", "memory")
    state = ("count", "rng", "ready", "largest")

    def __init__(
        self,
        capacity: int,
        seeds: int,
        lanes: int,
        shape: tuple[int, ...],
        dtype: Any = np.float32,
        legal: int = 1,
        *,
        stack: int = 1,
        n_step: int,
        gamma: float,
        alpha: float = 0.0,
        seed: int,
        memory: int = 0,
        device: torch.device = CPU,
    ) -> None:
        self.rows, self.seeds, self.lanes, self.n, self.stack = capacity // lanes, seeds, lanes, n_step, stack
        self.width, self.slots = seeds * lanes, (self.rows + 1) * seeds * lanes
        self.shape, self.device, self.alpha = shape, device, alpha
        self.gamma = (gamma ** np.arange(n_step + 1)).astype(np.float32)  # γ⁰, ..., γⁿ
        frame = (shape[0] // stack, *shape[1:]) if shape else shape  # the newest of the stack
        self.obs: NDArray[Any] | Tensor = _ring((self.slots, *frame), dtype, device)
        self.legal = np.zeros((self.slots, legal if legal > 1 else 0), bool)
        self.age = np.zeros(self.slots, np.uint8)  # how many frames back the episode began, counted up to stack - 1
        self.action, self.reward = np.zeros(self.slots, np.int32), np.zeros(self.slots, np.float32)
        self.terminated, self.done = np.zeros(self.slots, bool), np.zeros(self.slots, bool)
        self.memory = np.zeros((self.slots, memory), np.float32)
        self.aside: dict[int, tuple[NDArray[Any], NDArray[np.bool_]]] = {}  # by slot, for what is done, not terminated
        self.rng = numpy_stream(seed, "replay")
        self.count = 0  # rows written since the beginning
        self.priorities = Priorities(seeds, (self.rows + 1) * lanes) if alpha else None
        self.ready = [0, 0]  # the first and the last + 1 of the rows that have a priority
        self.largest = 0.0  # priority seen so far

    def push(
        self,
        obs: NDArray[Any],
        legal: NDArray[np.bool_],
        start: NDArray[np.bool_],
        action: Index,
        step: Step,
        memory: NDArray[np.float32] | None = None,
    ) -> None:
        """Store one step of every lane, the lanes of one seed side by side: shapes (S * N, ...)."""
        here, after = self._row(self.count), self._row(self.count + 1)
        for slot in [slot for slot in range(here.start, here.stop) if slot in self.aside] if self.aside else ():
            del self.aside[slot]
        frame, next_frame, next_legal = self._newest(obs), self._newest(step.next_obs), step.next_legal
        if step.terminated.any():  # what follows is never used, but what is no number would spread
            next_frame = np.where(step.terminated.reshape(-1, *[1] * (frame.ndim - 1)), frame, next_frame)
            next_legal = next_legal | step.terminated[:, None]
        _write(self.obs, here, frame)
        _write(self.obs, after, next_frame)
        if self.legal.shape[1]:
            self.legal[here], self.legal[after] = legal, next_legal
        age = self.age[self._row(self.count - 1)].astype(np.int64) + 1
        self.age[here] = np.where(start | (self.count == 0), 0, np.minimum(age, max(self.stack - 1, 1)))
        self.action[here], self.reward[here] = action, step.reward
        self.terminated[here], self.done[here] = step.terminated, step.done
        if memory is not None:
            self.memory[here] = memory
        self.count += 1
        if step.done.any():
            self._set_aside(step.done & ~step.terminated)

    def cut(self, lanes: NDArray[np.bool_]) -> None:
        """Let the newest step of these lanes (S * N,) be the last of its episode, for what follows is another one."""
        if self.count:
            here = self._row(self.count - 1)
            self._set_aside(lanes & ~self.done[here])
            self.done[here] |= lanes

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
            last = np.where(on, self._later(slot, k), last)
            reward = reward + self.gamma[k] * self.reward.take(last) * on
            steps += on
        discount = self.gamma[steps] * ~self.terminated.take(last)
        arrays = self.action.take(slot).astype(np.int64), reward, discount
        action, reward_, discount_, weight_ = (torch.from_numpy(x).to(self.device) for x in (*arrays, weight))
        next_obs, next_legal = self._successor(last)
        return Batch(
            self._obs(slot), self._legal(slot), action, reward_, discount_, next_obs, next_legal, weight_,
            torch.from_numpy(slot),
        )  # fmt: skip

    def sequences(self, size: int, length: int, beta: float = 0.0) -> Sequences:
        """`size` times `length` steps for each seed, whose beginning is as likely as its priority or all alike."""
        first, weight = self._draw(size, length, beta)
        slot = self._later(first[..., None], np.arange(length))  # (S, B, T)
        columns = self.age.take(slot) == 0, self.action.take(slot).astype(np.int64), self.reward.take(slot)
        ends = self.terminated.take(slot), self.done.take(slot), self.memory.take(first, 0), weight
        rest = [torch.from_numpy(x).to(self.device) for x in (*columns, *ends)]
        return Sequences(*(self._obs(slot), self._legal(slot), *rest, torch.from_numpy(first)))

    def prioritize(self, index: Tensor, surprise: Tensor) -> None:
        """Let the priorities of these slots (S, B) follow from the surprise ≥ 0 they held, (S, B), on any device."""
        if self.priorities is None:
            return
        priority = surprise.detach().cpu().numpy().astype(np.float64) + LEAST
        seen = float(priority.max())
        if not self.largest:  # slots that entered with 1, for nothing was known, get what all others get
            self.priorities.scale(seen**self.alpha)
        self.largest = max(self.largest, seen)
        row, column = np.divmod(index.numpy(), self.width)
        self.priorities.assign(row * self.lanes + column % self.lanes, priority**self.alpha)

    def state_dict(self) -> State:
        """The rows written so far, and no others: a young memory makes a small checkpoint."""
        written = min(self.count + 1, self.rows + 1)
        columns = {name: torch.as_tensor(getattr(self, name))[: written * self.width] for name in self.columns}
        aside: State = {"slot": torch.tensor(list(self.aside), dtype=torch.int64)}
        if self.aside:
            frames, legal = zip(*self.aside.values(), strict=True)
            aside |= {"obs": torch.from_numpy(np.stack(frames)), "legal": torch.from_numpy(np.stack(legal))}
        saved = {**super().state_dict(), **columns, "aside": aside}
        if self.priorities is not None:
            saved["priorities"] = torch.from_numpy(self.priorities.of[:, : written * self.lanes].copy())
        return saved

    def load_state_dict(self, saved: State) -> None:
        """Take over what `state_dict` gave. Raises KeyError where names differ, ValueError where shapes do."""
        names = {*self.state, *self.columns, "aside", *(["priorities"] if self.priorities is not None else [])}
        if set(saved) != names:
            raise KeyError(f"Replay holds {sorted(names)}, the checkpoint {sorted(saved)}")
        written = min(saved["count"] + 1, self.rows + 1) * self.width
        for name in self.columns:
            own = torch.as_tensor(getattr(self, name))[:written]
            if own.shape != saved[name].shape:
                raise ValueError(f"the checkpoint holds {name} of shape {tuple(saved[name].shape)}, not {own.shape}")
            own.copy_(saved[name])
        super().load_state_dict({name: saved[name] for name in self.state})
        aside = saved["aside"]
        self.aside = {}
        for number, slot in enumerate(aside["slot"].tolist()):
            self.aside[slot] = aside["obs"][number].cpu().numpy(), aside["legal"][number].cpu().numpy()
        if self.priorities is not None:
            self.priorities.load(saved["priorities"].cpu().numpy())

    def _row(self, time: int) -> slice:
        """The slots of a row."""
        first = time % (self.rows + 1) * self.width
        return slice(first, first + self.width)

    def _later(self, slot: Index, rows: int | Index) -> Index:
        return (slot + rows * self.width) % self.slots

    def _newest(self, obs: NDArray[Any]) -> NDArray[Any]:
        return obs[:, -self.obs.shape[1] :] if self.stack > 1 else obs

    def _set_aside(self, lanes: NDArray[np.bool_]) -> None:
        """Keep what the newest step led to in these lanes: the next row will hold another episode's beginning."""
        here, after = self._row(self.count - 1).start, self._row(self.count).start
        for lane in np.flatnonzero(lanes).tolist():
            self.aside[here + lane] = _copy(self.obs[after + lane]), self.legal[after + lane].copy()

    def _whole(self, window: int) -> tuple[int, int]:
        """The first and the last + 1 of the rows that begin a window that is written, with frames to look back on."""
        first = 0 if self.count <= self.rows else self.count - self.rows + self.stack - 1
        return first, self.count - window + 1

    def _draw(self, size: int, window: int, beta: float) -> tuple[Index, NDArray[np.float32]]:
        """The slots (S, B) where `size` windows begin, and their weights."""
        first, end = self._whole(window)
        column = np.arange(self.seeds)[:, None] * self.lanes
        if self.priorities is None:
            slot = self.rng.integers(first, end, (self.seeds, size)) % (self.rows + 1) * self.width + column
            if self.lanes > 1:
                slot += self.rng.integers(self.lanes, size=(self.seeds, size))
            return slot, np.ones(slot.shape, np.float32)
        self._enter(first, end)
        place, priority = self.priorities.draw(self.rng.random((self.seeds, size)))
        slot = place if self.seeds == 1 else place // self.lanes * self.width + place % self.lanes + column
        weight = (priority.min(1, keepdims=True) / priority) ** beta
        return slot, weight.astype(np.float32)

    def _enter(self, first: int, end: int) -> None:
        """Give a priority to the rows from `first` to `end`, and to no others."""
        assert self.priorities is not None
        before, upto = self.ready
        newest = self.largest**self.alpha if self.largest else 1.0
        for begin, stop, value in (
            (before, min(first, upto), 0.0), (max(before, end), upto, 0.0), (max(first, upto), end, newest)
        ):  # fmt: skip
            if begin < stop:
                row = np.arange(max(begin, stop - self.rows - 1), stop) % (self.rows + 1)
                place = (row[:, None] * self.lanes + np.arange(self.lanes)).reshape(1, -1)
                self.priorities.assign(np.repeat(place, self.seeds, 0), value)
        self.ready = [first, end]

    def _obs(self, slot: Index) -> Tensor:
        """(..., *observation) at the slots."""
        if self.stack == 1:
            return self._frames(slot)
        back = np.minimum(np.arange(self.stack)[::-1], self.age.take(slot)[..., None])
        return self._frames(self._later(slot[..., None], -back)).reshape(*slot.shape, *self.shape)

    def _frames(self, slot: Index) -> Tensor:
        if isinstance(self.obs, Tensor):
            index = torch.from_numpy(slot.reshape(-1)).to(self.device)
            return self.obs.index_select(0, index).reshape(*slot.shape, *self.obs.shape[1:])
        return torch.from_numpy(self.obs.take(slot, 0)).to(self.device)

    def _legal(self, slot: Index) -> Tensor:
        if not self.legal.shape[1]:
            return torch.ones((), dtype=torch.bool, device=self.device).expand(*slot.shape, 1)
        return torch.from_numpy(self.legal.take(slot, 0)).to(self.device)

    def _successor(self, slot: Index) -> tuple[Tensor, Tensor]:
        """next_obs and next_legal (S, B, ...) of the steps at the slots (S, B)."""
        after = self._later(slot, 1)
        frames = after[..., None]
        if self.stack > 1:
            back = np.minimum(np.arange(self.stack)[::-1], self.age.take(slot)[..., None].astype(np.int64) + 1)
            frames = self._later(frames, -back)
        obs, legal = self._frames(frames), self._legal(after)  # (S, B, stack, *frame)
        cut = self.done.take(slot) & ~self.terminated.take(slot)
        if cut.any():
            found = [self.aside[one] for one in slot[cut].tolist()]
            where = torch.from_numpy(cut).to(self.device)
            obs[:, :, -1][where] = torch.from_numpy(np.stack([frame for frame, _ in found])).to(self.device)
            if self.legal.shape[1]:
                legal[where] = torch.from_numpy(np.stack([legal for _, legal in found])).to(self.device)
        return obs.reshape(*slot.shape, *self.shape), legal


def _ring(shape: tuple[int, ...], dtype: Any, device: torch.device) -> NDArray[Any] | Tensor:
    """Zeros: in numpy on the CPU, where it gathers and writes faster; a tensor on an accelerator, if it fits there."""
    kind = torch.from_numpy(np.zeros(0, dtype)).dtype
    fits = device.type != "cuda" or math.prod(shape) * kind.itemsize < 0.8 * torch.cuda.mem_get_info(device)[0]
    return torch.zeros(shape, dtype=kind, device=device) if device.type != "cpu" and fits else np.zeros(shape, dtype)


def _write(ring: NDArray[Any] | Tensor, here: slice, frames: NDArray[Any]) -> None:
    if isinstance(ring, Tensor):
        ring[here].copy_(torch.from_numpy(frames), non_blocking=True)
    else:
        ring[here] = frames


def _copy(frame: NDArray[Any] | Tensor) -> NDArray[Any]:
    return np.array(frame.cpu() if isinstance(frame, Tensor) else frame)
