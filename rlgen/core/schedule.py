"""Schedules: values that change with the time of a run."""

import math


def linear(start: float, end: float, steps: int, time: int) -> float:
    """Linear from `start` at time 0 to `end` at time `steps`, then constant."""
    if time >= steps:
        return end
    return start + (end - start) * time / steps


def cosine(start: float, end: float, steps: int, time: int) -> float:
    """Half a cosine from `start` at time 0 to `end` at time `steps`, then constant. Loshchilov & Hutter 2017."""
    if time >= steps:
        return end
    return end + (start - end) * (1 + math.cos(math.pi * time / steps)) / 2
