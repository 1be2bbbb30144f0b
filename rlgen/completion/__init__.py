"""Words that complete a command line, from a static table and the folder of runs. Imports no torch and no typer.

The shell starts `rlgen` with RLGEN_COMPLETE=SHELL and the words up to the cursor; `rlgen.__main__` then calls `main`.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

from rlgen.core.files import opened

VARIABLE = "RLGEN_COMPLETE"  # environment variable with the name of the shell
LINES = 20  # of a log, read for the names of its metrics
BYTES = 65_536  # of a file of a run that are read
PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-")  # not quoted in bash


def main() -> None:
    """Print the completions of the words on the command line, one per line; nothing after any error."""
    shell = os.environ[VARIABLE]
    try:
        words = split_options(sys.argv[1:]) if shell == "bash" else sys.argv[1:]
        found = list(complete(words or [""]))
    except Exception:  # a traceback between the words of a prompt helps nobody
        return
    for word, text in found:
        if word.isprintable():
            quoted = "".join(c if c in PLAIN else f"\\{c}" for c in word) if shell == "bash" else word
            print(f"{quoted}\t{text}" if shell != "bash" else quoted)


def split_options(words: list[str]) -> list[str]:
    """The words of bash, which splits `--network=vgg` into three, as the shell passes them to a command."""
    joined: list[str] = []
    for word in words:
        glue = joined and (word == "=" or (joined[-1].endswith("=") and joined[-1].startswith("--")))
        if glue:
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def complete(words: list[str]) -> Iterator[tuple[str, str]]:
    """Completions of the last of `words`, each with a short text. Values of `--option=` are without the option."""
    *before, last = words
    table: dict[str, Any] = json.loads((files(__package__) / "table.json").read_text("utf-8"))
    name = next((word for word in before if not word.startswith("-")), None)
    if name is None:
        yield from _starting(((key, entry["help"]) for key, entry in table["commands"].items()), last)
        yield from _starting((("--help", "Show this message"), ("--version", "Print the version")), last)
        return
    command = table["commands"].get(name.lower())
    if command is None:
        return
    options: dict[str, Any] = {**table["settings"].get(command["settings"], {}), **command["options"]}
    given = before[before.index(name) + 1 :]
    option, _, value = last.partition("=")
    if option.startswith("--") and "=" in last:
        yield from _values(options.get(option, ""), value, table, name, given)
    elif given and options.get(given[-1]):
        yield from _values(options[given[-1]], last, table, name, given)
    elif last.startswith("-"):
        typed = {word.partition("=")[0] for word in given}
        yield from _starting(((flag, "") for flag in options if flag not in typed), last)
    elif command["arguments"]:
        place = sum(1 for i, w in enumerate(given) if not w.startswith("-") and not (i and options.get(given[i - 1])))
        kinds: list[Any] = command["arguments"]
        several = str(kinds[-1]).endswith("...")
        if place < len(kinds) or several:
            taken = [word for word in given if not word.startswith("-")]
            kind = kinds[min(place, len(kinds) - 1)]
            kind = kind.removesuffix("...") if isinstance(kind, str) else kind
            found = _values(kind, last, table, name, given)
            yield from ((word, text) for word, text in found if word not in taken)


def _values(
    kind: str | list[str], last: str, table: dict[str, Any], name: str, given: list[str]
) -> Iterator[tuple[str, str]]:
    """Values of an option or argument of this kind that begin with `last`; none for files, which the shell knows."""
    command, runs = table["commands"][name.lower()], _runs(given)
    if isinstance(kind, list):
        yield from _starting(((choice, "") for choice in kind), last)
        return
    if kind in ("runs", "networks or runs"):
        yield from _starting([("latest", "the newest run")] * (kind == "runs"), last)
        yield from _starting(((path.name, "") for path in _folders(runs)), last)
    if kind in ("networks", "networks or runs"):
        yield from _starting(table["networks"].items(), last)
    if kind == "tasks":
        yield from _starting(((task, "") for task in table["tasks"].get(command["kind"], ())), last)
    elif kind == "presets":
        names = table["presets"].get(name.lower(), {})
        tasks = {task.lower(): found for task, found in names.items()}
        typed = next((tasks[word.lower()] for word in given if word.lower() in tasks), None)
        yield from _starting(((preset, "") for preset in typed or sorted({n for f in names.values() for n in f})), last)
    elif kind == "metrics":
        done, comma, part = last.rpartition(",")
        yield from ((f"{done}{comma}{word}", text) for word, text in _starting(_metrics(runs, given, table), part))
    elif kind == "tags":
        lists = [_read(path / "labels.json").get("tags") for path in _folders(runs)]
        tags = {str(tag) for found in lists if isinstance(found, list) for tag in found}
        yield from _starting(((tag, "") for tag in sorted(tags)), last)
    elif kind in ("topics", "algorithms", "lessons"):
        yield from _starting(((key, "") for key in table[kind]), last)


def _starting(words: Iterable[tuple[str, str]], last: str) -> Iterator[tuple[str, str]]:
    """Those that begin with `last`, in any case."""
    return ((word, text) for word, text in words if word.lower().startswith(last.lower()))


def _runs(given: list[str]) -> Path:
    """The folder of runs, as the command will choose it."""
    typed = dict(pairwise(given)).get("--runs")
    typed = typed or next((word.partition("=")[2] for word in given if word.startswith("--runs=")), None)
    return Path(typed or os.environ.get("RLGEN_RUNS") or "runs").expanduser()


def _folders(runs: Path) -> list[Path]:
    """Folders of runs, the newest first."""
    if not runs.is_dir():
        return []
    with os.scandir(runs) as entries:
        found = [(entry.stat().st_mtime, entry.path) for entry in entries if _is_run(entry)]
    return [Path(path) for _, path in sorted(found, reverse=True)]


def _is_run(entry: "os.DirEntry[str]") -> bool:
    return not entry.name.startswith(".") and entry.is_dir() and Path(entry.path, "run.json").is_file()


def _metrics(runs: Path, given: list[str], table: dict[str, Any]) -> list[tuple[str, str]]:
    """Metrics in the logs of the runs that are typed, or of the newest."""
    typed = [path for path in _folders(runs) if path.name in given] or _folders(runs)[:1]
    found: dict[str, str] = {}
    for path in typed:
        try:
            with opened(path / "metrics.jsonl") as log:
                rows = [json.loads(line) for line in log.read(BYTES).splitlines()[:LINES]]
        except (OSError, ValueError, RecursionError):
            continue
        names = (name for row in rows if isinstance(row, dict) for name in row)
        found |= {name: "" for name in names if name not in ("time", "check")}
    return list((found or dict.fromkeys(table["metrics"], "")).items())


def _read(path: Path) -> dict[str, Any]:
    try:
        with opened(path) as file:
            found = json.loads(file.read(BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
