"""Gradient descent on the weights of modules: one update per call, with schedule, penalties, clipping, accumulation."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rlgen.core import processes
from rlgen.core.algorithm import Metrics, limit_gradients
from rlgen.core.errors import UserError
from rlgen.core.optim.by_member import ByMember
from rlgen.core.optim.flat import flat
from rlgen.core.optim.rules import first_order
from rlgen.core.optim.schedules import Plateau, learning_rate, warmup
from rlgen.core.optim.second_order import LBFGS, Newton, Objective
from rlgen.core.optim.settings import SECOND_ORDER, OptimizerSettings
from rlgen.core.state import State, Stateful

Loss = Callable[[], Tensor]
MAX_WEIGHTS = 200_000  # of newton: each step takes hundreds of passes over the training set


class Optimization(Stateful):
    """The optimiser of one loss. With `seeds` S > 1 the weights are stacks (S, ...) and the loss a sum over S.

    A loss is a closure that returns a scalar; the loss of a large batch may be a sequence of closures, of chunks, whose
    sum is the loss: gradients are summed chunk by chunk, in the memory of one. Minibatch rules take the loss of a
    minibatch, those with `full_batch` the loss of the whole training set.
    """

    state = ("rule", "steps", "accumulated", "gradients", "drops")

    def __init__(
        self, settings: OptimizerSettings, modules: nn.Module | Iterable[nn.Module], budget: int | None = None,
        seeds: int = 1, members: Sequence[OptimizerSettings] = (),
    ) -> None:  # fmt: skip
        """The schedule is over `budget` environment steps or images; none: `settings.lr_steps`.

        `members` are the settings of each of S members where they have their own.
        """
        self.settings, self.seeds = settings, seeds
        self.budget = budget
        self.modules = [modules] if isinstance(modules, nn.Module) else list(modules)
        self.weights = [weight for module in self.modules for weight in module.parameters()]
        if not self.weights:
            raise UserError("a network without weights cannot be trained")
        self.by_member = ByMember(members, self.weights[0].device) if len(members) > 1 else None
        self.decayed, others = self._split()
        plain = not (settings.weight_decay or settings.l1 or settings.bias_lr != 1 or settings.accumulate > 1)
        self.flat = flat(self.weights, seeds) if plain and settings.optimizer in ("adam", "adamw") else None
        self.rule: Any = self._rule(others)  # Adam, a torch.optim.Optimizer, LBFGS or Newton
        self.steps = 0  # gradient steps
        self.accumulated = 0  # minibatches since the last gradient step
        self.gradients: list[Tensor | None] = []  # sums over these minibatches, in a state between gradient steps
        self.drops = Plateau(settings.lr_factor, settings.lr_patience)
        self.evaluations = 0  # of the loss, in the last step
        self.fixed_rate: float | None = None  # learning rate in place of the schedule's
        self.rate_factor = 1.0  # of the learning rate, lowered after a divergence: see `core.divergence`
        self.batch: Any = None  # of the latest step

    @property
    def full_batch(self) -> bool:
        """Whether each gradient step takes the whole training set."""
        return self.settings.full_batch

    @property
    def updated(self) -> bool:
        """Whether the last `step` changed the weights: false within an accumulation."""
        return self.accumulated == 0

    def step(self, loss: Loss | Sequence[Loss], time: int, batch: Any = None) -> Metrics:
        """One gradient step at `time`, in environment steps or images: {"lr", "grad_norm" (S,) before clipping}.

        For lbfgs and newton, which call the loss several times, "lr" is the length of the step they found.

        `batch`, what the loss is computed from as a mapping or named tuple of tensors, is kept until the next step, for
        the record of a divergence. Within an accumulation the gradient is kept, and only {"lr"} returned. Raises
        Diverged, before any weight changes, where the loss or a gradient is not finite.
        """
        settings, self.batch = self.settings, batch
        chunks = [loss] if callable(loss) else loss
        if settings.optimizer in SECOND_ORDER:
            return self._solve(chunks)
        self.evaluations = 1
        if self.accumulated == 0:
            for weight in self.weights:
                weight.grad = None
        total = self._backward(chunks)
        self.accumulated += 1
        if self.accumulated < settings.accumulate:
            return {"lr": self._set_rate(time)}
        if self.accumulated > 1:
            torch._foreach_div_(self._gradients(), self.accumulated)
        self.accumulated = 0
        return self.step_along(total, time)

    def step_along(self, loss: Tensor, time: int, batch: Any = None) -> Metrics:
        """One gradient step along gradients that were computed elsewhere: those in `flat`, or in the weights.

        `loss` () is the loss that they belong to. Arguments, results and errors else as of `step`.
        """
        self.batch = self.batch if batch is None else batch
        lr = self._set_rate(time)
        self.steps += 1
        if self.flat is not None and not self.flat.attached:
            self.flat.gather()
        gradients = self._gradients()
        if self.by_member is not None:
            return {"lr": lr, "grad_norm": self._step_members(self.by_member, gradients, time, lr)}
        processes.average([*gradients, loss])
        norm = limit_gradients(self.rule, gradients, loss, self.settings.max_grad_norm, self.seeds)
        self._penalise(lr)
        self.rule.step()
        return {"lr": lr, "grad_norm": norm}

    def _step_members(self, members: ByMember, grads: list[Tensor], time: int, lr: float) -> Tensor:
        """The step of every member by its own learning rate; the norms of their gradients before clipping, (S,)."""

        def step() -> None:
            self._penalise(lr)
            self.rule.step()

        norm = members.limit(grads, time)
        weights = self.weights if self.flat is None else [self.flat.weights]
        members.step(step, weights, self._rates(time, self.steps))
        return norm

    @property
    def converged(self) -> bool:
        """Whether lbfgs or newton is at a minimum, where further steps change nothing."""
        return self.settings.optimizer in SECOND_ORDER and bool(self.rule.converged)

    def plateau(self, score: float) -> None:
        """Take in the score of an evaluation, higher being better; lowers the rate of the schedule `plateau`."""
        if self.settings.schedule == "plateau":
            self.drops.update(score)

    def of_members(self, metrics: Mapping[str, Tensor | float]) -> Metrics:
        """Metrics (S,) of a step; of several members as totals (2, S), in which those that have diverged count none."""
        return metrics if self.by_member is None else self.by_member.totals(metrics)

    def finite(self, error: Tensor) -> Tensor:
        """Errors (S, B), 0 where a member has diverged."""
        return error if self.by_member is None else error.nan_to_num(0, 0, 0)

    def learning_rate(self, time: int) -> float:
        """The learning rate of the next gradient step, at `time`; of several members the highest."""
        return max(self._rates(time, self.steps + 1))

    def _rates(self, time: int, step: int) -> list[float]:
        """The learning rate at a gradient step, from 1; of members with other settings each its own."""
        distinct = [self.settings] if self.by_member is None else self.by_member.distinct
        if self.fixed_rate is not None:
            return [self.fixed_rate] * len(distinct)
        found = []
        for settings in distinct:
            rate = learning_rate(settings, settings.lr_steps if self.budget is None else self.budget, time)
            found.append(float(rate * self.drops.factor * warmup(settings, step) * self.rate_factor))
        return found

    def describe(self) -> str:
        """The rule with its penalties in one line, for panels and reports: which weights decay, and how."""
        settings = self.settings
        parts = [settings.optimizer, f"learning rate {settings.rate:g}, {settings.schedule}"]
        share = f"of {len(self.decayed)} of {len(self.weights)} weight tensors (none of norms and biases)"
        if settings.weight_decay:
            how = "decoupled" if settings.decay_is_decoupled else "L2"
            parts.append(f"weight decay {settings.weight_decay:g}, {how}, {share}")
        if settings.l1:
            parts.append(f"L1 {settings.l1:g} {share}")
        return "; ".join(parts)

    def state_dict(self) -> State:
        """The state of the rule, the counts, and the gradients of an accumulation."""
        self.gradients = [weight.grad for weight in self.weights] if self.accumulated else []
        return {**super().state_dict(), **({"by_member": self.by_member.state_dict()} if self.by_member else {})}

    def load_state_dict(self, saved: State) -> None:
        """Restore the result of `state_dict`, or the state of a torch optimiser, which earlier versions saved."""
        if "param_groups" in saved:
            steps = next((int(moments["step"]) for moments in saved["state"].values() if "step" in moments), 0)
            saved = {**self.state_dict(), "rule": saved, "steps": steps}
        if self.by_member is not None:
            saved = dict(saved)
            self.by_member.load_state_dict(saved.pop("by_member"))
        groups = getattr(self.rule, "param_groups", [])  # torch replaces these by the saved ones
        scales = [group["scale"] for group in groups]
        super().load_state_dict(saved)
        if groups:
            for group, scale in zip(self.rule.param_groups, scales, strict=True):
                group["scale"] = scale
        for weight, gradient in zip(self.weights, self.gradients, strict=False):
            weight.grad = None if gradient is None else torch.empty_like(weight).copy_(gradient).detach()
        self.gradients = []

    @property
    def _decays_itself(self) -> bool:
        """Whether decoupled decay is applied here: torch has it for AdamW alone."""
        return self.settings.decay_is_decoupled and self.settings.optimizer not in ("adam", "adamw")

    def _rule(self, others: list[nn.Parameter]) -> Any:
        """The update rule, with a group of the decayed weights and one of the `others` where these differ."""
        settings = self.settings
        if settings.optimizer in SECOND_ORDER:
            return self._second_order()
        if settings.weight_decay or settings.bias_lr != 1:
            decay = 0.0 if self._decays_itself else settings.weight_decay
            groups: list[dict[str, Any]] = [
                {"params": self.decayed, "weight_decay": decay, "scale": 1.0},
                {"params": others, "weight_decay": 0.0, "scale": settings.bias_lr},
            ]
            groups = [group for group in groups if group["params"]]
        else:
            groups = [{"params": self.weights, "scale": 1.0}]
        return first_order(settings, groups, self.weights[0].device.type, self.flat)

    def _second_order(self) -> LBFGS | Newton:
        rule, count = self.settings.optimizer, sum(w.numel() for w in self.weights if w.requires_grad)
        if self.seeds > 1:
            raise UserError(f"--optimizer {rule}: its steps have one length for all seeds: take --seeds 1, or adam")
        if rule == "lbfgs":
            return LBFGS()
        if count > MAX_WEIGHTS:
            raise UserError(
                f"--optimizer newton: {count:,} weights, and it takes at most {MAX_WEIGHTS:,}: take lbfgs or adam"
            )
        return Newton(self.settings.damping)

    def _solve(self, chunks: Sequence[Loss]) -> Metrics:
        """One step of lbfgs or newton, on the loss with its L2 penalty."""
        weights = [weight for weight in self.weights if weight.requires_grad]
        decayed = {id(weight) for weight in self.decayed}
        rates = [torch.full_like(w, self.settings.weight_decay * (id(w) in decayed)).flatten() for w in weights]
        objective = Objective(weights, chunks, torch.cat(rates))
        length, norm = self.rule.step(objective)
        self.steps += 1
        self.evaluations = objective.evaluations
        return {"lr": length, "grad_norm": norm.reshape(1)}

    def _split(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """The weights with penalties, matrices and kernels; and the others: biases, gains, all that is 1-d per seed."""
        penalised: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for module in self.modules:
            for name, weight in module.named_parameters():
                matrix = weight.dim() - (self.seeds > 1) > 1 and "bias" not in name.split(".")[-1]
                (penalised if matrix else others).append(weight)
        return penalised, others

    def _set_rate(self, time: int) -> float:
        lr = self.learning_rate(time)
        for group in self.rule.param_groups:
            group["lr"] = lr if group["scale"] == 1 else lr * group["scale"]
        return lr

    def _gradients(self) -> list[Tensor]:
        if self.flat is not None:
            return [self.flat.gradients]
        return [weight.grad for weight in self.weights if weight.grad is not None]

    def _backward(self, chunks: Sequence[Loss]) -> Tensor:
        """Add the gradient of the loss to that of the weights; returns the loss."""
        values = []
        for chunk in chunks:
            value = chunk()
            value.backward()  # type: ignore[no-untyped-call]
            values.append(value.detach())
        return values[0] if len(values) == 1 else torch.stack(values).sum()

    @torch.no_grad()
    def _penalise(self, lr: float) -> None:
        """The penalties that the rule does not have: the gradient of L1, and decoupled weight decay."""
        settings = self.settings
        if not settings.l1 and not (settings.weight_decay and self._decays_itself):
            return
        weights: list[Tensor] = [weight for weight in self.decayed if weight.grad is not None]
        if settings.l1:
            for weight, sign in zip(weights, torch._foreach_sign(weights), strict=True):
                weight.grad.add_(sign, alpha=settings.l1)  # type: ignore[union-attr]
        if settings.weight_decay and self._decays_itself:
            torch._foreach_mul_(weights, 1 - lr * settings.weight_decay)


def optimizations(algorithm: object) -> dict[str, Optimization]:
    """The optimizations of an algorithm, by the names of its attributes."""
    return {name: value for name, value in vars(algorithm).items() if isinstance(value, Optimization)}
