"""What the interactive panels compute: the table of actions. Imports no torch; an action does, when it is called."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

Json = dict[str, Any]
Session = dict[str, Any]  # of a run at one time: what lives between requests, such as an environment
Function = Callable[[Any, Json, Session], Json]


@dataclass(frozen=True)
class Action:
    """A function `(algorithm, request, session) -> JSON` by the place where it lives."""

    lives: str  # module:function in this package
    panel: str = ""  # of a run that offers this panel; "" for every run
    seconds: float = 30.0  # an action that takes longer is stopped

    @property
    def function(self) -> Function:
        """The function. Imports torch."""
        module, name = self.lives.split(":")
        function: Function = getattr(import_module(f"{__name__}.{module}"), name)
        return function


ACTIONS: dict[str, Action] = {
    "describe": Action("loaded:describe"),
}
