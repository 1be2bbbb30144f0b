"""Ways to represent the value of an action, each with its Bellman backup and its error.

Shapes: `...` is any batch of leading axes, A actions, K numbers per action.
"""

from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class Value(Protocol):
    """What an agent must know of the K numbers its network gives for an action."""

    width: int  # K

    def mean(self, out: Tensor) -> Tensor:
        """The expected return, (..., K) -> (...)."""
        ...

    def mix(self, out: Tensor, policy: Tensor) -> Tensor:
        """The value of a state where actions have the probabilities `policy`, (..., A, K), (..., A) -> (..., K)."""
        ...

    def backup(self, reward: Tensor, discount: Tensor, value: Tensor) -> Tensor:
        """The Bellman target r + γ V, where V is what `mix` gave: (...), (...), (..., K) -> (..., K)."""
        ...

    def error(self, out: Tensor, target: Tensor) -> Tensor:
        """How far off a prediction is, the loss to descend: (..., K), (..., K) -> (...)."""
        ...

    def priority(self, out: Tensor, target: Tensor) -> Tensor:
        """What prioritised replay ranks transitions by, (..., K), (..., K) -> (...)."""
        ...


class Scalar:
    """Q(s, a) itself. Watkins 1989, PhD thesis; Huber loss as in Mnih et al. 2015, doi:10.1038/nature14236."""

    width = 1

    def __init__(self, loss: Literal["huber", "mse"] = "huber") -> None:
        self.loss = F.smooth_l1_loss if loss == "huber" else F.mse_loss

    def mean(self, out: Tensor) -> Tensor:
        """(..., 1) -> (...)"""
        return out.squeeze(-1)

    def mix(self, out: Tensor, policy: Tensor) -> Tensor:
        """V(s) = Σ_a π(a|s) Q(s, a)"""
        return (policy.unsqueeze(-1) * out).sum(-2)

    def backup(self, reward: Tensor, discount: Tensor, value: Tensor) -> Tensor:
        """y = r + γ V(s')"""
        return reward.unsqueeze(-1) + discount.unsqueeze(-1) * value

    def error(self, out: Tensor, target: Tensor) -> Tensor:
        """Huber: δ²/2 where |δ| < 1, else |δ| - 1/2. MSE: δ²."""
        return self.loss(out, target, reduction="none").squeeze(-1)

    def priority(self, out: Tensor, target: Tensor) -> Tensor:
        """|δ|"""
        return (target - out).abs().squeeze(-1)


class Categorical:
    """C51: probabilities of K returns z_1 < ... < z_K, as logits. Bellemare et al. 2017, arXiv:1707.06887."""

    def __init__(self, atoms: int, low: float, high: float, device: torch.device | None = None) -> None:
        self.width, self.low, self.high = atoms, low, high
        self.z = torch.linspace(low, high, atoms, device=device)
        self.spacing = (high - low) / (atoms - 1)

    def mean(self, out: Tensor) -> Tensor:
        """Q(s, a) = Σ_i p_i z_i"""
        return out.softmax(-1) @ self.z

    def mix(self, out: Tensor, policy: Tensor) -> Tensor:
        """Probabilities from logits: p_i(s) = Σ_a π(a|s) p_i(s, a)"""
        return (policy.unsqueeze(-1) * out.softmax(-1)).sum(-2)

    def backup(self, reward: Tensor, discount: Tensor, value: Tensor) -> Tensor:
        """The distribution of r + γ z, each mass shared between the two z it falls between (algorithm 1)."""
        moved = (reward.unsqueeze(-1) + discount.unsqueeze(-1) * self.z).clamp(self.low, self.high)  # (..., K)
        place = ((moved - self.low) / self.spacing).clamp(0, self.width - 1)
        below = place.floor()
        share = place - below  # of the z above; 0 where it falls on one
        index = below.long()
        target = torch.zeros_like(moved).scatter_add_(-1, index, value * (1 - share))
        return target.scatter_add_(-1, (index + 1).clamp(max=self.width - 1), value * share)

    def error(self, out: Tensor, target: Tensor) -> Tensor:
        """Cross entropy -Σ_i p_i log q_i of the logits `out`"""
        return -(target * out.log_softmax(-1)).sum(-1)

    def priority(self, out: Tensor, target: Tensor) -> Tensor:
        """Kullback-Leibler divergence Σ_i p_i log(p_i / q_i), as in Hessel et al. 2018, arXiv:1710.02298."""
        return (self.error(out, target) + torch.xlogy(target, target).sum(-1)).clamp(min=0)


class Quantile:
    """QR-DQN: the returns at K equally likely quantiles. Dabney et al. 2018, arXiv:1710.10044."""

    def __init__(self, quantiles: int, device: torch.device | None = None) -> None:
        self.width = quantiles
        self.tau = (torch.arange(quantiles, device=device) + 0.5) / quantiles  # midpoints

    def mean(self, out: Tensor) -> Tensor:
        """Q(s, a) = Σ_i θ_i / K"""
        return out.mean(-1)

    def mix(self, out: Tensor, policy: Tensor) -> Tensor:
        """θ_i(s) = Σ_a π(a|s) θ_i(s, a), as Vieillard et al. 2020, arXiv:2007.14430, mix them."""
        return (policy.unsqueeze(-1) * out).sum(-2)

    def backup(self, reward: Tensor, discount: Tensor, value: Tensor) -> Tensor:
        """r + γ θ_i"""
        return reward.unsqueeze(-1) + discount.unsqueeze(-1) * value

    def error(self, out: Tensor, target: Tensor) -> Tensor:
        """Quantile Huber loss Σ_i E_j |τ_i - 1{u_ij < 0}| L(u_ij), u_ij = target_j - θ_i (eq. 10, κ = 1)."""
        u = target.unsqueeze(-2) - out.unsqueeze(-1)  # (..., i, j)
        weight = (self.tau.unsqueeze(-1) - (u.detach() < 0).float()).abs()
        return (weight * F.huber_loss(u, torch.zeros_like(u), reduction="none")).mean(-1).sum(-1)

    def priority(self, out: Tensor, target: Tensor) -> Tensor:
        """|E target - E θ|"""
        return (target.mean(-1) - out.mean(-1)).abs()


def gather(out: Tensor, action: Tensor) -> Tensor:
    """The K numbers of one action each: (..., A, K), (...) -> (..., K)."""
    index = action[..., None, None].expand(*action.shape, 1, out.shape[-1])
    return out.gather(-2, index).squeeze(-2)
