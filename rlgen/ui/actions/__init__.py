"""What the interactive panels compute: the table of actions. Imports no torch; an action does, when it is called."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

Json = dict[str, Any]


class Session(dict[str, Any]):
    """What lives between requests on a run at one time, such as an environment; and the folder of the run."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder


Function = Callable[[Any, Json, Session], Json]


@dataclass(frozen=True)
class Action:
    """A function `(algorithm, request, session) -> JSON` by the place where it lives."""

    lives: str  # module:function in this package
    panel: str = ""  # of a run that offers this panel; "" for every run
    seconds: float = 30.0  # an action that takes longer is stopped
    experience: bool = False  # whether it needs what only further training needs otherwise, the replay buffer

    @property
    def function(self) -> Function:
        """The function. Imports torch."""
        module, name = self.lives.split(":")
        function: Function = getattr(import_module(f"{__name__}.{module}"), name)
        return function


ACTIONS: dict[str, Action] = {
    "points": Action("points:plane", panel="points"),
    "subject": Action("explain:subject", panel="explain", seconds=120.0),  # may train the feature classifier
    "explain": Action("explain:explained", panel="explain", seconds=120.0),
    "describe": Action("loaded:describe"),
    "latent-units": Action("latent:units", "latent", 60),
    "latent-decode": Action("latent:decode", "latent"),
    "latent-encode": Action("latent:encode", "latent"),
    "codes-book": Action("codes:book", "codes", 60),
    "codes-decode": Action("codes:decode", "codes"),
    "codes-encode": Action("codes:encode", "codes"),
    "pixels-image": Action("pixels:image", "pixels", 60),
    "pixels-pixel": Action("pixels:pixel", "pixels", 60),
    "pixels-complete": Action("pixels:complete", "pixels"),
    "opinion-over-time": Action("opinion:over_time", "opinion", 120),
    "opinion-at-time": Action("opinion:at_time", "opinion"),
    "nearest-samples": Action("samples:draw", "nearest", 300),
    "nearest-search": Action("samples:nearest", "nearest", 120),
    "value-map": Action("value_maps:value_map", "value_map"),
    "value-map-backup": Action("value_maps:backup", "value_map"),
    "episode": Action("agents:episode", "thinking", 120),
    "frames": Action("agents:frames", "thinking", 120),
    "take-over": Action("take_over:take_over", "takeover", 60),
    "what-if": Action("what_if:what_if", "whatif", 120),
    "replay": Action("replay:replay", "replay", 120, experience=True),
}
