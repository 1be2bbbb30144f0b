"""A ring of past transitions; sampling gives n-step transitions. Lin 1992, doi:10.1007/BF00992699; Sutton 1988."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from envs import Step
from rlgen.core.seeds import numpy_stream
from rlgen.core.state import State, Stateful


class Batch(NamedTuple):
    """n-step transitions S_t, A_t -> Σ_k γᵏ R, S_{t+n} of S seeds, B each."""

    obs: Tensor  # (S, B, *observation)
    action: Tensor  # (S, B) int64
    reward: Tensor  # (S, B) Σ_k γᵏ R over the n steps, or fewer where the episode ended
    discount: Tensor  # (S, B) γ to the number of steps, or 0 where the episode terminated
    next_obs: Tensor  # (S, B, *observation) where the last of these steps led

    def to(self, device: torch.device) -> "Batch":
        """The same on `device`."""
        return Batch(*(x.to(device) for x in self))


class Replay(Stateful):
    """The last steps of S seeds with N lanes each. In numpy: written at every environment step.

    Slot (row, seed, lane) of every array holds one step; rows are written in turn.
    """

    columns = ("obs", "action", "reward", "terminated", "done", "next_obs")
    state = (*columns, "count", "rng")

    def __init__(
        self, capacity: int, seeds: int, lanes: int, obs: tuple[int, ...], *, n_step: int, gamma: float, seed: int
    ) -> None:
        self.rows, self.seeds, self.lanes, self.n = capacity // lanes, seeds, lanes, n_step
        self.gamma = (gamma ** np.arange(n_step + 1)).astype(np.float32)  # γ⁰, ..., γⁿ
        slots = self.rows * seeds * lanes
        self.obs, self.next_obs = np.zeros((slots, *obs), np.float32), np.zeros((slots, *obs), np.float32)
        self.action, self.reward = np.zeros(slots, np.int64), np.zeros(slots, np.float32)
        self.terminated, self.done = np.zeros(slots, bool), np.zeros(slots, bool)
        self.rng = numpy_stream(seed, "replay")
        self.count = 0  # rows written since the beginning

    def push(self, obs: NDArray[np.float32], action: NDArray[np.int64], step: Step) -> None:
        """Store one step of every lane, the lanes of one seed side by side: shapes (S * N, ...)."""
        width = self.seeds * self.lanes
        row = self.count % self.rows * width
        here = slice(row, row + width)
        self.obs[here], self.action[here], self.next_obs[here] = obs, action, step.next_obs
        self.reward[here], self.terminated[here], self.done[here] = step.reward, step.terminated, step.done
        self.count += 1

    def cut(self, lanes: NDArray[np.bool_]) -> None:
        """Let the newest step of these lanes (S * N,) be the last of its episode, for what follows is another one."""
        if self.count:
            width = self.seeds * self.lanes
            newest = (self.count - 1) % self.rows * width
            self.done[newest : newest + width] |= lanes

    def state_dict(self) -> State:
        """The rows written so far, and no others: a young memory makes a small checkpoint."""
        saved = super().state_dict()
        written = min(self.count, self.rows) * self.seeds * self.lanes
        return {**saved, **{name: saved[name][:written] for name in self.columns}}

    def load_state_dict(self, saved: State) -> None:
        """Take over what `state_dict` gave. Raises ValueError where it does not fit."""
        whole = {}
        for name in self.columns:
            rest = torch.from_numpy(getattr(self, name)[len(saved[name]) :])
            whole[name] = torch.cat([saved[name], rest]) if len(rest) else saved[name]
        super().load_state_dict({**saved, **whole})

    def __len__(self) -> int:
        """Rows that begin a whole window of n steps, and so can be drawn."""
        return max(0, min(self.count, self.rows) - self.n + 1)

    def sample(self, size: int) -> Batch:
        """`size` transitions for each seed, every whole window of n steps being as likely as any other."""
        width = self.seeds * self.lanes
        row = self.rng.integers(self.count - self.n + 1 - len(self), self.count - self.n + 1, (self.seeds, size))
        column = np.arange(self.seeds)[:, None] * self.lanes
        if self.lanes > 1:
            column = column + self.rng.integers(self.lanes, size=(self.seeds, size))
        first = row % self.rows * width + column  # (S, B) slots
        last, reward, steps = first, self.reward[first], np.ones(first.shape, np.int64)
        for k in range(1, self.n):  # go on to the next row where the episode does
            on = ~self.done[last]
            last = np.where(on, (row + k) % self.rows * width + column, last)
            reward = reward + self.gamma[k] * self.reward[last] * on
            steps += on
        discount = self.gamma[steps] * ~self.terminated[last]
        arrays = self.obs[first], self.action[first], reward, discount, self.next_obs[last]
        return Batch(*map(torch.from_numpy, arrays))
