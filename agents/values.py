"""Representations of an action value, each with its Bellman target and its error.

Shapes: `...` leading axes, the first of them S seeds, A actions, K numbers per action.
"""

from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class Value(Protocol):
    """The meaning of the K numbers that a network returns for an action."""

    width: int  # K

    def mean(self, out: Tensor) -> Tensor:
        """Expected return Q(s, a), (..., K) -> (...)"""
        ...

    def distribution(self, out: Tensor) -> dict[str, Tensor]:
        """The distribution of the return as fields of `ActionValues`: (S, ..., K) -> (S, ..., K)."""
        ...

    def target(self, reward: Tensor, discount: Tensor, next_out: Tensor, policy: Tensor) -> Tensor:
        """Bellman target r + γ Σ_a' π(a'|s') Q'(s', a'): (...), (...), (..., A, K), (..., A) -> (..., K)"""
        ...

    def error(self, out: Tensor, target: Tensor) -> Tensor:
        """Loss of a prediction, (..., K), (..., K) -> (...)"""
        ...

    def gradient(self, out: Tensor, target: Tensor) -> Tensor:
        """Derivative of `error` by the prediction, (..., K), (..., K) -> (..., K)"""
        ...

    def priority(self, out: Tensor, target: Tensor) -> Tensor:
        """Priority of a transition in prioritised replay, at least 0: (..., K), (..., K) -> (...)"""
        ...


class Scalar:
    """Q(s, a) itself. Watkins 1989, PhD thesis; Huber loss as in Mnih et al. 2015, doi:10.1038/nature14236."""

    width = 1

    def __init__(self, loss: Literal["huber", "mse"] = "huber") -> None:
        self.loss = F.smooth_l1_loss if loss == "huber" else F.mse_loss

    def mean(self, out: Tensor) -> Tensor:
        """(..., 1) -> (...)"""
        return out.squeeze(-1)

    def distribution(self, out: Tensor) -> dict[str, Tensor]:
        """None: the value is a number."""
        return {}

    def target(self, reward: Tensor, discount: Tensor, next_out: Tensor, policy: Tensor) -> Tensor:
        """y = r + γ Σ_a' π(a'|s') Q'(s', a')"""
        return reward.unsqueeze(-1) + discount.unsqueeze(-1) * (policy.unsqueeze(-1) * next_out).sum(-2)

    def error(self, out: Tensor, target: Tensor) -> Tensor:
        """Huber: δ²/2 where |δ| < 1, else |δ| - 1/2. MSE: δ²."""
        return self.loss(out, target, reduction="none").squeeze(-1)

    def gradient(self, out: Tensor, target: Tensor) -> Tensor:
        """Huber: -δ, clipped to [-1, 1]. MSE: -2 δ."""
        return (out - target).clamp_(-1, 1) if self.loss is F.smooth_l1_loss else 2 * (out - target)

    def priority(self, out: Tensor, target: Tensor) -> Tensor:
        """Absolute TD error |δ|"""
        return (target - out).abs().squeeze(-1)


class Categorical:
    """C51: logits of the probabilities of K returns z_1 < ... < z_K. Bellemare et al. 2017, arXiv:1707.06887.

    The support from `low` to `high` is one pair of numbers, or one pair per seed, tensors (S,).
    """

    def __init__(self, atoms: int, low: float | Tensor, high: float | Tensor) -> None:
        self.width = atoms
        self.place(torch.as_tensor(low), torch.as_tensor(high))

    def place(self, low: Tensor, high: Tensor) -> None:
        """Set the support, () or (S,)."""
        self.low, self.high = low, high
        self.spacing = (high - low) / (self.width - 1)
        if low.ndim:
            ends = zip(low.tolist(), high.tolist(), strict=True)
            self.z = torch.stack([torch.linspace(*pair, self.width) for pair in ends]).to(low.device)  # (S, K)
        else:
            self.z = torch.linspace(low.item(), high.item(), self.width, device=low.device)  # (K,)

    def mean(self, out: Tensor) -> Tensor:
        """Q(s, a) = Σ_i p_i z_i"""
        p = out.softmax(-1)
        return p @ self.z if self.z.ndim == 1 else (p * self._expand(self.z, p)).sum(-1)

    def distribution(self, out: Tensor) -> dict[str, Tensor]:
        """`probabilities` (S, ..., K) of the returns, and the `atoms` (1, 1, K) of the first seed."""
        return {"probabilities": out.softmax(-1), "atoms": self.z.view(-1, 1, self.width)[:1]}

    def target(self, reward: Tensor, discount: Tensor, next_out: Tensor, policy: Tensor) -> Tensor:
        """Probabilities of r + γ z, each shared between its two neighbours among the atoms (algorithm 1)."""
        p = (policy.unsqueeze(-1) * next_out.softmax(-1)).sum(-2)  # Σ_a' π(a'|s') p_i(s', a'), (..., K)
        z, low, spacing = (self._expand(x, p) for x in (self.z, self.low, self.spacing))
        shifted = reward.unsqueeze(-1) + discount.unsqueeze(-1) * z  # (..., K)
        position = (shifted - low).div_(spacing).clamp_(0, self.width - 1)  # clipped to the support
        below = position.floor()
        above = (position - below).mul_(p)  # share of the atom above; 0 where the return coincides with an atom
        index = below.long()
        target = p.new_zeros(*p.shape[:-1], self.width + 1)  # nothing reaches the last of them
        target.scatter_add_(-1, index, p - above).scatter_add_(-1, index.add_(1), above)
        return target[..., :-1]

    def error(self, out: Tensor, target: Tensor) -> Tensor:
        """Cross entropy -Σ_i p_i ln q_i, q the softmax of the logits `out`"""
        return -(target * out.log_softmax(-1)).sum(-1)

    def gradient(self, out: Tensor, target: Tensor) -> Tensor:
        """q_i - p_i for probabilities p whose sum is 1"""
        return out.softmax(-1).sub_(target)

    def priority(self, out: Tensor, target: Tensor) -> Tensor:
        """Kullback-Leibler divergence Σ_i p_i ln(p_i / q_i), as in Hessel et al. 2018, arXiv:1710.02298."""
        return (self.error(out, target) + torch.xlogy(target, target).sum(-1)).clamp(min=0)

    def _expand(self, x: Tensor, like: Tensor) -> Tensor:
        """One support for all seeds as it is; (S,) or (S, K) with the axes between S and K of `like`."""
        if self.low.ndim == 0:
            return x
        return x.reshape(len(x), *[1] * (like.ndim - 2), -1)


class Quantile:
    """QR-DQN: returns at K equally likely quantiles. Dabney et al. 2018, arXiv:1710.10044."""

    def __init__(self, quantiles: int, device: torch.device | None = None) -> None:
        self.width = quantiles
        self.tau = (torch.arange(quantiles, device=device) + 0.5) / quantiles  # midpoints

    def mean(self, out: Tensor) -> Tensor:
        """Q(s, a) = Σ_i θ_i / K"""
        return out.mean(-1)

    def distribution(self, out: Tensor) -> dict[str, Tensor]:
        """`quantiles` θ (S, ..., K) of the return at the levels τ."""
        return {"quantiles": out}

    def target(self, reward: Tensor, discount: Tensor, next_out: Tensor, policy: Tensor) -> Tensor:
        """r + γ Σ_a' π(a'|s') θ_i(s', a'), quantiles averaged as in Vieillard et al. 2020, arXiv:2007.14430."""
        return reward.unsqueeze(-1) + discount.unsqueeze(-1) * (policy.unsqueeze(-1) * next_out).sum(-2)

    def error(self, out: Tensor, target: Tensor) -> Tensor:
        """Quantile Huber loss Σ_i E_j |τ_i - 1{u_ij < 0}| L(u_ij), u_ij = target_j - θ_i (eq. 10, κ = 1)."""
        u, weight = self._pairs(out, target)
        return (weight * F.huber_loss(u, torch.zeros_like(u), reduction="none")).mean(-1).sum(-1)

    def gradient(self, out: Tensor, target: Tensor) -> Tensor:
        """-E_j |τ_i - 1{u_ij < 0}| u_ij, with u_ij clipped to [-1, 1]"""
        u, weight = self._pairs(out, target)
        return -(weight * u.clamp_(-1, 1)).mean(-1)

    def priority(self, out: Tensor, target: Tensor) -> Tensor:
        """|E target - E θ|"""
        return (target.mean(-1) - out.mean(-1)).abs()

    def _pairs(self, out: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """u_ij = target_j - θ_i and |τ_i - 1{u_ij < 0}|, (..., i, j)"""
        u = target.unsqueeze(-2) - out.unsqueeze(-1)
        return u, (self.tau.unsqueeze(-1) - (u.detach() < 0).float()).abs()


def gather(out: Tensor, action: Tensor) -> Tensor:
    """The K numbers of one action each: (..., A, K), (...) -> (..., K)"""
    return out.flatten(0, -2).index_select(0, _rows(out, action)).view(*action.shape, out.shape[-1])


def spread(gradient: Tensor, action: Tensor, out: Tensor) -> Tensor:
    """The gradient of `out` (..., A, K) from that of `gather`: (..., K), (...) -> (..., A, K), 0 for other actions."""
    rows = gradient.new_zeros(action.numel() * out.shape[-2], out.shape[-1])
    return rows.index_copy_(0, _rows(out, action), gradient.reshape(-1, out.shape[-1])).view(out.shape)


def _rows(out: Tensor, action: Tensor) -> Tensor:
    """The row of each action (...) in `out` (..., A, K) as rows of K numbers."""
    first = torch.arange(0, action.numel() * out.shape[-2], out.shape[-2], device=action.device)
    return first + action.flatten()
