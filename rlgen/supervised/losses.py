"""Losses of a classifier, per image.

Multiclass hinge: Weston & Watkins 1999, ESANN. One against the rest: Rifkin & Klautau 2004, JMLR 5. Label smoothing:
Szegedy et al. 2016, arXiv:1512.00567.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]  # logits (..., K) and labels (...) -> losses (...)


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """-Σ_k q_k log softmax(s)_k with q = (1 - ε) one-hot + ε / K, in nats; (..., K), (...) -> (...)."""
    losses = F.cross_entropy(logits.flatten(0, -2), labels.flatten(), reduction="none", label_smoothing=smoothing)
    return losses.view(labels.shape)


def hinge(logits: Tensor, labels: Tensor, margin: float = 1.0) -> Tensor:
    """Σ_{k ≠ y} max(0, s_k - s_y + margin), of a multiclass support vector machine; (..., K), (...) -> (...)."""
    right = logits.gather(-1, labels.unsqueeze(-1))
    return (logits - right + margin).clamp(min=0).sum(-1) - margin  # the term of k = y is the margin


def one_against_rest(logits: Tensor, labels: Tensor) -> Tensor:
    """Σ_k max(0, 1 - t_k s_k)² with t_k = 1 for the label and -1 for the rest; (..., K), (...) -> (...)."""
    target = 2.0 * F.one_hot(labels, logits.shape[-1]).to(logits.dtype) - 1
    return (1 - target * logits).clamp(min=0).square().sum(-1)


def loss(name: str, smoothing: float = 0.0) -> Loss:
    """The loss called `name`: softmax (cross entropy), svm (hinge) or ova (one against the rest)."""
    if name == "softmax":
        return lambda logits, labels: cross_entropy(logits, labels, smoothing)
    return hinge if name == "svm" else one_against_rest


def mixed(loss: Loss, scores: Tensor, labels: Tensor, other: tuple[Tensor, Tensor] | None) -> Tensor:
    """The `loss` (S, B) of scores (S, B, K) for labels (S, B); of mixed images by both labels and a share."""
    losses = loss(scores, labels)
    if other is None:
        return losses
    others, share = other
    return (1 - share) * losses + share * loss(scores, others)


def untrained(name: str, classes: int) -> float:
    """The loss of equal scores for all K classes: ln K, K - 1 or K."""
    zeros = torch.zeros(1, classes)
    return loss(name)(zeros, torch.zeros(1, dtype=torch.long)).item()
