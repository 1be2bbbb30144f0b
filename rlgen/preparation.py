"""From the words of a command line to settings and an algorithm: tasks, presets, scaling with the budget, checks."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from typing import Any, TypeVar

from rlgen import catalog, kinds, members
from rlgen.catalog import Entry
from rlgen.core import algorithm as protocols
from rlgen.core import description, divergence, processes, torchrun
from rlgen.core.algorithm import Algorithm, missing
from rlgen.core.config import check_names, flag, refuse_unused, resolve, scaled, unused
from rlgen.core.errors import UserError
from rlgen.core.folder import Folder
from rlgen.core.former_names import current_settings
from rlgen.core.settings import Plan, Setup
from rlgen.core.trust import check as check_module

POINTS = 20  # lines in the log of a run, at least, unless --log-every is typed
DESCRIBED = {  # in run.json -> its type
    "algorithm": (str, "a text"), "task": (str, "a text"), "config": (dict, "an object"),
    "setup": (dict, "an object"), "plan": (dict, "an object"), "seed": (int, "an integer"),
    "threads": (int, "an integer"), "time": (int, "an integer"),
}  # fmt: skip
T = TypeVar("T")


def canonical(entry: Entry, task: str, *, data: str | None = None, fallback: bool = True) -> tuple[str, str | None]:
    """The canonical name of an environment or dataset, and a notice for the user where another dataset is taken.

    Raises UserError for an unknown one; where another kind of algorithm trains on it, the message names one.
    """
    with _named_kind(entry, task):
        return entry.kind.tasks.canonical(task, data=data, fallback=fallback)


def resolved(entry: Entry, task: str) -> str:
    """The full name of an environment or dataset, which may not be here. Raises UserError like `canonical`."""
    with _named_kind(entry, task):
        return entry.kind.tasks.resolve(task)


@contextmanager
def _named_kind(entry: Entry, task: str) -> Iterator[None]:
    """Within it the error about a task on which another kind of algorithm trains names one."""
    kind = entry.kind
    try:
        yield
    except UserError as error:
        others = [other for other in kinds.KINDS.values() if other.room != kind.room]
        for other in others if type(error) is UserError else ():  # a folder that is missing is a dataset all the same
            if found := _resolved(other, task):
                raise UserError(
                    f"{found} is {other.task}, and {entry.name} trains on {kind.task}:"
                    f" try `rlgen {catalog.first(other, found).name} {task}` or `rlgen {entry.name} {entry.task}`"
                ) from None
        raise


def preset_names(
    entry: Entry, task: str, preset: str | None = None, typed: Mapping[str, Any] | None = None
) -> list[str]:
    """The names under which the presets of a task are looked up: short, full, and with `:preset` added.

    Where settings select presets, such as the network of a classifier, also these with ` --network lenet5` added; the
    value is that of `typed` settings or of the presets so far.
    """
    full = entry.kind.tasks.resolve(task)
    names = list(dict.fromkeys([entry.kind.tasks.short(full), full]))
    special = [f"{name}:{preset}" for name in names] if preset else []
    if preset and not set(special) & set(entry.tuned_for):
        others = ", ".join(name.replace(":", " with --preset ") for name in entry.tuned_for if ":" in name)
        hint = f"; there is {others}" if others else ""
        raise UserError(f"--preset {preset}: {entry.name} has no preset of that name for {task}{hint}")
    names += special
    chosen = {name: value for name, value in (typed or {}).items() if name in entry.selects and value is not None}
    for setting in entry.selects:
        value = getattr(resolve(entry.config, *entry.presets(*names), chosen), setting)  # in its usual spelling
        names += [f"{name} {flag(setting)} {value}" for name in names if " --" not in name]
    return names


def settings_of(entry: Entry, names: list[str], typed: Mapping[str, Any]) -> tuple[Any, Setup, Plan]:
    """The settings of an algorithm, of the run and of its plan: `typed` over the presets of a task with these `names`.

    Presets are scaled by the ratio of the typed budget to theirs, and log at least `POINTS` lines.
    """
    presets = entry.presets(*names)
    budget = resolve(Plan, *presets, typed).budget
    factor = budget / resolve(Plan, *presets).budget

    def resolved(settings: type[T]) -> T:
        return resolve(settings, *presets, scaled(settings, factor, *presets), points, typed)

    points: dict[str, int] = {}
    points = {"log_every": min(resolved(Plan).log_every, max(1, budget // POINTS))}
    return resolved(entry.config), resolved(Setup), resolved(Plan)


def entry_of(folder: Folder) -> Entry:
    """The catalog entry of a run. Raises UserError for a folder that was not made here."""
    return catalog.find(described(folder)["algorithm"])


def described(folder: Folder) -> dict[str, Any]:
    """The content of run.json. Raises UserError where what is needed to load a run is missing or of another type."""
    info = folder.info
    for name, (kind, what) in DESCRIBED.items():
        if name not in info:
            raise UserError(f"run.json of {folder.name} lacks {name!r}: it was not made by this rlgen")
        if not isinstance(info[name], kind) or isinstance(info[name], bool):
            raise UserError(f"run.json of {folder.name} is not of this rlgen: {name!r} is not {what}")
    return info


def saved_settings(folder: Folder, trust: bool = False) -> tuple[Entry, Any, Setup]:
    """The catalog entry of a run and its settings. Raises UserError for a folder that was not made here.

    Raises CheckpointError where run.json was changed after it was written, and Untrusted where its task is of a module
    and there is no `trust` to import it.
    """
    description.read(folder.directory, sealed=True)
    info = described(folder)
    same = info.get("processes", 1) == torchrun.count()  # with more or fewer processes, as many threads as are fastest
    try:
        entry = catalog.find(info["algorithm"])
        if not trust:
            check_module(folder.name, entry.kind.tasks.module_of(info["task"]))
        config = current_settings(entry.config, info["config"])
        for settings, given in ((entry.config, config), (Setup, info["setup"])):
            check_names(given, (settings,), f"run.json of {folder.name}")
        return (
            entry,
            resolve(entry.config, config),
            resolve(Setup, {**info["setup"], **({"threads": info["threads"]} if same else {})}),
        )
    except KeyError as error:
        raise UserError(f"run.json of {folder.name} lacks {error}: it was not made by this rlgen") from None


def check_methods(entry: Entry) -> None:
    """Raise UserError for an algorithm that is not finished."""
    if lacking := missing(entry.algorithm, getattr(protocols, entry.kind.name.title(), Algorithm)):
        raise UserError(
            f"{entry.algorithm.__name__} does not implement {', '.join(lacking)}: see rlgen/core/algorithm.py"
        )


def make(
    entry: Entry,
    task: str,
    config: Any,
    setup: Setup,
    given: Mapping[str, Any] | None = None,
    batch: Sequence[Mapping[str, Any]] = (),
) -> Algorithm:
    """The algorithm, of a `batch` of members where there are any.

    Raises UserError where a `given` option has no effect, or options contradict each other.
    """
    if given is not None:
        refuse_unused(config, given)
        if hasattr(config, "check"):
            config.check(given)
    if torchrun.count() > 1:
        if not processes.shares_steps(entry.algorithm):
            raise UserError(
                f"torchrun: {entry.name} trains in one process: start `rlgen {entry.name} {task}` without it"
            )
        torchrun.check(config)
    parts = (members.settings_of(entry, config, setup, batch),) if batch else ()
    made: Algorithm = entry.algorithm_for(entry.kind.tasks.resolve(task))(task, config, setup, *parts)
    return made


def check_plan(plan: Plan, entry: Entry, algorithm: Algorithm) -> None:
    """Raise UserError for a condition on scores where evaluations have none, and a rollback without a rate to lower."""
    if plan.on_divergence == "rollback":
        divergence.check_rollback(algorithm, entry.name)
    if algorithm.score is not None:
        return
    way = ": give it a --validation share" if entry.algorithm.score is not None else ""
    if not math.isinf(plan.stop_at):
        raise UserError(f"--stop-at {plan.stop_at:g}: {entry.name} has no score that ranks its evaluations{way}")
    if plan.patience:
        raise UserError(f"--patience {plan.patience}: {entry.name} has no score that ranks its evaluations{way}")


def changed(settings: Any) -> dict[str, Any]:
    """Settings other than the defaults, without those that have no effect beside the others or are `unshown`."""
    defaults, idle = (
        {f.name: f.default for f in fields(settings)},
        {*unused(settings), *getattr(settings, "unshown", ())},
    )
    values = plain(settings).items()
    return {name: v for name, v in values if getattr(settings, name) != defaults[name] and name not in idle}


def plain(settings: Any) -> dict[str, Any]:
    """As strict JSON: infinity is written as a word."""
    return {name: str(v) if isinstance(v, float) and math.isinf(v) else v for name, v in asdict(settings).items()}


def _resolved(kind: kinds.Kind, task: str) -> str | None:
    try:
        return kind.tasks.resolve(task)
    except (UserError, ImportError):
        return None
