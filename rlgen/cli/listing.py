"""`rlgen list` and `rlgen runs`: what can be trained, and what has been."""

import json
import math
import textwrap
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from rlgen import catalog, kinds, networks
from rlgen.cli.options import Json, Runs, examples
from rlgen.core import studies
from rlgen.core.config import word
from rlgen.core.errors import UserError, did_you_mean
from rlgen.core.folder import Folder
from rlgen.core.tables import table
from rlgen.core.terminal import show, visible

Row = dict[str, Any]  # of a run or of a study
Table = tuple[list[str], list[list[str]]]  # heads of the columns, and rows
WIDTH = 78  # columns of the short list
NEEDED = ("algorithm", "task", "time", "plan")  # entries of run.json
NOTE = 60  # characters of a note in the table of runs


def register(app: typer.Typer, panel: str) -> None:
    """Add the commands of this file."""
    end = examples("rlgen list", "rlgen list envs", "rlgen list presets --json")
    app.command("list", rich_help_panel=panel, epilog=end)(list_all)
    end = examples("rlgen runs", "rlgen runs sweep-dqn-CartPole-1", "rlgen runs --json", "rlgen runs --tag baseline")
    app.command("runs", rich_help_panel=panel, epilog=end)(list_runs)


def list_all(
    topic: Annotated[
        str | None,
        typer.Argument(metavar="TABLE", help=f"One table in full: {', '.join(catalog.TOPICS)}", show_default=False),
    ] = None,
    json_: Json = False,
) -> None:
    """List algorithms, environments, datasets, networks and presets: all of them in short, or one table in full."""
    if topic is not None and topic not in catalog.TOPICS:
        raise UserError(f"no list of {topic!r}{did_you_mean(topic, catalog.TOPICS) or _choices()}")
    tables = {name: _table(name) for name in catalog.TOPICS if topic in (None, name)}
    if json_:
        listed = {name: [dict(zip(head, row, strict=True)) for row in rows] for name, (head, rows) in tables.items()}
        print(json.dumps(listed, indent=2))
    elif topic is not None:
        head, rows = tables[topic]
        _print(table(head, rows))
    else:
        _print(_short(tables))


def list_runs(
    study: Annotated[
        str | None,
        typer.Argument(metavar="[STUDY]", help="Study whose runs are listed, by path or name", show_default=False),
    ] = None,
    tags: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="TAG", help="Only runs with this tag; several: with all", show_default=False),
    ] = None,
    runs: Runs = Path("runs"),
    json_: Json = False,
) -> None:
    """List all runs: status, progress, best score, age, tags, note. A run whose run.json cannot be read is named.

    A study of `rlgen sweep` is one line: `rlgen runs STUDY` lists its runs with their settings.
    """
    rows, unreadable = _of_study(runs, study) if study else _of_folder(runs)
    rows = [row for row in rows if set(tags or ()) <= set(row["tags"])]
    if json_:
        broken = [{"name": name, "status": "unreadable", "error": reason} for name, reason in unreadable.items()]
        print(json.dumps([*rows, *([] if tags else broken)], indent=2))
    elif not rows and tags:
        print(f"no runs in {runs} have the tag{'s' * (len(tags) > 1)} {', '.join(tags)}: `rlgen tag RUN TAG` adds one")
    elif not rows:
        print(f"no runs in {study or runs} yet" + ("" if study else ": `rlgen dqn CartPole` makes one"))
    else:
        cells = [
            [
                *(r[key] for key in ("name", "algorithm", "task", "status")),
                _count(r),
                _best(r),
                _age(r["age"]),
                _settings(r),
                ", ".join(r["tags"]),
                textwrap.shorten(r["note"], NOTE, placeholder=" ..."),
            ]
            for r in rows
        ]
        head = ["run", "algorithm", "task", "status", "progress", "best", "age", "settings", "tags", "note"]
        always = head.index("age")
        shown = [i for i in range(len(head)) if i <= always or any(row[i] for row in cells)]
        _print(table([head[i] for i in shown], [[row[i] for i in shown] for row in cells]))
    if unreadable and not json_:
        _print([visible(f"unreadable  {name}: {reason}") for name, reason in unreadable.items()])


def _of_folder(runs: Path) -> tuple[list[Row], dict[str, str]]:
    """The rows of all runs and studies in a folder, the oldest first, and why others are unreadable, by name."""
    rows, unreadable = _rows(runs)
    found = studies.directories(runs)
    if found:
        from rlgen.sweep import listing

        for folder in found:
            try:
                row = listing.row(folder)
            except UserError as error:
                unreadable[folder.name] = str(error)
            else:
                rows.append({**row, "solved": False, "age": _seconds_since(row["created"]), "note": "", "tags": []})
        rows.sort(key=lambda row: -row["age"])
    return rows, unreadable


def _of_study(runs: Path, name: str) -> tuple[list[Row], dict[str, str]]:
    """The rows of the runs of a study, by name, and why others are unreadable. Raises UserError without the study."""
    folder = studies.named(runs, name)
    if folder is None:
        known = [path.name for path in studies.directories(runs)]
        hint = did_you_mean(name, known) or (f": there is {', '.join(known)}" if known else "")
        raise UserError(f"no study {name!r} in {runs}{hint or ': `rlgen sweep` makes one'}")
    rows, unreadable = _rows(folder)
    rows = sorted(
        ({**row, "name": f"{folder.name}/{row['name']}"} for row in rows), key=lambda row: _order(row["name"])
    )
    return rows, {f"{folder.name}/{name}": reason for name, reason in unreadable.items()}


def _order(name: str) -> tuple[bool, str]:
    """Runs with the tuning seeds before those with fresh ones."""
    return "/test-" in name, name


def _rows(runs: Path) -> tuple[list[Row], dict[str, str]]:
    """The rows of the runs in a folder, the oldest first, and why others are unreadable, by name."""
    described, unreadable = Folder.described(runs)
    rows = []
    for folder, info in described:
        lacking = [name for name in NEEDED if name not in info]
        if lacking or "budget" not in info["plan"]:
            unreadable[folder.name] = f"{folder.directory / 'run.json'} lacks {', '.join(lacking) or 'a budget'}"
        else:
            rows.append(_summary(folder, info))
    return rows, unreadable


def _table(topic: str) -> Table:
    """A table in full."""
    for kind in kinds.KINDS.values():
        if topic == kind.plural:
            return ["name", "what"], [[e.name, e.summary] for e in catalog.CATALOG.values() if e.kind is kind]
        if topic == kind.topic:
            return list(kind.listed), [list(row) for row in kind.tasks.listing()]
    if topic == "networks":
        head = ["name", "what", "smallest side in pixels", "in the published form", "published parameters"]
        sizes = [(n.smallest, n.smallest_image, n.parameters) for n in networks.NETWORKS.values()]
        rows = [[f"{size:,}" if size else "" for size in row] for row in sizes]
        return head, [[n.name, n.summary, *row] for n, row in zip(networks.NETWORKS.values(), rows, strict=True)]
    rows = [
        [e.name, task.replace(":", " --preset "), e.expected.get(task, "not measured")]
        for e in catalog.CATALOG.values()
        for task in dict.fromkeys([*e.tuned, *e.expected])  # a variant may have been measured without a preset
    ]
    return ["algorithm", "task", "measured score"], rows


def _short(tables: dict[str, Table]) -> list[str]:
    """All tables on a page."""
    lines = []
    for topic, (_, rows) in tables.items():
        if topic in (kind.plural for kind in kinds.KINDS.values()):
            lines += [topic, *(f"  {name:<15} {what}" for name, what in rows), ""]
        elif topic == "presets":
            measured = sum(score != "not measured" for *_, score in rows)
            lines += [f"presets  {len(rows)}, of which {measured} with a measured score", ""]
        else:
            others = next((kind.others for kind in kinds.KINDS.values() if kind.topic == topic), "")
            names = [row[0] for row in rows] + ([f"and {others}"] if others else [])
            lines += [*_wrapped(topic, names), ""]
    return [*lines, *_wrapped("more: rlgen list", list(tables))]


def _wrapped(topic: str, names: list[str]) -> list[str]:
    """Names one after the other in as many lines as they need."""
    lines = [f"{topic} "]
    for name in names:
        if len(lines[-1]) + len(name) + 1 > WIDTH:
            lines.append(" " * len(topic) + " ")
        lines[-1] += f" {name}"
    return lines


def _choices() -> str:
    return f": there are {', '.join(catalog.TOPICS)}"


def _summary(folder: Folder, info: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a run in `rlgen runs --json`."""
    best = info.get("best") if isinstance(info.get("best"), int | float) else None
    return {
        **{key: info.get(key) for key in ("kind", "algorithm", "task", "seed", "time")},
        "best": best,
        "name": folder.name,
        "status": folder.status_of(info),
        "budget": info["plan"]["budget"],
        "solved": best is not None and best >= _number(info["plan"].get("stop_at")),
        "age": _seconds_since(info["created"]),
        **{"note": "", "tags": [], **{name: info[name] for name in ("note", "tags") if name in info}},
        **({"trial": info["trial"]} if isinstance(info.get("trial"), dict) else {}),
    }


def _number(value: Any) -> float:
    """A number from run.json, where infinity is a word; infinity for anything else."""
    try:
        return float(value)
    except (ValueError, TypeError):
        return math.inf


def _seconds_since(created: str) -> int:
    try:
        return round((datetime.now(UTC) - datetime.fromisoformat(created)).total_seconds())
    except (ValueError, TypeError):  # no date, or one without a time zone
        return 0


def _best(row: Row) -> str:
    """The best score in the format of its kind."""
    kind = kinds.KINDS.get(str(row["kind"]), kinds.AGENT)
    return "" if row["best"] is None else format(row["best"], kind.score)


def _count(row: Row) -> str:
    """What is done of what there is to do: steps of a run, trials of a study."""
    if "trials" in row:
        broken = [f"{row['trials'][state]} {state}" for state in ("failed", "diverged") if row["trials"].get(state)]
        return f"{row['time']:,}/{row['budget']:,} trials" + f" ({', '.join(broken)})" * bool(broken)
    return f"{row['time']:,}/{row['budget']:,} {_progress(row)}"


def _settings(row: Row) -> str:
    """The searched settings of a run of a study; the numbers of its trials where it is of several."""
    trial = row.get("trial", {})
    several, settings = trial.get("trials"), trial.get("settings")
    if isinstance(several, list) and several and all(isinstance(each, dict) for each in several):
        return f"trials {several[0].get('number')} to {several[-1].get('number')}"
    if not isinstance(settings, dict):
        return ""
    return " ".join(f"{k}={x:.4g}" if isinstance(x, float) else f"{k}={word(x)}" for k, x in settings.items())


def _progress(row: Row) -> str:
    if row["status"] == "finished" and row["time"] < row["budget"]:
        return "(solved)" if row["solved"] else "(ended early)"
    return f"({min(100, 100 * row['time'] // row['budget'])} %)"


def _age(seconds: int) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _print(lines: list[str]) -> None:
    show(*lines)
