"""Gradient descent for every family: update rules, schedules, penalties, clipping. Importing it imports no torch."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlgen.core.optim.optimization import Optimization

__all__ = ["Optimization"]


def __getattr__(name: str) -> Any:
    """`Optimization`, for which torch is imported."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rlgen.core.optim.optimization import Optimization

    return Optimization
