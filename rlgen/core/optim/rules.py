"""Update rules: torch's fused ones where they are the rules of the papers, and momentum as the papers have it.

Momentum: Polyak 1964. Nesterov's momentum: Sutskever et al. 2013. AdaGrad: Duchi et al. 2011. RMSProp: Hinton 2012,
without bias correction. Adam: Kingma & Ba 2015, arXiv:1412.6980. AdamW: Loshchilov & Hutter 2019, arXiv:1711.05101.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch

from rlgen.core.optim import eager
from rlgen.core.optim.adam import Adam
from rlgen.core.optim.flat import Flat
from rlgen.core.optim.settings import OptimizerSettings

BETA2 = {"adam": 0.999, "adamw": 0.999, "rmsprop": 0.99}  # where none is given
Groups = Iterable[Any]


class Momentum(eager.Eager):
    """v ← μ v - lr g, w ← w + v; with `nesterov` w ← w + μ v - lr g for the new v.

    The learning rate is inside the velocity, so that a lower one takes effect gradually. Torch's SGD has it outside:
    the same as long as the learning rate is constant.
    """

    def __init__(self, params: Groups, lr: float, momentum: float, nesterov: bool, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update; the weight decay of a group is a part of its gradient."""
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if not weights:
                continue
            for p in weights:
                if p not in self.state:
                    self.state[p]["velocity"] = torch.zeros_like(p, memory_format=torch.preserve_format)
            velocities = [self.state[p]["velocity"] for p in weights]
            grads = [p.grad for p in weights]
            if group["weight_decay"]:
                grads = list(torch._foreach_add(grads, weights, alpha=group["weight_decay"]))
            torch._foreach_mul_(velocities, group["momentum"])
            torch._foreach_add_(velocities, grads, alpha=-group["lr"])
            if group["nesterov"]:
                torch._foreach_add_(weights, velocities, alpha=group["momentum"])
                torch._foreach_add_(weights, grads, alpha=-group["lr"])
            else:
                torch._foreach_add_(weights, velocities)


def first_order(
    settings: OptimizerSettings, groups: Groups, device: str, flat: Flat | None = None
) -> torch.optim.Optimizer | Adam:
    """The update rule for parameter groups, each with its L2 or, for AdamW, decoupled "weight_decay".

    `flat` are the weights of a single group without penalties, for adam and adamw.
    """
    rule, lr, eps = settings.optimizer, settings.rate, settings.optimizer_eps
    beta2 = BETA2.get(rule, 0.0) if settings.beta2 is None else settings.beta2
    if rule in ("momentum", "nesterov"):
        return Momentum(groups, lr, settings.momentum, rule == "nesterov")
    if rule in ("adam", "adamw"):
        return Adam(groups, lr, (settings.beta1, beta2), eps, settings.decay_is_decoupled, flat)
    if rule == "rmsprop":
        return eager.RMSprop(groups, lr, beta2, eps, foreach=True)
    if rule == "adagrad":
        fast: dict[str, bool] = {"fused": True} if device == "cpu" else {"foreach": True}
        return eager.Adagrad(groups, lr, eps=eps, **fast)
    return eager.SGD(groups, lr, fused=True)
