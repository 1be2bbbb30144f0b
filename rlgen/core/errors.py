"""Errors shown to users: one line each, with an exit code."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class UserError(Exception):
    """An error that the user can correct. The message names the object, the reason and a remedy."""

    code = 2  # exit code of the command line


class NotFinite(UserError):
    """A value to be saved is infinite or NaN."""

    code = 3


class Diverged(NotFinite):
    """A loss, gradient, weight or metric of a training is infinite or NaN; `facts` are what is known of it by name."""

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.facts = facts


class CheckpointError(UserError):
    """A checkpoint is missing, damaged or of other settings."""

    code = 4


class NewerCheckpoint(CheckpointError):
    """A file of a run was written by a later version of rlgen."""


class DataError(UserError):
    """A dataset is missing, truncated or not the one its name promises."""

    code = 5


class StorageError(UserError):
    """The disk is full, or the run folder cannot be written."""

    code = 7


class ProcessLost(UserError):
    """Another process of a training of several has ended without a word."""

    code = 9


class EnvironmentFault(UserError):
    """An environment raised an exception, returned what it must not, or did not return.

    `index` is that of the environment among those stepped together, `method` the one that was called. `episode` has
    what repeats the failure, as `rlgen.envs.failed_episode` keeps it; None outside of an episode.
    """

    code = 8

    def __init__(self, message: str, method: str, index: int = 0) -> None:
        super().__init__(message)
        self.method, self.index = method, index
        self.episode: dict[str, Any] | None = None


class Interrupted(UserError):
    """A signal stopped the run: the first with its state saved (`saved`), the second at once."""

    def __init__(self, signum: int, message: str, saved: bool = True) -> None:
        super().__init__(message)
        self.saved = saved
        self.code = 128 + signum  # 130 for SIGINT, 143 for SIGTERM: the convention of shells


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """`": did you mean CartPole?"`, or an empty string where no choice is similar."""
    by_lower = {choice.lower(): choice for choice in choices}
    near = get_close_matches(name.lower(), by_lower, cutoff=0.85) or get_close_matches(name.lower(), by_lower)
    return f": did you mean {' or '.join(by_lower[match] for match in near)}?" if near else ""
