"""What the training loop, the command line and Python ask of an algorithm."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rlgen.core.errors import Diverged
from rlgen.core.images import Grid
from rlgen.core.settings import Setup
from rlgen.core.state import State

Metrics = Mapping[str, Tensor | float]  # tensors stay on the device until a line of the log is written
Rows = list[dict[str, float]]  # events, each with its "time": lines of a log of their own, such as finished episodes
StepMetrics = Mapping[str, Tensor | float | Rows]
Progress = Callable[[int], object]  # called with the number of episodes or samples done since the last call


@dataclass(frozen=True)
class Report:
    """Final scores of a trained algorithm."""

    values: dict[str, Any]  # JSON-ready: run.json and --json; "score" is the number that ranks runs, if there is one
    lines: list[str]  # the same as text
    details: dict[str, Any] = field(default_factory=dict)  # further JSON-ready values for --json alone: every return
    grids: Mapping[str, Grid] = field(default_factory=dict)  # images by file name: the errors of a classifier


class Algorithm(Protocol):
    """What learns one `step` at a time and can be saved between any two.

    A new algorithm implements every method below, in a file of its own, and has one line in `rlgen/catalog.py`.
    """

    Config: ClassVar[type]  # frozen dataclass of settings: the options of `rlgen NAME`
    score: ClassVar[str | None]  # the evaluation metric that ranks runs, higher being better; None where no number does
    time: int  # environment steps or images so far

    def __init__(self, task: str, config: Any, setup: Setup) -> None: ...

    def describe_task(self) -> dict[str, str]:
        """Facts for the start panel: spaces and episode limit of an environment; images, classes, shape, split."""
        ...

    def parameter_count(self) -> int:
        """Number of trainable parameters."""
        ...

    def step(self) -> StepMetrics:
        """One gradient step and the data collection before it; advances `time`."""
        ...

    def evaluate(self) -> Metrics:
        """Metrics that depend on weights and seed alone, computed without a change to the training state."""
        ...

    def draw(self) -> Mapping[str, Grid]:
        """Grids of images by name, drawn before the training and at each evaluation; none for an agent.

        They depend on weights and seed alone, and the training state stays as it is.
        """
        ...

    def state_dict(self) -> State:
        """Everything that changes in training."""
        ...

    def load_state_dict(self, saved: State) -> None:
        """Continue from the result of `state_dict`."""
        ...

    def report(self, count: int, seed: int, progress: Progress) -> Report:
        """Final scores: on `count` fresh episodes, or on the test images and `count` samples (0: no samples)."""
        ...


class Agent(Algorithm, Protocol):
    """A policy for an environment with discrete actions."""

    make_env: Callable[..., Any]  # (num_envs, seed, **options) -> VectorEnv like that of the training

    def predict(
        self,
        observation: Any,
        state: tuple[NDArray[Any], ...] | None,
        episode_start: NDArray[np.bool_] | None,
        deterministic: bool,
        action_mask: NDArray[np.bool_] | None,
    ) -> tuple[Any, tuple[NDArray[Any], ...] | None]:
        """The action for one observation, or actions (n,) for n observations, and the next recurrent state."""
        ...

    def values(
        self,
        observation: Any,
        state: tuple[NDArray[Any], ...] | None,
        episode_start: NDArray[np.bool_] | None,
        action_mask: NDArray[np.bool_] | None,
    ) -> Any:
        """`ActionValues` of one observation or of n: Q(s, a), and the distribution of the return where there is one."""
        ...

    def rollout(self, episodes: int, seed: int) -> NDArray[np.float64]:
        """Returns of greedy episodes, (S, episodes)."""
        ...


class Model(Algorithm, Protocol):
    """A generative model of images."""

    num_classes: int  # of the labels that `sample` takes; 0 where it takes none
    columns: int  # of the grid of samples

    def sample(
        self, count: int | None = None, *, seed: int = 0, labels: Tensor | Sequence[int] | int | None = None
    ) -> Tensor:
        """Images (N, C, H, W) in [0, 1], the same for the same weights and `seed`."""
        ...

    def grids(self, seed: int) -> dict[str, Grid]:
        """Grids of images by name: samples, reconstructions, ..."""
        ...

    def label(self, name: str) -> int:
        """The number of the class of this name or number."""
        ...


class Classifier(Algorithm, Protocol):
    """A classifier of images."""

    classes: tuple[str, ...]  # names of the K classes
    shape: tuple[int, ...]  # (C, H, W) of an image

    def logits(self, images: Tensor) -> Tensor:
        """Scores (S, N, K) of images (N, C, H, W), bytes or in [0, 1]."""
        ...

    def predict(self, images: Any) -> NDArray[np.float32]:
        """Probabilities (N, K) of the classes of images (N, C, H, W), bytes or in [0, 1]."""
        ...


@runtime_checkable
class HasNetworks(Protocol):
    """An algorithm whose networks `rlgen summary` describes."""

    epoch_images: int  # training images; 0 for an agent

    def networks(self) -> Mapping[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        """Each trained network without an S axis by a name, and inputs of it for one image or observation (1, ...)."""
        ...


@runtime_checkable
class HasBaselines(Protocol):
    """An algorithm with known values to compare its metrics with."""

    def baselines(self) -> Mapping[str, float]:
        """Values by name, from the settings and the data alone: the panels of plots refer to them."""
        ...


@runtime_checkable
class Initialised(Protocol):
    """An algorithm that may start from another run."""

    def initialise(self, runs: Path) -> dict[str, Any]:
        """Copy weights of another run in the folder `runs`, once, before the first step; facts for run.json."""
        ...


def missing(cls: type, protocol: type) -> list[str]:
    """Names of `protocol` that `cls` lacks, and of methods that only raise NotImplementedError."""
    bases = [base for base in protocol.__mro__ if base.__module__ == __name__]
    required = {name for base in bases for name in vars(base) if not name.startswith("_")} | {"Config", "score"}
    abstract = (name for name in dir(cls) if _abstract(getattr(cls, name, None)))
    return sorted({*(name for name in required if not hasattr(cls, name)), *abstract})


def _abstract(method: Any) -> bool:
    code = getattr(method, "__code__", None)
    return code is not None and code.co_names == ("NotImplementedError",)


def descend(optimizer: torch.optim.Optimizer, loss: Tensor, clip: float = math.inf, seeds: int = 1) -> Tensor:
    """One gradient step on `loss`, the gradient norm of each seed clipped to `clip`.

    Returns the norm before clipping, shape (seeds,). Raises Diverged, before any weight changes,
    where the loss or a gradient is not finite: see `limit_gradients`.
    """
    weights = [p for group in optimizer.param_groups for p in group["params"]]
    for p in weights:
        p.grad = None
    loss.backward()  # type: ignore[no-untyped-call]
    norm = limit_gradients(optimizer, [p.grad for p in weights if p.grad is not None], loss, clip, seeds)
    optimizer.step()
    return norm


def limit_gradients(optimizer: Any, grads: list[Tensor], loss: Tensor, clip: float, seeds: int) -> Tensor:
    """Clip the norm of the gradients of each seed to `clip`; returns the norm before clipping, (seeds,).

    Raises Diverged where `loss` or a gradient is not finite. On an accelerator a fused optimiser makes that check
    without synchronisation: it skips the step, and the next line of the log raises Diverged.
    """
    if len(grads) == 1:
        norm: Tensor = torch.linalg.vector_norm(grads[0].reshape(seeds, -1), dim=1)
    elif seeds == 1:
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads))).reshape(1)
    else:  # (S, ...) weights of S networks
        norm = torch.linalg.vector_norm(torch.stack([g.reshape(seeds, -1).norm(dim=1) for g in grads]), dim=0)
    if norm.device.type == "cpu" or not optimizer.defaults.get("fused"):
        norms = norm.tolist()
        if not all(map(math.isfinite, (loss.item(), *norms))):
            raise not_finite(loss.item(), norms, "try a smaller --lr")
        too_long = max(norms) > clip
    else:
        optimizer.found_inf = (~(norm.sum() + loss.detach()).isfinite()).float()  # read by fused optimisers
        optimizer.grad_scale = None
        too_long = math.isfinite(clip)  # no synchronisation: always scaled, by 1 where the norm is small
    if too_long:
        scale = (clip / (norm + 1e-6)).clamp(max=1.0)
        if seeds == 1:
            torch._foreach_mul_(grads, scale[0])
        else:
            for g in grads:
                g.mul_(scale.view(-1, *[1] * (g.dim() - 1)))
    return norm


def not_finite(loss: float, norms: list[float], remedy: str) -> Diverged:
    """The error about a loss, or gradient norms of S seeds, of which one is not finite; its message names the seeds."""
    seeds = [seed for seed, norm in enumerate(norms) if not math.isfinite(norm)]
    of = f" of seed {', '.join(map(str, seeds))}" if seeds and len(norms) > 1 else ""
    norm = norms[seeds[0]] if seeds else max(norms)
    return Diverged(
        f"the loss is {loss:.3g} and the gradient norm{of} {norm:.3g}: {remedy}",
        loss=loss,
        gradient_norms=norms,
        seeds=seeds,
    )


def count(*modules: nn.Module) -> int:
    """Number of trainable parameters in all of `modules`."""
    return sum(p.numel() for module in modules for p in module.parameters() if p.requires_grad)
