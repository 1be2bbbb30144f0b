"""Gradient steps of deep Q-learning in numpy, for multilayer perceptrons with one number per action and without noise.

The mathematics of `DQN.learn`, whose calls of torch cost more than the arithmetic of such networks. Mnih et al. 2015,
doi:10.1038/nature14236; double: van Hasselt et al. 2016, arXiv:1509.06461. Shapes: S seeds, B batch, A actions.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlgen.agents import settings
from rlgen.agents.perceptron import Floats, Perceptron
from rlgen.agents.replay import Batch
from rlgen.core.errors import Diverged
from rlgen.core.optim import Optimization


class Plain:
    """Q-learning towards r + γ max_a' Q'(s', a') or, double, r + γ Q'(s', argmax_a' Q(s', a'))."""

    def __init__(self, config: settings.DQN, online: Perceptron, target: Perceptron, optimizer: Optimization) -> None:
        self.config, self.online, self.target, self.optimizer = config, online, target, optimizer

    @np.errstate(over="ignore", invalid="ignore")  # what is not finite is found in the loss or the gradient
    def descend(self, batches: Batch, time: int) -> tuple[dict[str, Tensor | float], Tensor | None]:
        """A gradient step on each `config.batch` transitions, at `time` in environment steps.

        Returns the metrics (S,) of the last step and, for prioritised replay, all |δ| (S, B). Raises Diverged.
        """
        obs, _, actions, rewards, discounts, next_obs, allowed, weights = (x.numpy() for x in batches[:-1])
        size, errors = self.config.batch, []
        next_q = self.target.forward(next_obs)[..., 0]  # Q'(s', ·)  (S, all, A)
        targets = rewards + discounts * _allowed(next_q, allowed).max(-1)
        for first in range(0, actions.shape[1], size):
            part = slice(None), slice(first, first + size)
            action = actions[part]
            place = np.arange(0, action.size * next_q.shape[-1], next_q.shape[-1]).reshape(action.shape)  # of Q(s, 0)
            taken = place + action
            if self.config.double:
                both = self.online.forward(np.concatenate([obs[part], next_obs[part]], 1))[..., 0]
                q, selector = both[:, : action.shape[1]], _allowed(both[:, action.shape[1] :], allowed[part])
                value = next_q[part].reshape(-1).take(place + selector.argmax(-1))
                target = rewards[part] + discounts[part] * value
            else:
                q, target = self.online.forward(obs[part])[..., 0], targets[part]
            chosen = q.reshape(-1).take(taken)  # Q(s, a)  (S, B)
            error = chosen - target
            each, slope = self.loss(error)
            loss = (weights[part] * each).mean(1)  # (S,)
            gradient = np.zeros_like(q, order="C")  # ∂loss / ∂Q(s, ·)
            gradient.put(taken, weights[part] * slope / action.shape[1])
            self.online.backward(gradient[..., None])
            try:
                norm = self.optimizer.step_along(torch.tensor(loss.sum()), time)["grad_norm"]
            except Diverged:
                self.optimizer.batch = Batch(*(x[part] for x in batches))
                raise
            errors.append(error)
        metrics = {"loss": torch.from_numpy(loss), "q": torch.from_numpy(chosen.mean(1)), "gradient_norm": norm}
        return metrics, torch.from_numpy(np.abs(np.concatenate(errors, 1))) if self.config.alpha else None

    def loss(self, error: Floats) -> tuple[Any, Any]:
        """The loss of δ, and its derivative. Huber: c (δ - c / 2) with c = δ clipped to [-1, 1]; MSE: δ²."""
        if self.config.loss == "mse":
            return np.square(error), 2 * error
        clipped = error.clip(-1, 1)
        return clipped * (error - clipped / 2), clipped


def _allowed(q: Floats, action_mask: NDArray[np.bool_]) -> Floats:
    """Q(s, ·), -inf for actions that are not allowed: (S, B, A), (S, B, A | 1) -> (S, B, A)"""
    return q if action_mask.shape[-1] == 1 else np.where(action_mask, q, np.float32(-np.inf))
