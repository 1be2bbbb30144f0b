"""Rules that use the curvature of the loss of the whole training set: L-BFGS and Newton's method.

L-BFGS with the strong Wolfe conditions: Nocedal & Wright 2006, Numerical Optimization, algorithms 3.5 and 7.4. Newton's
method by conjugate gradients on products with the Hessian: algorithm 7.1 there; Pearlmutter 1994; Martens 2010.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.optim.lbfgs import _strong_wolfe

from rlgen.core.algorithm import not_finite
from rlgen.core.state import Stateful

HISTORY = 20  # pairs of steps and changes of the gradient that L-BFGS keeps
SMALLEST_GRADIENT, SMALLEST_CHANGE = 1e-7, 1e-9  # below them L-BFGS has converged
RESIDUAL = 1e-6  # of conjugate gradients, relative to the gradient
MAX_PRODUCTS = 250  # products with the Hessian per step of Newton's method
DECREASE = 1e-4  # least decrease of the loss, relative to the slope times the step (Armijo)
HALVINGS = 30  # of Newton's step before the minimum counts as found


class Objective:
    """Loss, gradient (n,) and curvature of the weights as one vector (n,): the sum of chunks and λ/2 |w|²."""

    def __init__(self, weights: Sequence[nn.Parameter], chunks: Sequence[Callable[[], Tensor]], decay: Tensor) -> None:
        self.weights, self.chunks = weights, chunks
        self.decay = decay  # λ of each number, (n,)
        self.evaluations = 0

    def vector(self) -> Tensor:
        """The weights (n,)."""
        return torch.cat([weight.detach().flatten() for weight in self.weights])

    @torch.no_grad()
    def move(self, vector: Tensor) -> None:
        """Set the weights to `vector` (n,)."""
        sizes = [weight.numel() for weight in self.weights]
        for weight, part in zip(self.weights, torch.split(vector, sizes), strict=True):
            weight.copy_(part.view_as(weight))

    def evaluate(self) -> tuple[float, Tensor]:
        """The loss, infinite where it is not a number, and its gradient (n,)."""
        self.evaluations += 1
        w = self.vector()
        total, gradient = float((self.decay * w * w).sum() / 2), self.decay * w
        for chunk in self.chunks:
            loss = chunk()
            total += loss.item()
            gradient += self._flat(torch.autograd.grad(loss, self.weights, allow_unused=True))
        return (total if math.isfinite(total) else math.inf), gradient

    def product(self, v: Tensor) -> Tensor:
        """The Hessian times v (n,), by a second differentiation."""
        self.evaluations += 1
        product = self.decay * v
        for chunk in self.chunks:
            slopes = torch.autograd.grad(chunk(), self.weights, create_graph=True, allow_unused=True)
            product += self._flat(torch.autograd.grad(self._flat(slopes) @ v, self.weights, allow_unused=True))
        return product

    def _flat(self, tensors: Sequence[Tensor | None]) -> Tensor:
        pairs = zip(tensors, self.weights, strict=True)
        return torch.cat([torch.zeros_like(w).flatten() if t is None else t.flatten() for t, w in pairs])


class LBFGS(Stateful):
    """One iteration per step; the loss and gradient of its end begin the next, so that stops change nothing."""

    state = ("loss", "gradient", "steps", "changes", "converged")

    def __init__(self) -> None:
        self.loss = 0.0
        self.gradient: Tensor | None = None  # (n,) at the current weights
        self.steps: list[Tensor] = []  # s (n,) of the last iterations
        self.changes: list[Tensor] = []  # y (n,): how the gradient changed
        self.converged = False

    def step(self, objective: Objective) -> tuple[float, Tensor]:
        """Length of the step and gradient norm before it. Raises Diverged, the weights unchanged, where not finite."""
        if self.gradient is None or self.converged:
            self.loss, self.gradient = objective.evaluate()
        g = self.gradient = self.gradient.to(objective.decay.device)
        norm = _finite(self.loss, g)
        d = -self._inverse_times(g)
        slope = g @ d
        if self.converged or slope > -SMALLEST_CHANGE:
            self.converged = True
            return 0.0, norm
        start = objective.vector()

        def along(x: Tensor, t: float, d: Tensor) -> tuple[float, Tensor]:
            objective.move(x + t * d)
            return objective.evaluate()

        first = 1.0 if self.steps else min(1.0, 1.0 / g.abs().sum().item())
        loss, gradient, t, _ = _strong_wolfe(along, start, first, d, self.loss, g, slope)  # type: ignore[no-untyped-call]
        step = float(t) * d
        if not (math.isfinite(loss) and gradient.isfinite().all()):
            objective.move(start)
            raise not_finite(float(loss), [gradient.norm().item()], "lbfgs found no step, try --optimizer adam")
        objective.move(start + step)
        change = gradient - g
        if change @ step > 1e-10:
            self.steps, self.changes = [*self.steps, step][-HISTORY:], [*self.changes, change][-HISTORY:]
        small = gradient.abs().max() <= SMALLEST_GRADIENT or step.abs().max() <= SMALLEST_CHANGE
        self.converged = bool(small) or abs(loss - self.loss) < SMALLEST_CHANGE
        self.loss, self.gradient = float(loss), gradient
        return float(t), norm

    def _inverse_times(self, g: Tensor) -> Tensor:
        """The approximate inverse Hessian times g (n,), by the two-loop recursion."""
        q: Tensor = g.clone()
        weights: list[Tensor] = []
        pairs = [(s.to(g.device), y.to(g.device)) for s, y in zip(self.steps, self.changes, strict=True)]
        for s, y in reversed(pairs):
            weights.append((s @ q) / (y @ s))
            q -= weights[-1] * y
        if pairs:
            s, y = pairs[-1]
            q *= (s @ y) / (y @ y)
        for (s, y), weight in zip(pairs, reversed(weights), strict=True):
            q += (weight - (y @ q) / (y @ s)) * s
        return q


class Newton(Stateful):
    """w ← w - t (H + damping I)⁻¹ g, with the largest step t = 1, 1/2, ... that lowers the loss enough."""

    state = ("converged",)

    def __init__(self, damping: float) -> None:
        self.damping = damping
        self.converged = False

    def step(self, objective: Objective) -> tuple[float, Tensor]:
        """Length of the step and gradient norm before it. Raises Diverged, the weights unchanged, where not finite."""
        loss, g = objective.evaluate()
        norm = _finite(loss, g)
        if self.converged or not norm.item():
            self.converged = True
            return 0.0, norm
        d = self._direction(objective, g)
        start, slope, t = objective.vector(), (g @ d).item(), 1.0
        self.converged = -slope <= torch.finfo(g.dtype).eps * max(1.0, abs(loss))  # the decrease is lost in rounding
        for _ in range(HALVINGS):
            objective.move(start + t * d)
            if objective.evaluate()[0] <= loss + DECREASE * t * slope:
                return t, norm
            t /= 2
        objective.move(start)
        self.converged = True
        return 0.0, norm

    def _direction(self, objective: Objective, g: Tensor) -> Tensor:
        """-(H + damping I)⁻¹ g by conjugate gradients, up to the first direction of negative curvature."""
        x, r, p = torch.zeros_like(g), g.clone(), -g
        for _ in range(min(2 * len(g) + 10, MAX_PRODUCTS)):  # rounding delays the end beyond len(g)
            hp = objective.product(p) + self.damping * p
            curvature, squared = p @ hp, r @ r
            if curvature <= 0:
                break
            x += squared / curvature * p
            r += squared / curvature * hp
            if r.norm() <= RESIDUAL * g.norm():
                break
            p = -r + (r @ r) / squared * p
        return x if bool(x.any()) else g.neg()


def _finite(loss: float, gradient: Tensor) -> Tensor:
    """The norm of the gradient. Raises Diverged where it or the loss is not finite."""
    norm: Tensor = torch.linalg.vector_norm(gradient)
    if not (math.isfinite(loss) and norm.isfinite()):
        raise not_finite(loss, [norm.item()], "the training cannot go on from these weights")
    return norm
