"""Maps of V(s) over two numbers of the observation, the others fixed, and Bellman backups of single cells.

Shapes: R rows, C columns, A actions; n observations.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rlgen.core.errors import UserError
from rlgen.ui.actions import fields
from rlgen.ui.actions.agents import rounded

if TYPE_CHECKING:
    from rlgen.agents.base import Agent
    from rlgen.envs.planes import Coordinates, Range

RESOLUTION, FINEST = 40, 100  # cells along an axis of real numbers: by default, at most
EPISODES, STEPS = 10, 300  # greedy episodes whose states are counted, and steps of each, at most
LIMIT = 1e9  # of a number of an observation
MOST = 20_000  # cells of a map

Json = dict[str, Any]


def value_map(agent: "Agent", request: Json, session: Json) -> Json:
    """V, the greedy action, visits and, where the transitions are known, V* of every cell, (R, C); null if unknown.

    `axes` are the indices of the horizontal and the vertical number, `fixed` a value for every number, `ranges` the
    ends of both axes, `resolution` the cells along an axis of real numbers; each is chosen where it is missing, and is
    in the answer, so that a later map can be of the same cells.
    """
    from rlgen.envs import transitions
    from rlgen.envs.labels import action_names
    from rlgen.envs.planes import Coordinates, Plane

    coordinates = Coordinates(agent.env)
    axes, fixed, ranges = chosen(agent, coordinates, request, session)
    plane = Plane(coordinates, axes, fixed, ranges)
    numbers = transitions.states(agent.env, plane.observations)
    allowed = transitions.allowed(agent.env, numbers)
    found = agent.values(plane.observations, episode_start=np.ones(len(plane.observations), bool), action_mask=allowed)
    v, action = found.v.astype(np.float64), found.action.astype(np.float64)
    exact, reason = _optimum(agent)
    compared: Json = {"exact": None, "exact_action": None, "difference": None, "optimal": None}
    if exact is not None and numbers is not None:
        best, reachable = exact.q[numbers], exact.reachable[numbers]
        v, action = (np.where(reachable, x, np.nan) for x in (v, action))
        top = np.where(reachable, best.max(1), np.nan)
        right = np.take_along_axis(best, found.action[:, None], 1)[:, 0] >= best.max(1) - 1e-9
        compared = {
            "exact": rounded(plane.spread(top)),
            "exact_action": rounded(plane.spread(np.where(reachable, best.argmax(1), np.nan))),
            "difference": rounded(plane.spread(v - top)),
            "optimal": float(right[reachable].mean()) if reachable.any() else None,
        }
    visits, source = _visits(agent, plane, fixed, numbers, session)
    cells = [[coordinates.marks.get((int(y), int(x)), "") for x in plane.x] for y in plane.y]
    on_map = coordinates.grid and axes == (1, 0)
    return {
        "numbers": _described(coordinates),
        "axes": list(axes),
        "fixed": rounded(np.array(fixed)),
        "ranges": [[each.low, each.high] for each in ranges],
        "x": rounded(plane.x),
        "y": rounded(plane.y),
        "grid": on_map,
        "marks": cells if on_map else None,
        "v": rounded(plane.spread(v)),
        "action": rounded(plane.spread(action)),
        "visits": visits.tolist(),
        "source": source,
        **compared,
        "reason": reason,
        "names": action_names(agent.env),
        "gamma": agent.config.gamma,
        "recurrent": found.state is not None,
        "time": agent.time,
    }


def backup(agent: "Agent", request: Json, session: Json) -> Json:
    """The Bellman backup r + γ Σ P V(s') of each action in the state of `numbers`, with every outcome.

    Where the transitions are unknown the backups are null, for the `reason` given, and Q remains. `steps` is whether an
    episode can be in this state and go on; null if unknown.
    """
    from rlgen.agents import backups
    from rlgen.envs import transitions
    from rlgen.envs.labels import action_names
    from rlgen.envs.planes import Coordinates

    coordinates = Coordinates(agent.env)
    observation = coordinates.write(fields.numbers(request, "numbers", len(coordinates.described), LIMIT))
    if observation is None:
        raise UserError("this cell is a wall: no state")
    number = transitions.states(agent.env, observation[None])
    mask = transitions.allowed(agent.env, number)
    q = agent.values(observation, episode_start=[True], action_mask=None if mask is None else mask[0]).q
    exact, _ = _optimum(agent)
    try:
        found: list[Any] = backups.backups(agent, observation)
        reason = ""
    except UserError as error:
        found, reason = [None] * len(q), str(error)

    def outcome(each: Any, value: float) -> Json:
        after = transitions.states(agent.env, each.observation[None])
        best = None if exact is None or after is None else float(exact.q[int(after[0])].max()) * (not each.terminated)
        place = coordinates.read(each.observation)
        return {
            "probability": each.probability,
            "reward": each.reward,
            "terminated": each.terminated,
            "v": value,
            "exact": best,
            "numbers": rounded(np.array(place)),
        }

    actions = [
        {
            "name": name,
            "allowed": bool(np.isfinite(value)),
            "q": float(value) if np.isfinite(value) else None,
            "backup": None if each is None else each.total,
            "exact": None if exact is None or number is None else float(exact.q[int(number[0]), i]),
            "outcomes": []
            if each is None
            else [outcome(*pair) for pair in zip(each.outcomes, each.values, strict=True)],
        }
        for i, (name, value, each) in enumerate(zip(action_names(agent.env), q, found, strict=True))
    ]
    return {
        "numbers": rounded(np.array(coordinates.read(observation))),
        "described": _described(coordinates),
        "actions": actions,
        "v": float(q.max()),
        "steps": None if exact is None or number is None else bool(exact.reachable[int(number[0])]),
        "gamma": agent.config.gamma,
        "reason": reason,
        "time": agent.time,
    }


def chosen(
    agent: "Agent", coordinates: "Coordinates", request: Json, session: Json
) -> tuple[tuple[int, int], list[float], "list[Range]"]:
    """The axes, fixed numbers and ranges of a request, chosen where they are missing. Raises UserError for bad ones."""
    from rlgen.envs.planes import Range

    count = len(coordinates.described)
    resolution = fields.whole(request, "resolution", 2, FINEST, RESOLUTION)
    across, down = coordinates.axes()
    if request.get("axes") is not None:
        found = fields.numbers(request, "axes", 2, count - 1)
        across, down = (int(x) for x in found)
        if [across, down] != found or min(found) < 0 or (across == down and count > 1):
            raise UserError(f"axes must be two of the numbers 0 to {count - 1}")
    observations = visited(agent, session)
    fixed = coordinates.typical(observations)
    if request.get("fixed") is not None:
        fixed = fields.numbers(request, "fixed", count, LIMIT)
    ranges = coordinates.ranges((across, down), observations, resolution)
    if request.get("ranges") is not None:
        ranges = [Range(*_ends(pair), resolution) for pair in _pair(request["ranges"])]
    size = 1
    for axis, each in zip((across, down), ranges, strict=True):
        size *= round(each.high - each.low) + 1 if coordinates.described[axis].whole else resolution
    if size > MOST and across != down:
        raise UserError(f"a map of {size:,} cells: at most {MOST:,}; choose other axes")
    return (across, down), fixed, ranges


def visited(agent: "Agent", session: Json) -> NDArray[Any]:
    """Observations (n, *shape) of `EPISODES` greedy episodes of the first seed, in environments of their own."""
    from rlgen.core.seeds import derive

    if "visited" not in session:
        env = agent.make_env(EPISODES, derive(agent.seed, "value map"), restart=False)
        found, state, first = [], None, np.ones(EPISODES, bool)
        for _ in range(STEPS):
            running = ~env.episode_end
            if not running.any():
                break
            found.append(env.obs[running])
            mask = env.action_mask if env.action_mask.shape[1] > 1 else None
            values = agent.values(env.obs, state, first, mask)
            env.step(values.action)
            state, first = values.state, np.zeros(EPISODES, bool)
        env.close()
        session["visited"] = np.concatenate(found)
    observations: NDArray[Any] = session["visited"]
    return observations


def _visits(
    agent: "Agent", plane: Any, fixed: Sequence[float], numbers: NDArray[np.int64] | None, session: Json
) -> tuple[NDArray[Any], str]:
    """Visits of every cell (R, C): of the training where a table counts them, else of greedy episodes."""
    counted: Any = getattr(agent, "visits", None)
    if counted is not None and numbers is not None:
        return np.nan_to_num(plane.spread(counted[0].sum(1)[numbers])).astype(np.int64), "training of the first seed"
    return plane.histogram(visited(agent, session), fixed), f"{EPISODES} greedy episodes"


def _optimum(agent: "Agent") -> tuple[Any, str]:
    """The exact optimum, or None and the reason why there is none to compare with."""
    from rlgen.agents import backups

    config: Any = agent.config
    if getattr(config, "clip_reward", False) or getattr(config, "munchausen", 0):
        return None, "the values are of other rewards than those of the environment"
    if config.gamma >= 1:
        return None, "the discount is 1"
    found = backups.optimum(agent.env.name, float(config.gamma))
    return found, "" if found is not None else f"the transitions of {agent.env.name} are not known as a table"


def _described(coordinates: "Coordinates") -> list[Json]:
    """Name, bounds and words of every number."""
    return [{**each._asdict(), "words": coordinates.words.get(each.name)} for each in coordinates.described]


def _pair(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) != 2:
        raise UserError("ranges must be two pairs of numbers")
    return value


def _ends(pair: Any) -> tuple[float, float]:
    low, high = fields.numbers({"range": pair}, "range", 2, LIMIT)
    if low > high:
        raise UserError(f"a range goes from the lower to the higher number, not from {low:g} to {high:g}")
    return low, high
