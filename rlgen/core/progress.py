"""The present state of a run: plain attributes that the training loop writes and a display reads by the clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Phase = Literal["preparing", "training", "evaluating", "drawing", "saving", "scoring", "finished", "stopped"]


@dataclass(slots=True)
class Progress:
    """Written between two steps without a lock, read from the thread of a display; nothing in a run depends on it."""

    time: int = 0  # environment steps per seed, or images
    phase: Phase = "preparing"
    metrics: Mapping[str, Any] = field(default_factory=dict)  # of the latest step, tensors still on their device
