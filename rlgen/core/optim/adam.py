"""Adam and AdamW, one call of torch's kernel for all weights.

Kingma & Ba 2015, arXiv:1412.6980; Loshchilov & Hutter 2019, arXiv:1711.05101. The state is that of torch.optim.Adam,
which imports the compiler of torch, a second at every start, and checks small networks longer than it computes.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from rlgen.core.optim.flat import Flat

State = dict[str, Tensor]  # of a weight: "step" and `MOMENTS`
MOMENTS = ("exp_avg", "exp_avg_sq")  # m and v, running means of the gradient and of its square


class Adam:
    """m ← β₁ m + (1 - β₁) g, v ← β₂ v + (1 - β₂) g², w ← w - lr m̂ / (√v̂ + ε), m̂ and v̂ corrected for their start at 0.

    Groups are dicts of "params" and "weight_decay": L2 or, with `decoupled`, AdamW's. A weight without a gradient stays
    as it is. With `flat`, the weights of the one group, weights and gradients are those of its buffers.
    """

    def __init__(
        self, groups: Iterable[dict[str, Any]], lr: float, betas: tuple[float, float], eps: float,
        decoupled: bool = False, flat: Flat | None = None,
    ) -> None:  # fmt: skip
        self.defaults: dict[str, Any] = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0.0, "fused": True}
        self.param_groups = [{**self.defaults, **group} for group in groups]
        self.state: dict[Tensor, State] = {}  # of each weight from its first gradient on
        self.flat = flat
        self.whole: State = {}  # of `flat`, whose parts are in `state`
        self.found_inf: Tensor | None = None  # on an accelerator: 1.0 where the step is to be skipped
        self.kernel = torch._fused_adamw_ if decoupled else torch._fused_adam_

    @torch.no_grad()
    def step(self) -> None:
        """One update of all weights."""
        for group in self.param_groups:
            if self.flat is not None:
                weights, gradients = [self.flat.weights], [self.flat.gradients]
                states = [self.whole or self._start_whole(self.flat)]
            else:
                weights = [weight for weight in group["params"] if weight.grad is not None]
                gradients = [weight.grad for weight in weights]  # type: ignore[misc]
                states = [self.state.get(weight) or self._start(weight) for weight in weights]
            if not weights:
                continue
            steps, mean, square = ([state[name] for state in states] for name in ("step", *MOMENTS))
            torch._foreach_add_(steps, 1)
            self.kernel(
                weights, gradients, mean, square, [], steps, lr=group["lr"], beta1=group["betas"][0],
                beta2=group["betas"][1], weight_decay=group["weight_decay"], eps=group["eps"], amsgrad=False,
                maximize=False, found_inf=self.found_inf,
            )  # fmt: skip
            if self.found_inf is not None:
                torch._foreach_sub_(steps, [self.found_inf] * len(steps))

    def state_dict(self) -> dict[str, Any]:
        """The state in the form of torch.optim.Adam, each weight by its number."""
        weights = [weight for group in self.param_groups for weight in group["params"]]
        number = {weight: i for i, weight in enumerate(weights)}
        groups = [{**group, "params": [number[weight] for weight in group["params"]]} for group in self.param_groups]
        state = {number[weight]: {**own, "step": own["step"].clone()} for weight, own in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Restore the result of `state_dict`, or that of torch.optim.Adam.

        Raises ValueError where the weights are others, KeyError where a part of their state is missing.
        """
        groups = saved["param_groups"]
        if [len(group["params"]) for group in groups] != [len(group["params"]) for group in self.param_groups]:
            raise ValueError("the checkpoint holds the state of Adam for other weights")
        self.state, self.whole = {}, {}
        for own, given in zip(self.param_groups, groups, strict=True):
            own.update({name: value for name, value in given.items() if name != "params"})
            for weight, number in zip(own["params"], given["params"], strict=True):
                if number in saved["state"]:
                    self._restore(weight, saved["state"][number])

    def _restore(self, weight: Tensor, saved: State) -> None:
        if self.flat is not None and not self.whole:
            self._start_whole(self.flat)
        own = self.state.get(weight) or self._start(weight)
        for name, value in own.items():
            if saved[name].shape != value.shape:
                raise ValueError(f"{name} of Adam has the shape {tuple(saved[name].shape)}, not {tuple(value.shape)}")
            value.copy_(saved[name])

    def _start(self, weight: Tensor) -> State:
        """The state of a weight before its first gradient."""
        step = torch.zeros((), device=weight.device)
        self.state[weight] = {"step": step, **{name: torch.zeros_like(weight.detach()) for name in MOMENTS}}
        return self.state[weight]

    def _start_whole(self, flat: Flat) -> State:
        """The state of all weights of `flat` before their first gradient."""
        self.whole = {"step": torch.zeros((), device=flat.weights.device)}
        self.whole |= {name: torch.zeros_like(flat.weights) for name in MOMENTS}
        parts = zip(*(flat.views(self.whole[name]) for name in MOMENTS), strict=True)
        for weight, moments in zip(flat.parameters, parts, strict=True):
            self.state[weight] = {"step": self.whole["step"], **dict(zip(MOMENTS, moments, strict=True))}
        return self.whole
