"""What can go wrong for a user: each error is one clear line and an exit code."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """Something the user can put right. The message names the thing, the reason and the way out."""

    code = 2  # exit status of the command line


class Diverged(UserError):
    """A loss, gradient or weight is not finite."""

    code = 3


class CheckpointError(UserError):
    """No checkpoint of a run can be trusted."""

    code = 4


class NewerCheckpoint(CheckpointError):
    """A checkpoint was written by a later version of rlgen."""


class DataError(UserError):
    """A dataset is missing, truncated or not what its name says."""

    code = 5


class StorageError(UserError):
    """The disk is full, or the run folder cannot be written."""

    code = 7


class Interrupted(UserError):
    """A signal stopped the run: a first one after its state was `saved`, a second one at once."""

    def __init__(self, signum: int, message: str, saved: bool = True) -> None:
        super().__init__(message)
        self.saved = saved
        self.code = 128 + signum  # 130 for SIGINT, 143 for SIGTERM, as shells have it


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """`": did you mean CartPole?"`, or nothing where no choice is near."""
    by_lower = {choice.lower(): choice for choice in choices}
    near = get_close_matches(name.lower(), by_lower, cutoff=0.85) or get_close_matches(name.lower(), by_lower)
    return f": did you mean {' or '.join(by_lower[match] for match in near)}?" if near else ""
