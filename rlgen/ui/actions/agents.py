"""Greedy episodes of an agent for the page: values in every step, and the frames, drawn as far as they are requested.

Shapes: T steps, A actions, K atoms or quantiles.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rlgen.core.errors import UserError
from rlgen.ui.actions import fields
from rlgen.ui.actions.encoding import finite, numbers, png

if TYPE_CHECKING:
    from rlgen.agents.base import Agent
    from rlgen.agents.episode import Episode, Player

STEPS, MOST = 1_000, 10_000  # of an episode: by default, at most
WIDTH = 320  # pixels of a frame: wider ones are reduced by a whole number
CHUNK = 50  # frames of an answer, at most
DIGITS = 5  # significant digits of a number in a long list

Json = dict[str, Any]


@dataclass
class Film:
    """The frames of an episode as data URLs, drawn from its first step to the latest one requested."""

    player: "Player"
    actions: list[int]
    frames: list[str] = field(default_factory=list)

    def upto(self, count: int) -> list[str]:
        """The first `count` frames; at most T + 1."""
        while len(self.frames) < min(count, len(self.actions) + 1):
            if self.frames:
                self.player.step(self.actions[len(self.frames) - 1])
            self.frames.append(frame(self.player))
        return self.frames[:count]


def episode(agent: "Agent", request: Json, session: Json) -> Json:
    """The greedy episode of a `seed`, of at most `max_steps` steps: numbers of every step, and how to show them.

    `film` is false where the environment cannot render, for the `reason` given.
    """
    from rlgen.envs.labels import action_names

    found = recorded(agent, request, session)
    reason = ""
    try:
        film(agent, request, session).upto(1)
    except UserError as error:
        reason = str(error)
    env = agent.env
    return {
        "steps": len(found),
        "seed": request.get("seed", 0),
        "names": action_names(env),
        "fps": env.fps,
        "units": found.units,
        "gamma": agent.config.gamma,
        "terminated": found.terminated,
        "truncated": found.truncated,
        "score": found.score,
        "actions": found.actions.tolist(),
        "rewards": rounded(found.rewards),
        "q": rounded(found.q),
        "v": rounded(found.v),
        "returns": rounded(found.returns),
        "tail": rounded(found.tail),
        "sums": rounded(found.sums),
        "atoms": None if found.atoms is None else rounded(found.atoms),
        "distribution": "atoms" if found.atoms is not None else "quantiles" if found.quantiles is not None else "",
        "film": not reason,
        "reason": reason,
        "time": agent.time,
        "recurrent": found.states[-1] is not None,
        **observations(agent, found),
    }


def frames(agent: "Agent", request: Json, session: Json) -> Json:
    """Frames `start` to `start + count` of that episode, and the distributions (count, A, K) of their steps."""
    found = recorded(agent, request, session)
    start = fields.whole(request, "start", 0, MOST)
    stop = min(start + fields.whole(request, "count", 1, CHUNK, CHUNK), len(found) + 1)
    drawn = film(agent, request, session).upto(stop)[start:] if request.get("film", True) else []
    spread = found.probabilities if found.probabilities is not None else found.quantiles
    return {"frames": drawn, "distributions": [] if spread is None else rounded(spread[start:stop])}


def recorded(agent: "Agent", request: Json, session: Json) -> "Episode":
    """The episode of a request, recorded without frames; the session keeps the latest one."""
    from rlgen.agents.episode import record

    key = _key(request)
    if session.get("episode", (None,))[0] != key:
        session["episode"] = key, record(agent, *key, frames=False)
        session.pop("film", None)
    found: Episode = session["episode"][1]
    return found


def film(agent: "Agent", request: Json, session: Json) -> Film:
    """The film of that episode. Raises UserError where the environment cannot render."""
    from rlgen.agents.episode import Player

    if "film" not in session:
        actions = recorded(agent, request, session).actions.tolist()
        session["film"] = Film(Player(agent, _key(request)[0], pictures=True), actions)
    made: Film = session["film"]
    return made


def frame(player: "Player") -> str:
    """The picture of the environment as a data URL."""
    return png(reduced(player.env.render()))


def reduced(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture (H, W, 3), reduced by a whole number to about `WIDTH` where it is wider."""
    from PIL import Image

    times = round(picture.shape[1] / WIDTH)
    return np.asarray(Image.fromarray(picture).reduce(times)) if times > 1 else picture


def observations(agent: "Agent", found: "Episode") -> Json:
    """Names, bounds and values of the numbers of the observations; of images their shape (C, H, W)."""
    from rlgen.envs.numbers import Numbers

    if agent.env.preprocessing.image:
        return {"numbers": None, "image": list(agent.env.shape), "stack": agent.env.frame_stack}
    table = Numbers(agent.env)
    values = np.array([table.read(obs) for obs in found.observations])  # (T + 1, numbers)
    low, high = values.min(0), values.max(0)
    margin = np.maximum((high - low) / 2, 1e-3)
    described = [
        {
            "name": number.name,
            "low": float(low[i] - margin[i]) if number.low is None else number.low,
            "high": float(high[i] + margin[i]) if number.high is None else number.high,
            "whole": number.whole,
            "observed": number.low is None or number.high is None,
        }
        for i, number in enumerate(table.described)
    ]
    return {"numbers": described, "observations": rounded(values), "image": None, "stack": agent.env.frame_stack}


def values(found: Any) -> Json:
    """The values of one observation: Q (A,), null where not allowed, V, and the distribution (A, K)."""
    spread = found.probabilities if found.probabilities is not None else found.quantiles
    return {
        "q": numbers(found.q),
        "v": finite(found.v),
        "action": int(found.action),
        "distribution": None if spread is None else rounded(spread),
        "atoms": None if found.atoms is None else rounded(found.atoms),
    }


def rounded(array: NDArray[Any]) -> Any:
    """An array as nested lists with `DIGITS` significant digits; null in place of what is not finite."""
    x = np.asarray(array, np.float64)
    size = np.floor(np.log10(np.abs(x), out=np.zeros_like(x), where=np.isfinite(x) & (x != 0)))
    power = 10.0 ** (DIGITS - 1 - size)
    with np.errstate(invalid="ignore"):
        short = np.where(np.isfinite(x), np.round(x * power) / power, x)
    return numbers(short)


def _key(request: Json) -> tuple[int, int]:
    return fields.whole(request, "seed", 0, 2**31 - 1, 0), fields.whole(request, "max_steps", 1, MOST, STEPS)
