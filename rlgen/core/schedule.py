"""Numbers that change over the course of a run."""


def linear(start: float, end: float, steps: int, time: int) -> float:
    """From `start` at time 0 to `end` at time `steps` in a straight line, then `end` for ever."""
    if time >= steps:
        return end
    return start + (end - start) * time / steps
