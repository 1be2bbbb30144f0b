"""The support of C51 from the returns of the training, widened when a return leaves it. Shapes: S seeds, K atoms.

Bellemare et al. 2017, arXiv:1707.06887, choose the support by hand. On one that lies to one side of all returns every
target collapses onto a single atom, and nothing can be learned. So an end that is not given, --v-min or --v-max,
follows from the discounted return of every state visited in training, with 0 and a margin included.
"""

import logging

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlgen.agents import settings
from rlgen.agents.members import Number
from rlgen.agents.values import Categorical
from rlgen.core.state import State, Stateful
from rlgen.envs import Step

MARGIN = 0.25  # beyond the returns so far, as a share of their range
OUTSIDE = -5.0  # log-probability of an atom beyond the former support, relative to the atom at its end


class Support(Stateful):
    """Lowest and highest atom of each seed, and the range of returns that they must contain."""

    state = ("rewards", "range", "bounds", "informed")
    learned = ("bounds",)

    def __init__(self, seeds: int, num_envs: int, gamma: Number, low: float | None, high: float | None) -> None:
        self.num_envs = num_envs
        self.gamma: list[float] = np.broadcast_to(gamma, seeds).tolist()  # of each seed
        self.low, self.high = low, high  # given ends
        self.rewards: list[list[float]] = [[] for _ in range(seeds * num_envs)]  # of the running episodes
        self.range = np.zeros((seeds, 2))  # lowest and highest discounted return so far, 0 included
        self.informed = np.zeros(seeds, bool)  # whether the bounds follow from a return other than 0
        self.bounds = self._bounds()  # (S, 2)
        self.warned = False
        self.values: Categorical | None = None

    def record(self, step: Step) -> None:
        """Add one step of every environment; an episode that ends adds the discounted return of each of its states."""
        rows = zip(step.reward.tolist(), step.done.tolist(), step.terminated.tolist(), strict=True)
        for index, (reward, done, terminated) in enumerate(rows):
            self.rewards[index].append(reward)
            if done:
                self._extend(index, terminated)
                self.rewards[index] = []

    def update(self) -> bool:
        """Move the bounds of each seed with a return outside of them, or with its first other than 0; True if any.

        Before its first, a seed's running episodes count as well. A return outside of given ends is a warning.
        """
        for index, rewards in enumerate(self.rewards):
            if not self.informed[index // self.num_envs] and any(rewards):
                self._extend(index, terminated=False)
        if self.low is not None and self.high is not None:
            self._warn(self.low, self.high)
            return False
        low, high = self.bounds.T
        inside = np.clip(self.range, *self._given())
        moved = (inside[:, 0] < low) | (inside[:, 1] > high) | (~self.informed & self.range.any(1))
        if not moved.any():
            return False
        self.bounds = np.where(moved[:, None], self._bounds(), self.bounds)
        self.informed = self.informed | moved
        return True

    def tensors(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Low and high, () of one seed or (S,) of several."""
        low, high = (torch.tensor(x, dtype=torch.float32, device=device) for x in self.bounds.T)
        return (low[0], high[0]) if len(self.bounds) == 1 else (low, high)

    def categorical(self, atoms: int, device: torch.device) -> Categorical:
        """Action values on this support; a change of the bounds moves its atoms with `place`."""
        self.values = Categorical(atoms, *self.tensors(device))
        return self.values

    def place(self) -> None:
        """Move the atoms of the action values to the bounds."""
        if self.values is not None:
            self.values.place(*self.tensors(self.values.z.device))

    def load_state_dict(self, saved: State) -> None:
        """Restore the result of `state_dict`, and the atoms."""
        super().load_state_dict(saved)
        self.place()

    def load_learned(self, saved: State) -> None:
        """Restore the result of `learned_dict`, and the atoms."""
        super().load_learned(saved)
        self.place()

    def _extend(self, index: int, terminated: bool) -> None:
        """Extend the range by G_t = r_t + γ G_{t+1} of every step of the running episode of an environment.

        After the last step G is 0 if the episode terminated. Else values are bootstrapped, and G is that of an endless
        episode with the same mean reward.
        """
        lowest, highest = self.range[index // self.num_envs]
        gamma = self.gamma[index // self.num_envs]
        endless = not terminated and gamma < 1
        total = sum(self.rewards[index]) / len(self.rewards[index]) / (1 - gamma) if endless else 0.0
        lowest, highest = min(lowest, total), max(highest, total)
        for reward in reversed(self.rewards[index]):
            total = reward + gamma * total
            lowest, highest = min(lowest, total), max(highest, total)
        self.range[index // self.num_envs] = lowest, highest

    def _warn(self, low: float, high: float) -> None:
        outside = self.range[((self.range < low) | (self.range > high)) & (self.range != 0)]
        if len(outside) and not self.warned:
            self.warned = True
            logging.getLogger("rlgen").warning(
                f"a discounted return of {outside[0]:.4g} is outside of --v-min {low:g} --v-max {high:g}:"
                " it is learned as the nearest end; without these options the support follows from the returns"
            )

    def _given(self) -> tuple[float, float]:
        return -np.inf if self.low is None else self.low, np.inf if self.high is None else self.high

    def _bounds(self) -> NDArray[np.float64]:
        """The range with a margin at each end other than 0; [-1, 1] without any return other than 0."""
        low, high = self.range.T
        margin = MARGIN * (high - low)
        low, high = np.where(low < 0, low - margin, low), np.where(high > 0, high + margin, high)
        low, high = np.where(self.range.any(1), (low, high), [[-1.0], [1.0]])
        if self.low is not None:
            low, high = np.full_like(low, self.low), np.where(high > self.low, high, self.low + 1)
        if self.high is not None:
            low, high = np.where(low < self.high, low, self.high - 1), np.full_like(high, self.high)
        return np.stack([low, high], 1)


def support(config: settings.DQN, gamma: Number) -> Support | None:
    """The support of C51, discounts of all seeds or of each; None for any other representation of values."""
    if config.atoms == 1:
        return None
    return Support(config.seeds, config.num_envs, gamma, config.v_min, config.v_max)


def projection(former: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Logits on the atoms z from logits on the `former` atoms, both (K,): l' = M l + c, M (K, K) and c (K,).

    An atom z_j collects the probability of the former atoms within one spacing, in proportion to 1 - distance / spacing
    as in C51's projection. Its logit is the mean of theirs with these weights, plus the logarithm of their sum.
    An atom without any takes the logit of the nearest former atom, beyond the former support plus `OUTSIDE`.
    """
    spacing = z[1] - z[0]
    share = (1 - (former - z[:, None]).abs() / spacing).clamp(min=0)  # (K, K): of former atom i to atom j
    total = share.sum(1)
    nearest = torch.nn.functional.one_hot((former - z[:, None]).abs().argmin(1), len(former)).to(z.dtype)
    beyond = OUTSIDE * ((z < former[0]) | (z > former[-1]))
    found = total > 0
    mixture = torch.where(found[:, None], share / total.clamp(min=1e-12)[:, None], nearest)
    return mixture, torch.where(found, total.clamp(min=1e-12).log(), beyond)
