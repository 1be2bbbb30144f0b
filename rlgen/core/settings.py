"""What every run can be told. Imports no torch, so that `--help` is quick.

Here and in every settings file: a field is an option, the comment beside it its help,
and a comment line above a group of fields the panel they are shown in.
"""

import math
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt
from pydantic.dataclasses import dataclass

Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Score = Annotated[float, Field(gt=-math.inf)]  # any but nan
Seed = Annotated[int, Field(ge=0, lt=2**63)]


@dataclass(frozen=True)
class Setup:
    """Choices shared by every algorithm."""

    # Run
    seed: Seed = 0  # seed of every random number in the run
    # Hardware
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"  # where tensors live; auto takes the fastest for this model
    threads: NonNegativeInt = 0  # CPU threads for tensors; 0 takes what is fastest for this model


@dataclass(frozen=True)
class Plan:
    """When to stop, log, evaluate and save; all in units of `algorithm.time`."""

    # Run
    budget: PositiveInt = 100_000  # environment steps or images to train on
    stop_at: Score = math.inf  # end early once an evaluation scores this much; inf never does
    # Logging
    log_every: PositiveInt = 1_000  # steps or images between lines of the log
    eval_every: PositiveInt = 10_000  # steps or images between evaluations
    save_every: PositiveInt = 10_000  # steps or images between checkpoints
