"""The description of a study, study.json: what it takes to repeat it, and to continue it in another process."""

import shutil
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from rlgen import catalog, provenance
from rlgen.core import files, names, seal
from rlgen.core.config import resolve
from rlgen.core.errors import StorageError, UserError, did_you_mean
from rlgen.core.files import PARTIAL, replacing
from rlgen.core.settings import Parallel, Seed
from rlgen.sweep import space, trials
from rlgen.sweep.space import Space

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE, JOURNAL, LOCK = "study.json", "journal.log", "study.lock"
SCHEMA = 1
PATIENCE = 60.0  # seconds of waiting for another process, which holds the lock of a study for less than one
Sampler = Literal["tpe", "random", "grid", "cmaes", "gp"]
Pruner = Literal["none", "sha", "wilcoxon"]
Numbered = Annotated[int, Field(gt=0, le=trials.MOST)]
OptionalNumber = Annotated[int, Field(ge=0, le=1_000)]
Proxy = Annotated[str, Field(pattern=r"^(grpc://[^:/]+:\d{1,5})?$")]
GROWING = ("trials", "finalists", "test_seeds")  # fields that a study which is continued may raise


class Failed(UserError):
    """No trial of a study has a score."""

    code = 3


@dataclass(frozen=True)
class Study:
    """What is searched, how, and in which folder."""

    folder: Path
    algorithm: str
    task: str
    search: Mapping[str, str]  # setting -> its values, as they were typed
    settings: Mapping[str, Any] = field(default_factory=dict)  # of every trial
    preset: str | None = None
    trials: Numbered = 32
    seeds: Parallel = 3  # per trial
    together: Parallel = 1  # trials that are members of one run, where they differ in such numbers alone
    finalists: OptionalNumber = 3  # trials that are trained again on fresh seeds
    test_seeds: OptionalNumber = 5  # per finalist
    seed: Seed = 0  # of the draws of settings, and of the seeds of all runs
    sampler: Sampler = "tpe"
    pruner: Pruner = "none"
    metric: str = ""  # that ranks the trials; empty: the first of the kind that a run has
    storage: Proxy = ""  # grpc://HOST:PORT of an optuna proxy; empty: journal.log in the folder

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name

    @property
    def entry(self) -> catalog.Entry:
        """The algorithm."""
        return catalog.find(self.algorithm)

    @property
    def space(self) -> Space:
        """The dimension of each setting that is searched."""
        from rlgen.core.settings import Plan, Setup

        return space.parse(self.search, (self.entry.config, Setup, Plan))

    @property
    def seeds_in_one_run(self) -> bool:
        """Whether one run trains all seeds of a trial."""
        return any(f.name == "seeds" for f in fields(self.entry.config))

    @property
    def total(self) -> int:
        """Trials of the study: those of a grid are at most its points."""
        return min(self.trials, space.size(self.space)) if self.sampler == "grid" else self.trials

    @contextmanager
    def locked(self) -> "Iterator[None]":
        """Within it no other process changes the journal or the claims. Raises StorageError after a minute."""
        from filelock import FileLock, Timeout

        try:
            with FileLock(self.folder / LOCK, timeout=PATIENCE):
                yield
        except Timeout:
            raise StorageError(
                f"{self.folder / LOCK} has been held by another process for {PATIENCE:.0f} s: end that process,"
                f" then `rlgen sweep --join {self.name}` continues"
            ) from None


def create(study: Study, **facts: Any) -> None:
    """Make the folder with its study.json, in one step. Raises UserError where the name is taken."""
    names.check(study.name)
    partial = study.folder.with_name(f"{PARTIAL}{study.name}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        (partial / trials.CLAIMS).mkdir(parents=True)
        _write(replace(study, folder=partial), name=study.name, **facts)
        if study.folder.exists():
            raise UserError(f"{study.folder} exists: choose another --name, or `rlgen sweep --join {study.name}`")
        partial.rename(study.folder)
    except OSError as error:
        reason = error.strerror or error
        raise StorageError(f"cannot make a study in {study.folder.parent} ({reason}): choose --runs DIR") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def find(runs: Path, name: str) -> Path:
    """The folder of the study at the path `name`, or of this name in `runs`. Raises UserError."""
    for folder in (Path(name), runs / name):
        if (folder / FILE).is_file():
            return folder
    known = [path.parent.name for path in runs.glob(f"*/{FILE}")] if runs.is_dir() else []
    hint = did_you_mean(name, known) or (f": there is {', '.join(sorted(known))}" if known else "")
    raise UserError(f"no study {name!r} in {runs}{hint or ': `rlgen sweep dqn CartPole --search ...` makes one'}")


def load(folder: Path) -> Study:
    """The study in a folder. Raises UserError where its study.json cannot be read or is of another rlgen."""
    path = folder / FILE
    try:
        content = files.read_bytes(path)
        info = files.parse(content)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not isinstance(info, dict) or not seal.is_intact(content):
        raise UserError(f"{path} was changed after it was written: restore it from a copy")
    if info.get("schema") != SCHEMA:
        raise UserError(f"{path} has schema {info.get('schema')} and this rlgen reads {SCHEMA}: install a newer rlgen")
    try:
        return resolve(Study, info, {"folder": folder})
    except (UserError, TypeError) as error:
        raise UserError(f"{path} is not of this rlgen: {error}") from None


def extend(study: Study, given: Mapping[str, Any]) -> Study:
    """The study with larger numbers of trials and tests. Raises UserError for any other difference."""
    larger = resolve(Study, vars(study), given)
    for name in given:
        now, value = getattr(study, name), getattr(larger, name)
        if value == now:
            continue
        if name in GROWING and value > now:
            continue
        if name in GROWING:
            raise UserError(f"--{name.replace('_', '-')} {value}: {study.name} has {now}, and it can only be raised")
        raise UserError(
            f"{study.name} has {_words(name, now)}, not {_words(name, value)}: join it without, or make another study"
        )
    if larger != study:
        with study.locked():
            _write(larger, **_extra(study.folder))
    return larger


def _words(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{name} {' '.join(f'{key}={each}' for key, each in value.items()) or 'of the preset'}"
    return f"{name.replace('_', ' ')} {value}"


def _extra(folder: Path) -> dict[str, Any]:
    """The facts of study.json beside the fields of a study."""
    own = {f.name for f in fields(Study)} | {"schema"}
    return {name: value for name, value in trials.json(folder / FILE).items() if name not in own}


def _write(study: Study, **facts: Any) -> None:
    values = {name: value for name, value in asdict(study).items() if name != "folder"}
    facts = {"created": datetime.now(UTC).isoformat(), "versions": _versions(), "git": provenance.git(), **facts}
    with replacing(study.folder / FILE) as partial:
        partial.write_bytes(seal.dump({"schema": SCHEMA, **values, **facts}))


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = provenance.versions()
    with suppress(PackageNotFoundError):
        found["optuna"] = version("optuna")
    return found
