"""The runs of TOML files: a table per run, headed by its name; what stands above the tables holds for all of a file.

budget = 30_000

[cartpole]
command = "dqn"
task = "CartPole"
seed = [0, 1, 2]        # three runs: cartpole-seed-0, cartpole-seed-1, cartpole-seed-2
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from rlgen import catalog, preparation
from rlgen.core import files, names
from rlgen.core.config import flag, options, other_name, word
from rlgen.core.errors import UserError, did_you_mean
from rlgen.core.settings import Plan, Setup
from rlgen.queue.job import Job

OPTIONS = ("command", "task", "preset", "fallback")  # what a table has besides settings
EXAMPLES = {"command": "dqn", "task": "CartPole"}
KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
T = TypeVar("T")
HEADER, KEY = re.compile(r"\s*\[+\s*([^\[\]]+?)\s*\]"), re.compile(r"\s*(\"[^\"]*\"|'[^']*'|[\w-]+)\s*=")


def read(paths: Sequence[Path], runs: Path) -> list[Job]:
    """The runs of the files in their order, for the folder `runs`.

    Raises UserError, with the file and the line, for what cannot be trained.
    """
    found: dict[str, Job] = {}
    for path in paths:
        for job in _File(path, runs).jobs():
            other = found.setdefault(job.name.lower(), job)
            if other is not job:
                raise UserError(f"{job.place}: {other.place} has a run of the name {other.name}, too: choose another")
    return list(found.values())


class _File:
    """A file, and where its names stand."""

    def __init__(self, path: Path, runs: Path) -> None:
        self.path, self.runs = path, runs
        try:
            text = files.read_text(path)
            self.content = tomllib.loads(text)
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror or error}") from None
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path} is not valid TOML: {' '.join(str(error).split())}") from None
        self.lines = _lines(text)

    def jobs(self) -> Iterator[Job]:
        """The runs of all tables."""
        common = {name: value for name, value in self.content.items() if not _is_table(value)}
        tables = {name: value for name, value in self.content.items() if _is_table(value)}
        if not tables:
            raise UserError(f"{self.path} holds no run: a run is a table [NAME] with command, task and settings")
        for name, table in tables.items():
            if not isinstance(table, dict):
                self._fail(name, "", f"a run is a table [{name}], not a list of tables")
            if inner := next((key for key, value in table.items() if isinstance(value, dict)), None):
                self._fail(name, inner, f'a run has no table in it; a name with a dot is quoted: ["{name}.{inner}"]')
            yield from self._jobs(name, {key.replace("-", "_"): value for key, value in {**common, **table}.items()})

    def _jobs(self, name: str, given: dict[str, Any]) -> Iterator[Job]:
        """The runs of a table, one per seed."""
        seeds = given.get("seed")
        if not isinstance(seeds, list):
            yield self._job(name, name, given)
            return
        if not seeds or any(isinstance(seed, bool) or not isinstance(seed, int) for seed in seeds):
            self._fail(name, "seed", f"seed is {seeds}: it takes a whole number, or a list of such")
        for seed in {seed for seed in seeds if seeds.count(seed) > 1}:
            self._fail(name, "seed", f"seed {seed} stands in the list twice")
        for seed in seeds:
            yield self._job(f"{name}-seed-{seed}", name, {**given, "seed": seed})

    def _job(self, name: str, table: str, given: dict[str, Any]) -> Job:
        self._check(table, "", lambda: names.check(name))
        for key in EXAMPLES:
            if key not in given:
                self._fail(table, "", f'[{table}] has no {key}, such as {key} = "{EXAMPLES[key]}"')
        for key in OPTIONS:
            kind: type = bool if key == "fallback" else str
            if key in given and not isinstance(given[key], kind):
                self._fail(table, key, f"{key} is {_shown(given[key])}: it takes {KINDS[kind]}")
        command = given["command"].lower()
        if command not in catalog.CATALOG:
            hint = did_you_mean(command, catalog.CATALOG) or f": there are {', '.join(catalog.CATALOG)}"
            self._fail(table, "command", f"no algorithm {given['command']!r}{hint}")
        entry, task, preset = catalog.CATALOG[command], given["task"], given.get("preset")
        settings = {key: value for key, value in given.items() if key not in OPTIONS}
        for key, value in settings.items():
            self._check_setting(table, entry, key, value)
        self._check(table, "task", lambda: preparation.resolved(entry, task))
        resolved = self._check(table, "preset", lambda: preparation.preset_names(entry, task, preset, settings))
        _, _, plan = self._check(table, "", lambda: preparation.settings_of(entry, resolved, settings), settings)
        extra = ("--preset", preset) if preset else ()
        if "fallback" in given and entry.kind.fallback:
            extra = (*extra, "--fallback" if given["fallback"] else "--no-fallback")
        return Job(name, f"{self.path}:{self._line(table, '')}", entry, task, settings, plan, self.runs, extra)

    def _check_setting(self, table: str, entry: catalog.Entry, key: str, value: Any) -> None:
        """Fail for a setting that the algorithm does not have, or a value of another type."""
        kinds = (entry.config, Setup, Plan)
        if key == "name":
            self._fail(table, key, f"the name of a run is that of its table, [{table}]")
        types = {option.name: option.type for each in kinds for option in options(each)}
        if key not in types:
            hint = other_name(key, kinds) or did_you_mean(key, (*types, *OPTIONS))
            hint = hint or f": it may set {', '.join(types)}"
            self._fail(table, key, f"{entry.name} has no setting {key!r}{hint}")
        wanted = types[key] if types[key] in KINDS else str  # one of several words is a text
        fits = isinstance(value, (int, float) if wanted in (int, float) else wanted)
        if not fits or isinstance(value, bool) != (wanted is bool):
            self._fail(table, key, f"{key} is {_shown(value)}: it takes {KINDS[wanted]}")

    def _check(self, table: str, key: str, check: Callable[[], T], settings: Iterable[str] = ()) -> T:
        """The result of `check`; its error is named with the line of `key`, or of the setting that it begins with."""
        try:
            return check()
        except UserError as error:
            blamed = next((name for name in settings if str(error).startswith(f"{flag(name)} ")), key)
            self._fail(table, blamed, str(error))

    def _fail(self, table: str, key: str, reason: str) -> NoReturn:
        raise UserError(f"{self.path}:{self._line(table, key)}: {reason}")

    def _line(self, table: str, key: str) -> int:
        """The line of a key in a table or above all; that of the table where the key is not found."""
        found = (self.lines.get(where) for where in ((table, key), ("", key), (table, "")))
        return next((line for line in found if line), 1)


def _lines(text: str) -> dict[tuple[str, str], int]:
    """(table, key) -> its line; the key of a table is empty, and so is the table of what stands above all."""
    found: dict[tuple[str, str], int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := HEADER.match(line):
            table = header[1].strip("\"'")
            found.setdefault((table, ""), number)
        elif key := KEY.match(line):
            found.setdefault((table, key[1].strip("\"'").replace("-", "_")), number)
    return found


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, dict) for item in value))


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str) else word(value) if not isinstance(value, list) else str(value)
