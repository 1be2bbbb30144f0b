"""What a checkpoint holds is taken over, or refused in one line: it may have been made by anybody."""

from collections.abc import Iterator
from contextlib import contextmanager

from rlgen.core.errors import CheckpointError, UserError

LONGEST = 300  # characters of a reason, at most


@contextmanager
def fitting(what: str) -> Iterator[None]:
    """Raise CheckpointError for whatever fails inside `with`, where `what` is taken over by objects in memory."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:LONGEST] or type(error).__name__
        raise CheckpointError(f"{what} does not fit its settings or this version of rlgen: {reason}") from None


def check_type(value: object, saved: object) -> None:
    """Raise TypeError where `saved` cannot replace a plain `value`: a text a number, or a list an object.

    Of tuples the parts are compared, too.
    """
    for kind in (bool, (int, float), str, list, tuple, dict):
        if isinstance(value, kind):
            alike = isinstance(saved, kind) and isinstance(saved, bool) == isinstance(value, bool)
            if saved is not None and not alike:
                raise TypeError(f"it holds {_what(saved)} where {_what(value)} is expected")
            if isinstance(value, tuple) and isinstance(saved, tuple):
                if len(value) != len(saved):
                    raise TypeError(f"it holds {len(saved)} values where {len(value)} are expected")
                for part, other in zip(value, saved, strict=True):
                    check_type(part, other)
            return


def check_time(time: object, expected: int | None = None) -> None:
    """Raise ValueError where this is no time of a training, or not the `expected` one."""
    if not isinstance(time, int) or isinstance(time, bool) or not 0 <= time < 2**63:
        raise ValueError(f"its time is {_what(time)}")
    if expected not in (None, time):
        raise ValueError(f"its time is {time:,} in the folder of {expected:,}")


def _what(value: object) -> str:
    kind = type(value).__name__
    return f"the {kind} {str(value)[:20]!r}" if isinstance(value, str | int | float) else f"a {kind}"
