"""Members: agents of one process that differ in their seed and in settings that are only numbers.

    batch = [{"lr": lr, "seed": seed} for lr in (1e-4, 1e-3) for seed in range(8)]
    run = rlgen.train("dqn", "CartPole", members=batch, budget=30_000)
    members.scores(run)  # a number for each of them

Every operation of the update is done once for all members. A member draws from the random streams of the run that is
trained alone with its settings and seed (the noise of noisy networks excepted, which members share), and equals it up
to the rounding of stacked matrix products. One whose loss or gradient is not finite keeps its last weights, without
an effect on the others. --stop-at and --patience go by the mean score, as with --seeds.

Which settings may differ is a tuple `by_member` of the settings dataclass of an algorithm. Imports no torch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from rlgen import catalog
from rlgen.catalog import Entry
from rlgen.core.config import check_names, refuse_unused, resolve
from rlgen.core.errors import UserError
from rlgen.core.folder import Folder
from rlgen.core.settings import Setup

MOST = 10_000  # members


def batchable(algorithm: str, names: Iterable[str]) -> bool:
    """Whether runs that differ in no other settings than these can be members of one process."""
    return set(names) <= {"seed", *_by_member(catalog.find(algorithm))}


def scores(run: Folder) -> list[float | None]:
    """The final score of each member, or of each of several seeds; None of one that diverged.

    Raises UserError before the end of the training.
    """
    result = run.info.get("result")
    if not result or "score" not in result:
        raise UserError(f"{run.name} has no final scores yet: `rlgen resume {run.name}` continues it")
    found: list[float | None] = [*result.get("per_seed", [result["score"]])]
    for member in result.get("diverged", ()):
        found[member] = None
    return found


def checked(
    entry: Entry, config: Any, setup: Setup, members: Sequence[Mapping[str, Any]], given: Mapping[str, Any]
) -> Any:
    """The settings that members, if there are any, have in common, with their number as `seeds`.

    Raises UserError for unfit members.
    """
    if not members:
        return config
    if not _by_member(entry):
        raise UserError(f"members: {entry.name} trains one at a time; dqn and its kin train members side by side")
    if given.get("seeds") is not None:
        raise UserError(f"--seeds {given['seeds']}: the number of seeds is that of the members, {len(members)}")
    config = replace(config, seeds=len(members)) if len(members) <= MOST else config
    settings_of(entry, config, setup, members)
    for member in members:
        refuse_unused(config, member)
    return config


def settings_of(entry: Entry, config: Any, setup: Setup, members: Sequence[Mapping[str, Any]]) -> list[tuple[int, Any]]:
    """The seed and the settings of each member; a seed that is not given is that of the run.

    Raises UserError for settings in which members may not differ, or whose values are out of bounds.
    """
    if not isinstance(members, list | tuple) or not all(isinstance(member, Mapping) for member in members):
        raise UserError('members must be a list of settings by name, like [{"lr": 0.001, "seed": 1}]')
    if len(members) > MOST:
        raise UserError(f"members: {len(members):,} are too many, at most {MOST:,}")
    allowed, base, found = _by_member(entry), asdict(config), []
    for number, member in enumerate(members):
        try:
            check_names(member, (entry.config, Setup), entry.name)
            if others := [name for name in member if name not in ("seed", *allowed)]:
                raise UserError(f"members may not differ in {others[0]}, only in seed, {', '.join(allowed)}")
            own = {name: value for name, value in member.items() if name != "seed"}
            seed = resolve(Setup, {"seed": member.get("seed", setup.seed)}).seed
            found.append((seed, resolve(entry.config, base, own)))
        except UserError as error:
            raise UserError(f"member {number}: {error}") from None
    if len({settings for _, settings in found}) > 1 and getattr(config, "schedule", "") == "plateau":
        raise UserError("--schedule plateau goes by one score: members with different settings have one each")
    return found


def described(setup: Setup, members: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The members as run.json has them, each with its seed; nothing without members."""
    return {"members": [{"seed": setup.seed, **member} for member in members]} if members else {}


def of(run: Folder) -> Sequence[Mapping[str, Any]]:
    """The members of a run as its run.json has them; empty without members."""
    found: Sequence[Mapping[str, Any]] = run.info.get("members", ())
    return found


def facts(members: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """A line of the start panel: how many members there are, and in what they differ; none without members."""
    names = dict.fromkeys(name for member in members for name in member)
    return {"members": f"{len(members):,}, each with its own {', '.join(names)}"} if members else {}


def _by_member(entry: Entry) -> tuple[str, ...]:
    return getattr(entry.config, "by_member", ())
