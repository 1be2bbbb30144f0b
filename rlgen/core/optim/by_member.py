"""One update rule for S members with learning rates and largest gradient norms of their own. Shapes: S members.

The step of every rule here is in proportion to the learning rate. So the rule takes its step with the highest rate of
all, and each member goes the share of it that its own rate is: w ← w + lr / lr_max · (w' - w).
"""

import logging
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from rlgen.core.algorithm import Metrics
from rlgen.core.errors import Diverged, UserError
from rlgen.core.optim.settings import OptimizerSettings
from rlgen.core.state import Stateful

log = logging.getLogger("rlgen")


class ByMember(Stateful):
    """Learning rates and clipping of S members; one whose gradient is not finite keeps its weights from then on."""

    state = ("alive",)

    def __init__(self, settings: Sequence[OptimizerSettings], device: torch.device) -> None:
        self.distinct = list(dict.fromkeys(settings))  # many members have the same settings
        place = {each: number for number, each in enumerate(self.distinct)}
        self.index = torch.tensor([place[each] for each in settings], device=device)
        clip = torch.tensor([each.max_grad_norm for each in self.distinct], device=device)
        self.clip = clip[self.index]  # (S,)
        self.alive = torch.ones(len(settings), dtype=torch.bool, device=device)
        rules = {(each.rate, each.schedule, each.lr_end, each.lr_steps, each.warmup, each.peak) for each in settings}
        first = self.distinct[0]
        if first.optimizer in ("momentum", "nesterov") and len(rules) > 1 and (first.schedule, first.warmup) != (
            "constant", 0,
        ):  # fmt: skip
            raise UserError(
                f"--optimizer {first.optimizer} has its learning rate in the velocity: members with other rates need"
                " --schedule constant and no --warmup"
            )

    def limit(self, grads: Sequence[Tensor], time: int) -> Tensor:
        """Clip the gradients (S, ...) of each member; its norm before, (S,), 0 of one that has diverged.

        Raises Diverged where all have.
        """
        norm: Tensor = torch.linalg.vector_norm(torch.stack([g.reshape(len(g), -1).norm(dim=1) for g in grads]), dim=0)
        alive = self.alive & norm.isfinite()
        scale = (self.clip / (norm + 1e-6)).clamp(max=1.0)
        if norm.device.type != "cpu":  # without a question to the device
            self.alive = alive
            for g in grads:
                g.masked_fill_(~_over(alive, g), 0).mul_(_over(scale, g))
            masked: Tensor = norm.masked_fill(~alive, 0)
            return masked
        if not torch.equal(alive, self.alive):
            self._announce(alive, time)
            self.alive = alive
        if not alive.all():
            for g in grads:
                g.masked_fill_(~_over(alive, g), 0)
            norm, scale = norm.masked_fill(~alive, 0), scale.masked_fill(~alive, 1)
        if (scale < 1).any():
            for g in grads:
                g.mul_(_over(scale, g))
        return norm

    def step(self, step: Callable[[], object], weights: Sequence[Tensor], rates: Sequence[float]) -> None:
        """Take the `step` of a rule at the highest of these `rates`, one of each of `distinct`, for every member."""
        highest = max(rates)
        shares = [rate / highest if highest else 0.0 for rate in rates]
        share = torch.tensor(shares, device=self.alive.device)[self.index] * self.alive
        if share.device.type == "cpu" and bool((share == 1).all()):
            step()
            return
        with torch.no_grad():
            before = [weight.clone() for weight in weights]
            step()
            for weight, start in zip(weights, before, strict=True):
                torch.lerp(start, weight, _over(share, weight).to(weight.dtype), out=weight)

    def totals(self, metrics: Mapping[str, Tensor | float]) -> Metrics:
        """Each metric (S,) and its counts, 1 or 0 for a member that has diverged, (2, S)."""
        pairs = ((name, torch.as_tensor(x)) for name, x in metrics.items())
        return {name: torch.stack([x.where(self.alive, 0), self.alive.to(x.dtype)]) for name, x in pairs}

    @property
    def diverged(self) -> list[int]:
        """Numbers of the members that have diverged."""
        return [member for member, alive in enumerate(self.alive.tolist()) if not alive]

    def _announce(self, alive: Tensor, time: int) -> None:
        """Warn of members that diverge now. Raises Diverged where none is left."""
        new = (self.alive & ~alive).nonzero().flatten().tolist()
        if not alive.any():
            message = f"at {time:,} all {len(alive)} members have diverged: try a smaller --lr"
            raise Diverged(message, seeds=new)
        which = f"member {new[0]}" if len(new) == 1 else f"members {', '.join(map(str, new))}"
        log.warning(f"at {time:,} the gradient of {which} is not finite: no further gradient step of it is taken")


def _over(x: Tensor, like: Tensor) -> Tensor:
    """(S,) -> (S, 1, ...)"""
    return x.view(-1, *[1] * (like.dim() - 1))
