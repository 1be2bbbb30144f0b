"""Settings of every run. Imports no torch, so that `--help` is quick.

Here and in every settings file: a field is an option, the comment beside it its help,
and a comment line above a group of fields the panel they are shown in.
"""

import math
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from rlgen.core.config import Scaled

Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Score = Annotated[float, Field(gt=-math.inf)]  # any but nan
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Count = Annotated[int, Field(gt=0, lt=2**53)]
Amount = Annotated[int, Field(ge=0, lt=2**53)]
Processes = Annotated[int, Field(ge=0, le=1_000)]
Threads = Annotated[int, Field(ge=0, le=10_000)]
Layers = Annotated[int, Field(gt=0, le=1_000)]  # one after the other
OptionalLayers = Annotated[int, Field(ge=0, le=1_000)]
Width = Annotated[int, Field(gt=0, le=100_000)]  # of a layer, and of repetitions within a step
Parallel = Annotated[int, Field(gt=0, le=10_000)]  # networks or environments side by side
Duration = Annotated[int, Field(ge=1, lt=2**53), Scaled]  # environment steps or images: presets scale it with --budget
OptionalDuration = Annotated[int, Field(ge=0, lt=2**53), Scaled]  # the same, or 0 for none


@dataclass(frozen=True)
class Setup:
    """Settings of every algorithm."""

    # Run
    seed: Seed = 0  # seed of every random number in the run
    # Hardware
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"  # device of the tensors; auto: the fastest for this model
    deterministic: bool = False  # kernels on CUDA whose results repeat to the bit, for an exact resume; slower
    threads: Threads = 0  # CPU threads for tensor operations; 0: the fastest for this model, or OMP_NUM_THREADS


@dataclass(frozen=True)
class Plan:
    """When to stop, log, evaluate and save; in environment steps or images."""

    # Run
    budget: Count = 100_000  # environment steps or images of training
    stop_at: Score = math.inf  # score of an evaluation that ends the training early; inf: none
    on_divergence: Literal["stop", "rollback"] = "stop"  # end of a diverged run, or rollback at half the learning rate
    patience: Amount = 0  # evaluations in a row without a better score that end the training early; 0: none
    # Logging
    log_every: Duration = 1_000  # steps or images between lines of the log
    eval_every: Duration = 10_000  # steps or images between evaluations
    save_every: Duration = 10_000  # steps or images between checkpoints
    portraits: bool = True  # weights of at most 32 evaluations, kept for `rlgen play --at STEP` and for maps over time
    tensorboard: bool = False  # metrics and samples also as event files of TensorBoard, in the folder tensorboard
