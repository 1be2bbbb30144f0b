"""Numbers that change over the course of a run."""

import math


def linear(start: float, end: float, steps: int, time: int) -> float:
    """From `start` at time 0 to `end` at time `steps` in a straight line, then `end` for ever."""
    if time >= steps:
        return end
    return start + (end - start) * time / steps


def cosine(start: float, end: float, steps: int, time: int) -> float:
    """From `start` at time 0 to `end` at time `steps` along half a cosine, slowly at both ends, then `end` for ever."""
    if time >= steps:
        return end
    return end + (start - end) * (1 + math.cos(math.pi * time / steps)) / 2
