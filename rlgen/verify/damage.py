"""Damage to a run folder."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Damage:
    """A file or folder of a run that is not as it was written."""

    part: str  # path in the folder of the run
    text: str  # what is wrong
    saved: str  # what can be saved, and how
