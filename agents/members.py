"""Members of a batch: S agents of one process, with settings and random streams of their own.

Without members S seeds share their settings and draw from streams in common. A member draws from the streams of the run
that has its seed alone, so that it is the same run in any company, up to the rounding of stacked matrix products.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rlgen.core import schedule
from rlgen.core.seeds import Seeds, derive, initial_weights

Number = float | NDArray[np.float64]  # of all members, or of each, (S,)
MemberSeed = int | tuple[int, ...]  # in common, or of each member
SHOWN = 5  # members in a report
Member = tuple[int, Any]  # the seed and the settings, a dataclass


class Members:
    """S agents, each with a seed and settings; without `members` S seeds of the same settings."""

    def __init__(self, config: Any, seed: int, members: Sequence[Member] = ()) -> None:
        self.seed, self.seeds = seed, tuple(seed for seed, _ in members)
        self.configs = tuple(config for _, config in members)
        self.config = self.configs[0] if members else config
        self.count = self.config.seeds

    def number(self, name: str) -> Number:
        """A setting: one number where all members have the same, else (S,)."""
        values = [getattr(config, name) for config in self.configs]
        return np.array(values, np.float64) if len(set(values)) > 1 else getattr(self.config, name)

    def ranked(self, means: Sequence[float], diverged: Sequence[int]) -> list[str]:
        """Lines of a report: the best of the members by their mean returns (S,), with what they differ in."""
        names = [f.name for f in fields(self.config) if len({getattr(config, f.name) for config in self.configs}) > 1]
        order = sorted(set(range(len(means))) - set(diverged), key=lambda member: -means[member])
        lines = []
        for rank, member in enumerate(order[:SHOWN]):
            of = [f"{name} {getattr(self.configs[member], name):g}" for name in names]
            text = ", ".join([f"member {member}", *of, f"seed {self.seeds[member]}"])
            lines.append(f"{'' if rank else 'best':8}{text}: mean return {means[member]:,.1f}")
        if diverged:
            lines.append(f"        diverged: member {', '.join(map(str, diverged))}")
        return lines

    def derive(self, purpose: str) -> MemberSeed:
        """A seed for `purpose`, or one of each member."""
        return tuple(derive(seed, purpose) for seed in self.seeds) if self.seeds else derive(self.seed, purpose)

    def networks(self, build: Callable[[], nn.Module]) -> Seeds:
        """S networks with the initial weights of the seed, or of those of the members."""
        if not self.seeds:
            with initial_weights(self.seed):
                return Seeds(build, self.count)
        seeds = iter(self.seeds)

        def of_member() -> nn.Module:
            with initial_weights(next(seeds)):
                return build()

        return Seeds(of_member, self.count)


def each(number: Number, rows: int) -> Number:
    """One number, or those of each member as one per row, (S,) -> (L,)"""
    return number if isinstance(number, float | int) else number.repeat(rows // len(number))


def linear(start: Number, end: Number, steps: Number, time: int) -> Number:
    """`schedule.linear`, for numbers (S,) too."""
    if not any(isinstance(x, np.ndarray) for x in (start, end, steps)):
        return schedule.linear(start, end, steps, time)  # type: ignore[arg-type]
    return np.where(time >= steps, end, start + (end - start) * time / steps)


def column(number: Number) -> Number:
    """One number, or those of each member for all columns: (S,) -> (S, 1)"""
    return number if isinstance(number, float | int) else number[:, None]


def over(number: Number, x: Tensor) -> float | Tensor:
    """One number, or those of each member to be multiplied with `x` (S, ...): (S,) -> (S, 1, ...)"""
    if isinstance(number, float | int):
        return number
    return torch.as_tensor(number, dtype=x.dtype, device=x.device).view(-1, *[1] * (x.dim() - 1))


def as_metric(number: Number) -> float | Tensor:
    """One number, or a tensor (S,)."""
    return number if isinstance(number, float | int) else torch.from_numpy(number)
