"""Films of agents: an episode with its values, and several ages of an agent side by side from the same seed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rlgen.agents.episode import Episode, Player, record
from rlgen.core.errors import EnvironmentFault
from rlgen.envs.failed_episode import Repetition
from rlgen.envs.labels import action_names
from rlgen.report import pictures
from rlgen.report.thinking import Thinking, side_by_side

if TYPE_CHECKING:
    from rlgen.agents.base import Agent

Pixels = NDArray[np.uint8]

FRAMES = 1_000  # of a film, at most: of longer episodes every second, third, ... step is drawn, in the same time
WIDE = 300  # frames of a film of several ages, at most, for its frames are large


@dataclass
class Age:
    """An agent at a time of its training, and its episode."""

    title: str
    player: Player
    episode: Episode
    thinking: Thinking | None
    drawn: Pixels | None = None  # of the latest step

    def draw(self, t: int) -> Pixels:
        """The picture of step t, from 0 on; after the episode its last one. Steps are drawn in ascending order."""
        if self.drawn is not None and int(self.player.env.length[0]) >= len(self.episode):
            return self.drawn
        while int(self.player.env.length[0]) < min(t, len(self.episode)):
            self.player.step(int(self.episode.actions[int(self.player.env.length[0])]))
        at, frame = int(self.player.env.length[0]), self.player.env.render()
        if self.thinking is None:
            self.drawn = pictures.caption(frame, f"{self.title}   step {at}   return {self.player.score:,.6g}")
        else:
            self.drawn = self.thinking.draw(at, frame)
        return self.drawn


@dataclass(frozen=True)
class Film:
    """Frames (H, W, 3) of one size, to be read once; the return of each age; and frames per second."""

    frames: Iterator[Pixels]
    returns: list[float]
    fps: float


def film(agents: Sequence["Agent"], titles: Sequence[str], seed: int, values: bool = True) -> Film:
    """One greedy episode of each agent from the same seed, side by side; with the `values` of each step.

    The last frame stays for a second. Raises UserError where the environment cannot render.
    """
    ages = []
    for agent, title in zip(agents, titles, strict=True):
        episode, player = record(agent, seed, frames=False), Player(agent, seed, pictures=True)
        names, thinking = action_names(agent.env), None
        if values:
            thinking = Thinking(episode, names, title, player.env.render().shape, beside=len(agents) == 1)
        ages.append(Age(title, player, episode, thinking))
    longest = max(len(age.episode) for age in ages)
    every = max(1, -(-longest // (FRAMES if len(ages) == 1 else WIDE)))
    fps = ages[0].player.env.fps / every
    return Film(_frames(ages, longest, every, fps), [age.episode.score for age in ages], fps)


def _frames(ages: list[Age], longest: int, every: int, fps: float) -> Iterator[Pixels]:
    frame = np.zeros((0, 0, 3), np.uint8)
    try:
        for t in dict.fromkeys([*range(0, longest, every), longest]):
            drawn = [age.draw(t) for age in ages]
            frame = drawn[0] if len(drawn) == 1 else side_by_side(drawn)
            yield frame
        for _ in range(max(1, round(fps))):
            yield frame
    finally:
        for age in ages:
            age.player.env.close()


def repeated(played: Repetition) -> Iterator[Pixels]:
    """The frames of an episode that failed, while it is played again; none where its environment draws no pictures.

    At most `FRAMES` and those before the failure. The last one, with the failure in its caption, stays for a second.
    """
    last, every = len(played.episode.actions), max(1, -(-len(played.episode.actions) // FRAMES))
    picture, caption = None, ""
    try:
        for step in played.play():
            if step % every == 0 or step >= last - 1:
                picture, caption = played.picture, f"step {step}   return {sum(played.rewards):,.6g}"
                if picture is not None:
                    yield pictures.caption(picture, caption)
    except EnvironmentFault as failure:
        played.failure = failure
        caption += "   failed"
    if picture is not None:
        for _ in range(max(1, round(played.fps))):
            yield pictures.caption(picture, caption)
