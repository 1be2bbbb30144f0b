"""MinAtar: five Atari games on 10 x 10 pixels. Young & Tian 2019, arXiv:1903.03176."""

import colorsys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

GAMES = {"Asterix": "asterix", "Breakout": "breakout", "Freeway": "freeway", "Seaquest": "seaquest",
         "SpaceInvaders": "space_invaders"}  # fmt: skip
LIMIT = 5_000  # steps per episode, several times those of a good agent; the games have no limit of their own
FREEWAY_LIMIT = 2_500  # steps per episode, the game's own limit: a truncation, no termination

Observation = NDArray[np.uint8]


class MinAtar(gym.Env[Observation, np.int64]):
    """A game with observations (10, 10, C) of 0 and 1, a channel for each kind of object.

    Arguments: `game`, a value of GAMES; `minimal`, whether actions without effect in this game are left out;
    `repeat_action_probability`, that of the previous action instead of the current one. The seed of the last reset
    determines all random draws. Raises DependencyNotInstalled without the package minatar.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 15}  # noqa: RUF012  # as gymnasium has it

    def __init__(
        self, game: str, minimal: bool = True, repeat_action_probability: float = 0.1, render_mode: str | None = None
    ) -> None:
        self.repeat_action_probability, self.render_mode = repeat_action_probability, render_mode
        self.game = _load(game).Env()
        self.timed = game == "freeway"
        self.meaning = self.game.minimal_action_set() if minimal else list(range(6))
        self.action_space = Discrete(len(self.meaning))
        self.observation_space = Box(0, 1, tuple(self.game.state_shape()), np.uint8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode that depends on its seed alone: the last action before is not repeated."""
        super().reset(seed=seed)
        self.game.random = np.random.RandomState(
            self.np_random.integers(2**32)
        )  # the class of generator that the games use
        self.game.reset()
        self.last = 0
        return self._observe(), {}

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """One frame of the game."""
        if self.game.random.rand() >= self.repeat_action_probability:
            self.last = self.meaning[action]
        reward, ended = self.game.act(self.last)
        return self._observe(), float(reward), ended and not self.timed, ended and self.timed, {}

    def render(self) -> Observation:
        """The picture (240, 240, 3): a colour per channel, later channels above earlier ones."""
        state = self._observe()
        channels = state.shape[2]
        colours = [colorsys.hsv_to_rgb(c / channels, 0.65, 0.95) for c in range(channels)]
        palette = np.array([(0.08, 0.08, 0.1), *colours])
        shown = (state * np.arange(1, channels + 1)).max(2)  # (H, W) number of the topmost channel, or 0
        return np.kron((255 * palette[shown]).astype(np.uint8), np.ones((24, 24, 1), np.uint8))

    def _observe(self) -> Observation:
        return np.asarray(self.game.state(), np.uint8)


def register() -> None:
    """Register the games with gymnasium: v1 with the minimal actions, v0 with all six, as in the first papers."""
    for name, game in GAMES.items():
        max_episode_steps = FREEWAY_LIMIT if name == "Freeway" else LIMIT
        for version in (0, 1):
            gym.register(
                f"MinAtar/{name}-v{version}",
                "rlgen.envs.minatar:MinAtar",
                max_episode_steps=max_episode_steps,
                kwargs={"game": game, "minimal": version == 1},
            )


def _load(game: str) -> ModuleType:
    """The module with the rules of a game, loaded from its file: the package itself imports plotting for seconds."""
    package = find_spec("minatar")
    if package is None or package.origin is None:
        raise gym.error.DependencyNotInstalled("MinAtar is not installed: pip install 'rlgen[minatar]'")
    spec = spec_from_file_location(game, Path(package.origin).parent / "environments" / f"{game}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
