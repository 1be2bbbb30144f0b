"""The inputs of a policy, and actions from values. Shapes: S seeds, N environments, L = S * N, B batch, A actions."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlgen.core.seeds import Streams

RecurrentState = NDArray[np.float32] | None  # (L, M) of a recurrent network; None for any other


class ActorInput(NamedTuple):
    """Everything that an action depends on, one row per environment."""

    obs: NDArray[Any]  # (L, *observation)
    action_mask: NDArray[np.bool_]  # (L, A), or (L, 1) True where every action is allowed
    recurrent_state: RecurrentState  # before this observation
    is_first: NDArray[np.bool_]  # (L,) first observation of an episode


def greedy_action(q: NDArray[np.float32], action_mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The allowed action of the highest value in each row: (L, A), (L, A | 1) -> (L,)"""
    if action_mask.shape[1] > 1:
        q = np.where(action_mask, q, -np.inf)
    return np.asarray(q.argmax(-1))


def random_action(
    rng: np.random.Generator | Streams, action_mask: NDArray[np.bool_], num_actions: int
) -> NDArray[np.int64]:
    """An allowed action in each row, each with the same probability: (L, A | 1) -> (L,)"""
    if action_mask.shape[1] == 1:
        return rng.integers(num_actions, size=len(action_mask))
    return np.asarray((rng.random(action_mask.shape) * action_mask).argmax(-1))


def greedy_policy(q: Tensor, action_mask: Tensor) -> Tensor:
    """π(a|s) = 1 for the allowed action of the highest value, else 0: (..., A), (..., A | 1) -> (..., A)"""
    if action_mask.shape[-1] > 1:
        q = q.masked_fill(~action_mask, -torch.inf)
    return torch.zeros_like(q).scatter_(-1, q.argmax(-1, keepdim=True), 1.0)


def softmax_policy(q: Tensor, action_mask: Tensor, temperature: float, log: bool = False) -> Tensor:
    """π(a|s) = softmax(Q / τ) over allowed actions, or ln π(a|s): (..., A), (..., A | 1) -> (..., A)"""
    logits = q.masked_fill(~action_mask, -torch.inf) / temperature
    return logits.log_softmax(-1) if log else logits.softmax(-1)
