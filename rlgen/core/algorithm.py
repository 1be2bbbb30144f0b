"""What the training loop asks of an algorithm."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from rlgen.core.errors import Diverged
from rlgen.core.settings import Setup
from rlgen.core.state import State

Metrics = Mapping[str, Tensor | float]  # tensors stay on the device until a line of the log is written


class Algorithm(Protocol):
    """Something that learns one `step` at a time and can be saved between any two."""

    Config: ClassVar[type]  # a frozen dataclass: becomes the options of `rlgen NAME`
    score: ClassVar[str | None]  # the evaluation metric that ranks runs, higher being better; None where no number does
    time: int  # environment steps or images seen so far

    def __init__(self, task: str, config: Any, setup: Setup) -> None: ...
    def step(self) -> Metrics:
        """One gradient step and what must precede it."""
        ...

    def evaluate(self) -> Metrics:
        """Metrics that depend on weights and seed alone; touches no training state."""
        ...

    def state_dict(self) -> State:
        """Everything that changes."""
        ...

    def load_state_dict(self, saved: State) -> None:
        """Continue from what `state_dict` gave."""
        ...

    def parameter_count(self) -> int:
        """How many numbers are trained."""
        ...


def descend(optimizer: torch.optim.Optimizer, loss: Tensor, clip: float = math.inf, seeds: int = 1) -> Tensor:
    """One gradient step down `loss`, the gradient's norm first cut to at most `clip`, for each seed by itself.

    Returns the norm before clipping, shape (seeds,). Raises Diverged, with the weights
    untouched, where the loss or a gradient is not finite. On an accelerator nobody waits
    for that answer: the optimiser skips the step there, and the log raises when it is written.
    """
    weights = [p for group in optimizer.param_groups for p in group["params"]]
    for p in weights:
        p.grad = None
    loss.backward()  # type: ignore[no-untyped-call]
    grads = [p.grad for p in weights if p.grad is not None]
    if seeds == 1:
        norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads))).reshape(1)
    else:  # (S, ...) weights of S networks side by side
        norm = torch.linalg.vector_norm(torch.stack([g.reshape(seeds, -1).norm(dim=1) for g in grads]), dim=0)
    if norm.device.type == "cpu":
        norms = norm.tolist()
        if not all(map(math.isfinite, (loss.item(), *norms))):
            raise Diverged(f"the loss is {loss.item():.3g} and the gradient norm {max(norms):.3g}: try a smaller --lr")
        too_long = max(norms) > clip
    else:
        optimizer.found_inf = (~(norm.sum() + loss.detach()).isfinite()).float()  # type: ignore[attr-defined]  # read by fused optimisers
        optimizer.grad_scale = None  # type: ignore[attr-defined]
        too_long = math.isfinite(clip)  # nobody looks, so it is scaled in any case, by 1 perhaps
    if too_long:
        scale = (clip / (norm + 1e-6)).clamp(max=1.0)
        if seeds == 1:
            torch._foreach_mul_(grads, scale[0])
        else:
            for g in grads:
                g.mul_(scale.view(-1, *[1] * (g.dim() - 1)))
    optimizer.step()
    return norm


def count(*modules: nn.Module) -> int:
    """Trainable numbers in all of `modules`."""
    return sum(p.numel() for module in modules for p in module.parameters() if p.requires_grad)
