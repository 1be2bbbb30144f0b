"""An episode in which a person acts, or hands back to the agent, beside the agent's own episode of the same seed."""

from typing import TYPE_CHECKING

from rlgen.core.errors import UserError
from rlgen.ui.actions import fields
from rlgen.ui.actions.agents import Json, frame, rounded, values

if TYPE_CHECKING:
    from rlgen.agents.base import Agent
    from rlgen.agents.episode import Player

OWN = 2_000  # steps of the episode of the agent, at most
DOING = ("start", "step", "stop")


def take_over(agent: "Agent", request: Json, session: Json) -> Json:
    """`do` start: a new episode of a `seed` and the agent's own; step: with an `action`, or null for the agent's."""
    doing = fields.choice(request, "do", DOING)
    if doing == "start":
        return _start(agent, fields.whole(request, "seed", 0, 2**31 - 1, 0), session)
    if doing == "stop":
        _close(session)
        return {}
    player: Player | None = session.get("player")
    if player is None:
        raise UserError("the episode is no longer in memory: start a new one")
    return _step(player, request, session)


def _start(agent: "Agent", seed: int, session: Json) -> Json:
    from rlgen.agents.episode import Player, record
    from rlgen.envs.labels import action_names, idle, keys

    _close(session)
    own = record(agent, seed, OWN, frames=False)
    reason = ""
    try:
        player = Player(agent, seed, pictures=True)
        frame(player)
    except UserError as error:
        player, reason = Player(agent, seed), str(error)
    session["player"], session["renders"] = player, not reason
    names = action_names(agent.env)
    return {
        "names": names,
        "keys": keys(names),
        "idle": idle(names),
        "waits": waits(agent),
        "fps": player.env.fps,
        "reason": reason,
        "score": own.score,
        "scores": rounded(own.rewards.cumsum()),  # (T,) of the agent after each step
        **_shown(player, session),
    }


def _step(player: "Player", request: Json, session: Json) -> Json:
    if player.ended:
        raise UserError("the episode is over: start a new one")
    before, score = player.values, player.score
    action = None
    if request.get("action") is not None:
        action = fields.whole(request, "action", 0, player.env.num_actions - 1)
        if player.action_mask is not None and not player.action_mask[action]:
            raise UserError("this action is not allowed now")
    player.step(action)
    taken = int(before.action) if action is None else action
    return {
        "taken": taken,
        "by": "agent" if action is None else "you",
        "regret": float(before.q.max() - before.q[taken]),
        "reward": player.score - score,
        **_shown(player, session),
    }


def _shown(player: "Player", session: Json) -> Json:
    """What there is to see after a step: the frame or the numbers of the observation, and the values."""
    from rlgen.envs.numbers import Numbers

    shown: Json = {"frame": frame(player) if session["renders"] else None, "numbers": None}
    if not session["renders"] and not player.env.preprocessing.image:
        table = Numbers(player.env)
        read = zip(table.described, table.read(player.env.obs[0]), strict=True)
        shown["numbers"] = [{"name": number.name, "value": value} for number, value in read]
    return {
        **shown,
        **values(player.values),
        "step": int(player.env.length[0]),
        "total": player.score,
        "ended": player.ended,
    }


def waits(agent: "Agent") -> bool:
    """Whether the environment waits for a key: one whose observations are discrete has no time of its own."""
    from rlgen.envs.mdp import sizes

    return sizes(agent.env.preprocessing.space) is not None


def _close(session: Json) -> None:
    player = session.pop("player", None)
    if player is not None:
        player.env.close()
