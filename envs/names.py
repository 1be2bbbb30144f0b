"""Names of environments: short ones, and every gymnasium id."""

import re
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from rlgen.core.errors import UserError, did_you_mean
from rlgen.envs.minatar import GAMES

FAMILIES = {  # family -> (short names in `rlgen list envs`, where they come from)
    "classic control": (["CartPole", "Acrobot", "MountainCar"], "included"),
    "toy text": (["FrozenLake", "FrozenLake8x8", "Taxi", "CliffWalking"], "included"),
    "rlgen": (["GridWorld", "Catch", "CartPoleHidden"], "included"),
    "Box2D": (["LunarLander"], "pip install 'rlgen[box2d]'"),
    "MinAtar": ([f"MinAtar/{game}" for game in GAMES], "pip install 'rlgen[minatar]'"),
    "Atari": (["Pong", *GAMES, "BeamRider", "Enduro", "MsPacman", "Qbert"], "pip install 'rlgen[atari]'"),
}

# Names of Atari games from before ALE/...-v5: Pong-v4, PongNoFrameskip-v4, Pong-ramDeterministic-v4, ALE/Pong-ram-v5.
OLD_ATARI = re.compile(
    r"(ALE/)?(?P<game>\w+?)((?P<memory>-ram)(NoFrameskip|Deterministic)?(-v\d+)?"
    r"|(NoFrameskip|Deterministic)(-v\d+)?|-v[04])",
    re.IGNORECASE,
)


PERMITTED: set[str] | None = None  # modules that a name may import; None: all. The page of foreign runs sets it


class ModuleRefused(UserError):
    """An environment whose module may not be imported without permission."""

    def __init__(self, module: str) -> None:
        super().__init__(f"the environment is registered by the import of the module {module!r}, which was not allowed")
        self.module = module


def listing() -> Iterator[tuple[str, str, str]]:
    """(short name, gymnasium id, family and installation) of every environment in FAMILIES."""
    for family, (names, installation) in FAMILIES.items():
        for name in names:
            yield name, resolve(name), f"{family}: {installation}"


def canonical(task: str, *, data: str | None = None, fallback: bool = True) -> tuple[str, str | None]:
    """The short name of an environment, and no notice: an environment has no files and no stand-in."""
    return short(resolve(task)), None


def resolve(name: str) -> str:
    """The gymnasium id of `name`; letter case, version and namespace are optional.

    `module:Name-v0`, an environment registered by the import of a module, is returned unchanged.
    Raises UserError for an unknown name and for the old names of Atari games, like PongNoFrameskip-v4.
    """
    if ":" in name:
        return name
    if name in gym.registry:
        refuse_raw_atari(gym.registry[name], name)
        return name
    known: dict[str, str] = {}
    games = [f"ALE/{game}-v5" for game in FAMILIES["Atari"][0]]  # resolved before ale-py has registered them
    for identity in sorted({*gym.registry, *games}, key=_rank):  # later entries win
        for alias in (identity, _bare(identity), identity.split("/")[-1], _bare(identity).split("/")[-1]):
            known[alias.lower()] = identity
    if (old := OLD_ATARI.fullmatch(name)) and (game := known.get(old["game"].lower(), "")).startswith("ALE/"):
        raise _old_atari(name, game, memory=bool(old["memory"]))
    if identity := known.get(name.lower(), ""):
        if identity in gym.registry:
            refuse_raw_atari(gym.registry[identity], name)
        return identity
    arcade = find_spec("ale_py") is not None
    if arcade and not any(identity.startswith("ALE/") for identity in gym.registry):
        import_module("ale_py")  # registers its games; imported only here because it takes half a second
        return resolve(name)
    bare = {_bare(identity) for identity in known.values() if not _outdated(identity)}
    hint = did_you_mean(name, bare if "/" in name else {identity.split("/")[-1] for identity in bare})
    more = "" if arcade else ", Atari games after `pip install 'rlgen[atari]'`"
    raise UserError(
        f"no environment {name!r}{hint or f': `rlgen list envs` names some, and any gymnasium id is accepted{more}'}"
    )


def module_of(task: str) -> str | None:
    """The module that is imported for the environment `module:Name-v0`; None for any other."""
    return task.rpartition(":")[0] or None


def specification(name: str) -> EnvSpec:
    """The registry entry of an id; for `module:Name-v0` the module, which registers it, is imported first.

    Raises ImportError for the module, and gymnasium's errors for the id; ModuleRefused where not every module may be
    imported, and not this one.
    """
    module, _, identity = name.rpartition(":")
    if module and PERMITTED is not None and module not in PERMITTED:
        raise ModuleRefused(module)
    if module:
        import_module(module)
    return gym.spec(identity)


def short(identity: str) -> str:
    """The shortest name that resolves to `identity`: `CartPole` for the newest version, the id for an older one."""
    for name in (_bare(identity.split("/")[-1]), _bare(identity)):
        try:
            if resolve(name) == identity:
                return name
        except UserError:
            pass
    return identity


def refuse_raw_atari(spec: EnvSpec, name: str) -> None:
    """Raise UserError for a game of ale-py with raw frames, without preprocessing; `name` is the name that was typed.

    These are the names older than ALE/...-v5. Accepted are an environment with wrappers of its own, which
    preprocess the frames, and one that observes the memory of the console.
    """
    raw = spec.kwargs.get("obs_type", "rgb") != "ram" and not spec.additional_wrappers
    if "ale_py" not in str(spec.entry_point) or not raw or re.fullmatch(r"ALE/\w+-v5", spec.id):
        return
    game = spec.kwargs.get("game")
    games = {other.kwargs.get("game"): other.id for other in gym.registry.values() if other.id.startswith("ALE/")}
    raise _old_atari(name, games[game])


def _old_atari(name: str, game: str, memory: bool = False) -> UserError:
    """The refusal of an old name of the game with the id `game`."""
    observed = (
        "the 128 bytes of the console's memory" if memory else "raw frames of 210 x 160 pixels, without preprocessing"
    )
    never = ", with --repeat-action-probability 0 for no repeated actions as in v4" if name.endswith("-v4") else ""
    return UserError(f"{name} observes {observed}: the game for agents is {game}, type {short(game)}{never}")


def _bare(identity: str) -> str:
    return re.sub(r"-v\d+$", "", identity)


def _rank(identity: str) -> tuple[bool, bool, int]:
    """Sort key: old names of Atari games first, then ids with a namespace before those without, then by version."""
    version = re.search(r"-v(\d+)$", identity)
    return not _outdated(identity), "/" not in identity, int(version[1]) if version else -1


def _outdated(identity: str) -> bool:
    """Whether this is the name of an Atari game from before ALE/...-v5."""
    spec = gym.registry.get(identity)
    return spec is not None and str(spec.entry_point).startswith("ale_py") and "/" not in identity
