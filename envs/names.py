"""Short names of environments, and every gymnasium id."""

import re
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec
from rlgen.envs.minatar import GAMES

from rlgen.core.errors import UserError, did_you_mean

FAMILIES = {  # what `rlgen list` shows, each with what must be installed for it
    "classic control": (["CartPole", "Acrobot", "MountainCar"], "comes with rlgen"),
    "toy text": (["FrozenLake", "FrozenLake8x8", "Taxi", "CliffWalking"], "comes with rlgen"),
    "our own": (["GridWorld", "Catch", "CartPoleHidden"], "comes with rlgen"),
    "Box2D": (["LunarLander"], "needs `pip install 'rlgen[box2d]'`"),
    "MinAtar": ([f"MinAtar/{game}" for game in GAMES], "needs `pip install 'rlgen[minatar]'`"),
    "Atari": (
        ["Pong", *GAMES, "BeamRider", "Enduro", "MsPacman", "Qbert"],
        "like some hundred others needs `pip install 'rlgen[atari]'`",
    ),
}


def listing() -> Iterator[tuple[str, str, str]]:
    """(short name, gymnasium id, where it comes from) of the environments that have a short name here."""
    for family, (names, needs) in FAMILIES.items():
        for name in names:
            yield name, resolve(name), f"{family}, {needs}"


def canonical(task: str, *, data: str | None = None, fallback: bool = True) -> tuple[str, str | None]:
    """The short name of an environment, and no notice: an environment has no files and no stand-in."""
    return short(resolve(task)), None


def resolve(name: str) -> str:
    """The gymnasium id of `name`, whose case, version and namespace may be left out. Raises UserError without one."""
    if ":" in name or name in gym.registry:  # `module:Name-v0` registers on import
        return name
    known: dict[str, str] = {}
    games = [f"ALE/{game}-v5" for game in FAMILIES["Atari"][0]]  # known here before ale-py tells of them
    for identity in sorted({*gym.registry, *games}, key=_rank):  # later entries win
        for alias in (identity, _bare(identity), identity.split("/")[-1], _bare(identity).split("/")[-1]):
            known[alias.lower()] = identity
    if name.lower() in known:
        return known[name.lower()]
    arcade = find_spec("ale_py") is not None
    if arcade and not any(identity.startswith("ALE/") for identity in gym.registry):
        import_module("ale_py")  # registers its games; here and not before, for it takes half a second
        return resolve(name)
    bare = {_bare(identity) for identity in known.values() if not _outdated(identity)}
    hint = did_you_mean(name, bare if "/" in name else {identity.split("/")[-1] for identity in bare})
    more = "" if arcade else ", Atari games after `pip install 'rlgen[atari]'`"
    raise UserError(
        f"no environment {name!r}{hint or f': `rlgen list` names some, and any gymnasium id will do{more}'}"
    )


def specification(name: str) -> EnvSpec:
    """What gymnasium knows of an id; of `module:Name-v0` after importing the module, which registers it.

    Raises ImportError and gymnasium's errors.
    """
    module, _, identity = name.rpartition(":")
    if module:
        import_module(module)
    return gym.spec(identity)


def short(identity: str) -> str:
    """The shortest name that leads back: `CartPole` for the newest version, the id itself for an older one."""
    for name in (_bare(identity.split("/")[-1]), _bare(identity)):
        try:
            if resolve(name) == identity:
                return name
        except UserError:
            pass
    return identity


def _bare(identity: str) -> str:
    return re.sub(r"-v\d+$", "", identity)


def _rank(identity: str) -> tuple[bool, bool, int]:
    """Newer versions go before older ones, and names without a namespace before those with one."""
    version = re.search(r"-v(\d+)$", identity)
    return not _outdated(identity), "/" not in identity, int(version[1]) if version else -1


def _outdated(identity: str) -> bool:
    """Atari games by the names they had before they were all called ALE/...-v5."""
    spec = gym.registry.get(identity)
    return spec is not None and str(spec.entry_point).startswith("ale_py") and "/" not in identity
