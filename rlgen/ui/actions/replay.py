"""The replay buffer of an agent: its most surprising transitions, and how TD errors and priorities are distributed."""

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rlgen.ui.actions import fields
from rlgen.ui.actions.agents import rounded
from rlgen.ui.actions.encoding import png
from rlgen.ui.actions.what_if import picture

if TYPE_CHECKING:
    from rlgen.agents.base import Agent

MOST = 4_000  # transitions computed, evenly spaced over the buffer
SHOWN, LIMIT = 10, 50  # most surprising transitions: by default, at most
BINS, PERIODS = 30, 24  # of the histograms; of the time at which transitions were stored

Json = dict[str, Any]


def replay(agent: "Agent", request: Json, session: Json) -> Json:
    """The `count` transitions with the largest TD errors |δ|, histograms of |δ| and priorities, and both over time.

    Raises UserError where there is no replay buffer.
    """
    from rlgen.agents.surprise import surprise
    from rlgen.envs.labels import action_names

    count = fields.whole(request, "count", 1, LIMIT, SHOWN)
    if "surprise" not in session:
        session["surprise"] = surprise(agent, MOST)
    found = session["surprise"]
    size = np.abs(found.errors)
    order = np.argsort(-size, kind="stable")[:count]
    memory: Any = agent
    names, read = action_names(agent.env), _reader(agent)
    transitions = [
        {
            "time": int(found.time[i]),
            "observation": read(found.observations[i]),
            "next": read(found.next_observations[i]) if found.discounts[i] else None,
            "action": names[int(found.actions[i])],
            "reward": float(found.rewards[i]),
            "terminated": bool(found.discounts[i] == 0),
            "q": float(found.q[i]),
            "target": float(found.targets[i]),
            "error": float(found.errors[i]),
        }
        for i in order
    ]
    return {
        "stored": min(memory.replay.count, memory.replay.rows) * memory.config.num_envs,
        "computed": len(size),
        "first": int(found.time[0]),
        "last": int(found.time[-1]),
        "n": memory.replay.n,
        "gamma": memory.config.gamma,
        "alpha": memory.config.alpha,
        "numbers": _names(agent),
        "transitions": transitions,
        "errors": {**_histogram(size), **_over_time(found.time, size)},
        "priorities": None
        if found.stored is None
        else {**_histogram(found.stored), **_over_time(found.time, found.stored)},
        "correlation": None if found.stored is None else _rank_correlation(found.stored, found.priorities),
        "time": agent.time,
    }


def _histogram(values: NDArray[np.float64]) -> Json:
    """Number of values in each of `BINS` bins, of equal width in log10 with centres x; the first has the rest.

    The bins begin at the first percentile, for |δ| spreads over orders of magnitude.
    """
    known = values[np.isfinite(values)]
    logs = np.log10(known[known > 0])
    low, high = (float(np.percentile(logs, 1)), float(logs.max())) if len(logs) else (-1.0, 0.0)
    width = max(high - low, 1e-6) / BINS
    place = np.zeros(len(known), np.int64)
    place[known > 0] = ((logs - low) / width).astype(np.int64).clip(0, BINS - 1)
    return {
        "x": rounded(low + (np.arange(BINS) + 0.5) * width),
        "counts": np.bincount(place, minlength=BINS).tolist(),
        "middle": float(np.median(known)) if len(known) else None,
        "largest": float(known.max(initial=0.0)),
    }


def _over_time(time: NDArray[np.int64], values: NDArray[np.float64]) -> Json:
    """The median, 90th percentile and largest value of the transitions of each of `PERIODS` periods; null without."""
    ends = np.linspace(time[0], time[-1] + 1, min(PERIODS, len(time)) + 1)
    parts = [values[(time >= low) & (time < high)] for low, high in pairwise(ends)]
    parts = [part[np.isfinite(part)] for part in parts]
    statistics = {"median": 50, "high": 90, "largest_of_period": 100}
    rows = {
        name: rounded(np.array([np.percentile(part, share) if len(part) else np.nan for part in parts]))
        for name, share in statistics.items()
    }
    return {"periods": rounded((ends[:-1] + ends[1:]) / 2), **rows}


def _rank_correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    """Spearman's correlation between the priorities of transitions as stored and as they would be now."""
    known = np.isfinite(one)
    if known.sum() < 3 or np.ptp(one[known]) == 0 or np.ptp(other[known]) == 0:
        return None
    first, second = (np.argsort(np.argsort(x[known])).astype(np.float64) for x in (one, other))
    return float(np.corrcoef(first, second)[0, 1])


def _names(agent: "Agent") -> list[str]:
    """Names of the numbers of an observation; none of images."""
    from rlgen.envs.planes import Coordinates

    return [] if agent.env.preprocessing.image else [number.name for number in Coordinates(agent.env).described]


def _reader(agent: "Agent") -> Any:
    """A function that turns an observation into a list of its numbers or, of an image, into a data URL."""
    if agent.env.preprocessing.image:
        return lambda observation: png(picture(observation, agent.env.frame_stack))
    from rlgen.envs.planes import Coordinates

    coordinates = Coordinates(agent.env)
    return lambda observation: rounded(np.array(coordinates.read(observation)))
