"""`rlgen train`: several runs from TOML files, some of them side by side."""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlgen.cli.options import Json, Quiet, Runs, examples, number
from rlgen.core import cores
from rlgen.core.errors import Interrupted
from rlgen.core.tables import table
from rlgen.core.terminal import show

if TYPE_CHECKING:
    from rlgen.queue.job import Job

FILE = """\b
budget = 20_000
\\[cartpole]
command = "dqn"
task = "CartPole"
seed = [0, 1, 2]
\\[digits]
command = "vae"
task = "digits"
"""
HELP = "\n\n".join(
    [
        "Train the runs of TOML files, some of them side by side, each as an ordinary run.",
        "A run is a table, which gives it its name: command, task, and any options of that command, such as preset or"
        " lr. With a list of seeds it is a run per seed. What stands above the tables holds for all of a file:",
        FILE,
        "The same command again continues what is unfinished, and leaves out what is finished or has diverged. The exit"
        " code is 0 where all are finished, else that of the first that is not.",
    ]
)


def register(app: typer.Typer, panel: str) -> None:
    """Add the command of this file."""
    end = examples("rlgen train runs.toml --workers 2", "rlgen train runs.toml --dry-run")
    app.command("train", rich_help_panel=panel, epilog=end, help=HELP)(train)


def train(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="TOML files with a table per run")],
    workers: Annotated[int, number("--workers", "Processes side by side, which share the cores equally")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be trained, and train nothing")] = False,
    runs: Runs = Path("runs"),
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Train the runs of files."""
    from rlgen.report.console import activity

    with activity("loading", quiet=quiet or json_):
        from rlgen.queue import file, processes
        from rlgen.queue.table import Table
    jobs = file.read(files, runs)
    left = [job for job in jobs if job.left]
    if dry_run:
        _print_plan(jobs, workers, json_)
        return
    if left and not (quiet or json_):
        show(f"{len(left)} of {len(jobs)} runs are left; {_shared(min(workers, len(left)))}", error=True)
    try:
        with Table(jobs, quiet=quiet or json_) as shown:
            processes.train(left, workers, _again(), shown.tick)
    except Interrupted:
        _print_outcome(jobs, quiet, json_)
        raise
    _print_outcome(jobs, quiet, json_)
    raise typer.Exit(next((code for job in jobs if (code := _code(job))), 0))


def _shared(workers: int) -> str:
    """How the cores are shared."""
    count, threads = cores.available(), cores.share(workers)
    more = f" up to {threads} threads each," if threads > 1 else " one thread each,"
    crowded = ": more than the cores, which slows all of them down" if workers > count else ""
    return f"{workers} at a time,{more} on {count} core{'s' * (count > 1)}{crowded}"


def _again() -> str:
    return shlex.join(["rlgen", *sys.argv[1:]])


def _print_plan(jobs: "Sequence[Job]", workers: int, json_: bool) -> None:
    """What would be trained, and by which commands."""
    rows = [(job, job.state, job.left) for job in jobs]
    left = [job for job, _, is_left in rows if is_left]
    if json_:
        described = [
            {
                "run": str(job.folder.directory), "status": state, "budget": job.plan.budget,
                "command": ["rlgen", *job.words] if is_left else None,
            }
            for job, state, is_left in rows
        ]  # fmt: skip
        print(json.dumps({"runs": described, "workers": workers, "threads": cores.share(workers)}))
        return
    cells = [
        [job.name, state, _amount(job.plan.budget, job), " ".join(["rlgen", *job.words] if is_left else [])]
        for job, state, is_left in rows
    ]
    show(*table(["run", "state", "budget", "command"], cells))
    shared = f"; {_shared(min(workers, len(left)))}" if left else ""
    show(f"{len(left)} of {len(jobs)} runs are left{shared}; nothing was trained")


def _print_outcome(jobs: "Sequence[Job]", quiet: bool, json_: bool) -> None:
    from rlgen.queue.table import outcome

    if json_:
        print(json.dumps({"runs": [_described(job) for job in jobs]}))
    elif quiet:
        show(*(job.folder.directory for job in jobs))
        show(*(f"error: {job.name}: {job.error}" for job in jobs if job.error), error=True)
    else:
        rows = [[job.name, *_times(job), outcome(job)] for job in jobs]
        show("", *table(["run", "time", "seconds", "outcome"], rows))


def _times(job: "Job") -> tuple[str, str]:
    info = job.info
    return _amount(info.get("time", 0), job), f"{info.get('seconds', 0):,.1f}"


def _amount(time: int, job: "Job") -> str:
    return f"{time:,} {job.entry.kind.unit}"


def _described(job: "Job") -> dict[str, Any]:
    """A run, JSON-ready."""
    info = job.info
    keys = ("algorithm", "task", "seed", "time", "seconds")
    return {
        "run": str(job.folder.directory), "status": job.state if info else "waiting", "code": _code(job),
        "error": job.error or None, **{key: info.get(key) for key in keys}, **(info.get("result") or {}),
    }  # fmt: skip


def _code(job: "Job") -> int:
    """The exit code of a run: of its process or, of one that was left out, the one it had then."""
    if job.code is not None:
        return job.code
    return 3 if job.info and job.state == "diverged" else 0
