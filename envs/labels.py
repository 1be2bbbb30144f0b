"""Names of actions, and of the numbers of an observation, where an environment or its documentation has them."""

from typing import Any

from rlgen.envs.vector_env import VectorEnv

ACTIONS = {  # by id without its version, as in the documentation of gymnasium
    "CartPole": ("push left", "push right"),
    "rlgen/CartPoleHidden": ("push left", "push right"),
    "Acrobot": ("torque -1", "torque 0", "torque +1"),
    "MountainCar": ("push left", "no push", "push right"),
    "LunarLander": ("no engine", "left engine", "main engine", "right engine"),
    "FrozenLake": ("left", "down", "right", "up"),
    "CliffWalking": ("up", "right", "down", "left"),
    "Taxi": ("down", "up", "right", "left", "pick up", "drop off"),
    "Blackjack": ("stick", "hit"),
    "rlgen/GridWorld": ("up", "right", "down", "left"),
    "rlgen/Catch": ("left", "stay", "right"),
}
MINATAR = ("no-op", "left", "up", "right", "down", "fire")
NUMBERS = {  # of an observation that is a vector
    "CartPole": ("cart position (m)", "cart velocity (m/s)", "pole angle (rad)", "pole angular velocity (rad/s)"),
    "rlgen/CartPoleHidden": ("cart position (m)", "pole angle (rad)"),
    "Acrobot": ("cos θ1", "sin θ1", "cos θ2", "sin θ2", "angular velocity 1 (rad/s)", "angular velocity 2 (rad/s)"),
    "MountainCar": ("position", "velocity"),
    "LunarLander": ("x", "y", "velocity x", "velocity y", "angle (rad)", "angular velocity", "left leg touches",
                    "right leg touches"),
    "Blackjack": ("own sum", "card of the dealer", "usable ace"),
}  # fmt: skip
FACTORS = {  # a state number as several numbers, the last one running fastest: name and count of each
    "Taxi": (("row of the taxi", 5), ("column of the taxi", 5), ("passenger", 5), ("destination", 4)),
    "CliffWalking": (("row", 4), ("column", 12)),
}
# keys of a keyboard, and words in the name of an action that they stand for; earlier words first
ARROWS = {
    "ArrowLeft": ("left", "torque -1", "stick"),
    "ArrowRight": ("right", "torque +1", "hit"),
    "ArrowUp": ("up", "main engine"),
    "ArrowDown": ("down",),
}
IDLE = ("no-op", "noop", "no push", "no engine", "stay", "torque 0")


def base(name: str) -> str:
    """The id of an environment without its module and version: `CartPole-v1` -> `CartPole`."""
    return name.split(":")[-1].rsplit("-v", 1)[0]


def action_names(env: VectorEnv) -> list[str]:
    """The name of each action; `action 0`, `action 1`, ... where the environment has none."""
    inner: Any = env.environments
    names = ACTIONS.get(base(env.name)) or getattr(inner, "action_names", None)
    if names is None:
        game: Any = getattr(getattr(inner, "envs", [None])[0], "unwrapped", None)
        if hasattr(game, "meaning"):
            names = [MINATAR[number] for number in game.meaning]
        elif hasattr(game, "get_action_meanings"):
            names = [str(name).lower() for name in game.get_action_meanings()]
    if names is None or len(names) != env.num_actions:
        return [f"action {number}" for number in range(env.num_actions)]
    return list(names)


def keys(names: list[str]) -> dict[str, int]:
    """Keys of a keyboard (as in `KeyboardEvent.key`) and the index of the action of each.

    1, 2, ... 9, 0 in the order of the actions; an arrow for the action that is named after its direction, and the
    space bar for `fire`. An arrow that finds no action has no entry.
    """
    found = {str((number + 1) % 10): number for number in range(min(10, len(names)))}
    for key, words in ARROWS.items():
        ranked = [(words.index(word), len(name), i) for i, name in enumerate(names) for word in words if word in name]
        if ranked:
            found[key] = min(ranked)[2]
    if "fire" in names:
        found[" "] = names.index("fire")
    return found


def idle(names: list[str]) -> int | None:
    """The index of the action that does nothing; None where every action does something."""
    return next((number for number, name in enumerate(names) if name in IDLE), None)
