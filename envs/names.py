"""Short names of environments, and every gymnasium id."""

import re
from collections.abc import Iterator

import gymnasium as gym

from rlgen.core.errors import UserError, did_you_mean

FAMILIES = {  # what `rlgen list` shows, each with what must be installed for it
    "classic control": (["CartPole", "Acrobot", "MountainCar"], "comes with rlgen"),
    "toy text": (["FrozenLake", "FrozenLake8x8", "Taxi", "CliffWalking"], "comes with rlgen"),
    "our own": (["GridWorld", "Catch", "CartPoleHidden"], "comes with rlgen"),
    "box2d": (["LunarLander"], "needs `pip install 'gymnasium[box2d]'`"),
}


def describe() -> Iterator[tuple[str, str, str]]:
    """(short name, gymnasium id, where it comes from) of the environments that have a short name here."""
    for family, (names, needs) in FAMILIES.items():
        for name in names:
            yield name, resolve(name), f"{family}, {needs}"


def resolve(name: str) -> str:
    """The gymnasium id of `name`, whose case, version and namespace may be left out. Raises UserError without one."""
    if ":" in name or name in gym.registry:  # `module:Name-v0` registers on import
        return name
    known: dict[str, str] = {}
    for identity in sorted(gym.registry, key=_rank):  # later entries win: newer versions, and names without a namespace
        for alias in (identity, _bare(identity), identity.split("/")[-1], _bare(identity).split("/")[-1]):
            known[alias.lower()] = identity
    if name.lower() in known:
        return known[name.lower()]
    hint = did_you_mean(name, {_bare(identity) for identity in known.values() if "/" not in identity})
    raise UserError(f"no environment {name!r}{hint or ': `rlgen list` names some, and any gymnasium id will do'}")


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


def _rank(identity: str) -> tuple[bool, int]:
    version = re.search(r"-v(\d+)$", identity)
    return "/" not in identity, int(version[1]) if version else -1
