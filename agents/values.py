"""Ways to represent the value of an action, each with its Bellman backup and its error.

Shapes: `...` is any batch of leading axes, A actions, K numbers per action.
"""

from typing import Literal, Protocol

import torch.nn.functional as F
from torch import Tensor


class Value(Protocol):
    """What an agent must know of the K numbers its network gives for an action."""

    width: int  # K

    def mean(self, out: Tensor) -> Tensor:
        """The expected return, (..., K) -> (...)."""
        ...

    def backup(self, reward: Tensor, discount: Tensor, out: Tensor) -> Tensor:
        """The Bellman target, (...), (...), (..., K) -> (..., K)."""
        ...

    def error(self, out: Tensor, target: Tensor) -> Tensor:
        """How far off a prediction is, (..., K), (..., K) -> (...)."""
        ...


class Scalar:
    """Q(s, a) itself. Watkins 1989, PhD thesis; Huber loss as in Mnih et al. 2015, doi:10.1038/nature14236."""

    width = 1

    def __init__(self, loss: Literal["huber", "mse"] = "huber") -> None:
        self.loss = F.smooth_l1_loss if loss == "huber" else F.mse_loss

    def mean(self, out: Tensor) -> Tensor:
        """(..., 1) -> (...)"""
        return out.squeeze(-1)

    def backup(self, reward: Tensor, discount: Tensor, out: Tensor) -> Tensor:
        """y = r + γ Q(s', a')"""
        return (reward + discount * out.squeeze(-1)).unsqueeze(-1)

    def error(self, out: Tensor, target: Tensor) -> Tensor:
        """Huber: δ²/2 where |δ| < 1, else |δ| - 1/2. MSE: δ²."""
        return self.loss(out, target, reduction="none").squeeze(-1)


def take(out: Tensor, action: Tensor) -> Tensor:
    """The K numbers of one action each: (..., A, K), (...) -> (..., K)."""
    return out.take_along_dim(action[..., None, None], -2).squeeze(-2)
