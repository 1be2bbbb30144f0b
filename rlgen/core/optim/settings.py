"""Settings of gradient descent: update rule, learning rate and its schedule, penalties, clipping. Imports no torch."""

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat
from pydantic.dataclasses import dataclass

from rlgen.core.settings import Amount, Count, Duration, Rate, Width

Rule = Literal["gd", "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw", "lbfgs", "newton"]
Schedule = Literal["constant", "step", "cosine", "linear", "exponential", "one-cycle", "plateau"]
Decay = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
USUAL = {  # learning rate where none is given
    "gd": 0.1, "sgd": 0.1, "momentum": 0.01, "nesterov": 0.01, "adagrad": 0.01, "rmsprop": 1e-3, "adam": 1e-3,
    "adamw": 1e-3, "lbfgs": 1.0, "newton": 1.0,
}  # fmt: skip
FULL_BATCH = ("gd", "lbfgs", "newton")
SECOND_ORDER = ("lbfgs", "newton")
ADAPTIVE = ("adagrad", "rmsprop", "adam", "adamw")  # divide by the root of a mean or sum of squared gradients


def shares(text: str) -> tuple[float, ...]:
    """The numbers in a text such as `0.5,0.75`, each between 0 and 1, rising. Raises ValueError for anything else."""
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(0 < share < 1 for share in found) or sorted(set(found)) != list(found):
        raise ValueError("must be rising shares between 0 and 1, such as 0.5,0.75")
    return found


def _checked(text: str) -> str:
    shares(text)
    return text


@dataclass(frozen=True)
class OptimizerSettings:
    """Settings of every algorithm with gradients."""

    # Learning
    optimizer: Rule = "adam"  # update rule; gd, lbfgs and newton take the whole training set at each step
    lr: Rate | None = None  # learning rate; none: the usual one of the optimizer, 0.001 for adam
    momentum: Decay = 0.9  # share of the velocity kept per gradient step, of momentum and nesterov
    beta1: Decay = 0.9  # decay of Adam's mean gradient per gradient step
    beta2: Decay | None = None  # decay of the mean squared gradient per step; none: 0.999 for adam, 0.99 for rmsprop
    optimizer_eps: Rate = 1e-8  # added to the root of the squared gradients, of adagrad, rmsprop, adam and adamw
    damping: NonNegativeFloat = 0.0  # added to the diagonal of newton's Hessian
    weight_decay: NonNegativeFloat = 0.0  # weight λ of the penalty λ/2 |w|² of matrices and kernels, not of 1-d weights
    decoupled: bool | None = None  # weight decay apart from the gradient, w - lr λ w; none: with adamw; off: L2
    l1: NonNegativeFloat = 0.0  # weight of the penalty |w| of matrices and kernels, not of 1-d weights
    bias_lr: Rate = 1.0  # learning rate of biases and of norms, as a multiple of that of matrices and kernels
    max_grad_norm: PositiveFloat = math.inf  # maximum norm of the gradient, by clipping; inf: no clipping
    accumulate: Width = 1  # minibatches per gradient step, their gradients averaged
    # Schedule
    schedule: Schedule = "constant"  # course of the learning rate
    warmup: Amount = 0  # gradient steps over which the learning rate rises to its full value
    lr_end: NonNegativeFloat | None = None  # learning rate at the end of the schedule; none: a hundredth of the first
    lr_steps: Duration = 100_000  # length of the schedule, in environment steps or images
    peak: Share = 0.3  # share of the schedule after which one-cycle is at its maximum, the learning rate
    milestones: Annotated[str, AfterValidator(_checked)] = "0.5,0.75"  # shares of the schedule with a drop, of step
    lr_factor: Share = 0.1  # factor of the learning rate at each drop, of step and plateau
    lr_patience: Count = 3  # evaluations without a better score before plateau lowers the learning rate

    def __post_init__(self) -> None:
        if self.optimizer in SECOND_ORDER and self.l1:
            raise ValueError(f"--l1 {self.l1:g}: |w| has no second derivative for {self.optimizer}: take adam or sgd")
        if self.optimizer in SECOND_ORDER and self.decoupled:
            raise ValueError(f"--decoupled: {self.optimizer} minimises the penalised loss: leave it out")
        if self.optimizer == "adamw" and self.decoupled is False:
            raise ValueError("--no-decoupled: adamw is Adam with decoupled weight decay: take --optimizer adam")
        if self.schedule == "exponential" and self.lr_end == 0:
            raise ValueError("--lr-end 0: an exponential schedule never arrives at 0: give a positive rate")

    @property
    def rate(self) -> float:
        """The learning rate, or the usual one of the optimizer where none is given."""
        return USUAL[self.optimizer] if self.lr is None else self.lr

    @property
    def full_batch(self) -> bool:
        """Whether each gradient step takes the whole training set."""
        return self.optimizer in FULL_BATCH

    @property
    def decay_is_decoupled(self) -> bool:
        """Whether weight decay is w ← w - lr λ w beside the step (AdamW), not a part of the gradient (L2)."""
        return self.optimizer == "adamw" if self.decoupled is None else self.decoupled

    def unused(self) -> dict[str, str]:
        """Options without an effect beside the others, and the reason."""
        rule, schedule = self.optimizer, self.schedule
        second = rule in SECOND_ORDER
        step = f"{rule} finds the length of its steps itself"
        ends = schedule in ("cosine", "linear", "exponential", "one-cycle")
        table = (
            ("lr", second, step),
            ("schedule", second, step),
            ("warmup", second, step),
            ("bias_lr", second, step),
            ("max_grad_norm", second, step),
            ("momentum", rule not in ("momentum", "nesterov"), "it belongs to --optimizer momentum and nesterov"),
            ("beta1", rule not in ("adam", "adamw"), "it belongs to --optimizer adam and adamw"),
            ("beta2", rule not in ("adam", "adamw", "rmsprop"), "it belongs to --optimizer adam, adamw and rmsprop"),
            ("optimizer_eps", rule not in ADAPTIVE, f"it belongs to --optimizer {', '.join(ADAPTIVE)}"),
            ("damping", rule != "newton", "it belongs to --optimizer newton"),
            ("decoupled", not self.weight_decay, "it belongs to --weight-decay, such as 0.01"),
            ("accumulate", self.full_batch, f"--optimizer {rule} takes the whole training set at each step"),
            ("lr_end", not ends, "it belongs to --schedule linear, cosine, exponential and one-cycle"),
            ("lr_steps", not ends and schedule != "step", "it belongs to a --schedule, such as linear"),
            ("peak", schedule != "one-cycle", "it belongs to --schedule one-cycle"),
            ("milestones", schedule != "step", "it belongs to --schedule step"),
            ("lr_factor", schedule not in ("step", "plateau"), "it belongs to --schedule step and plateau"),
            ("lr_patience", schedule != "plateau", "it belongs to --schedule plateau"),
        )
        return {name: why for name, idle, why in table if idle}
