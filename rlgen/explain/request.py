"""What is asked of an explanation, and what a method returns."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from rlgen.explain.layers import Unit
from rlgen.explain.subject import Subject


@dataclass(frozen=True)
class Request:
    """The images, classes and unit to explain."""

    subject: Subject
    x: Tensor  # (N, C, H, W) normalised images
    target: Tensor  # (N,) classes whose logits are explained
    captions: Sequence[tuple[str, bool]]  # of the images, each with whether the predicted class is right
    unit: Unit | None
    seed: int
    out: Path  # folder of the pictures


@dataclass(frozen=True)
class Result:
    """What one method found."""

    method: str
    file: Path | None = None
    correlations: dict[str, float | None] = field(default_factory=dict)  # stage -> mean rank correlation
    verdict: str = ""
    values: dict[str, Any] = field(default_factory=dict)  # further numbers, JSON-ready
    left_out: str = ""  # the reason where there is no picture
