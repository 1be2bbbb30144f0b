"""The commands that train: one per algorithm of the catalog, and `resume`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlgen import catalog
from rlgen.cli.options import Json, Quiet, Run, Runs, examples, number, with_settings
from rlgen.core.config import read_file
from rlgen.core.errors import Diverged, Interrupted
from rlgen.core.folder import Folder

if TYPE_CHECKING:
    from rlgen.session import Session

PANEL = "Train"
HELP = {"help_option_names": ["-h", "--help"]}


def register(app: typer.Typer) -> None:
    """Add `resume` and a stub per algorithm, which `command` replaces when it is called."""
    for entry in catalog.CATALOG.values():

        def stub() -> None: ...

        app.command(entry.name, help=entry.summary, rich_help_panel=PANEL)(stub)
    end = examples("rlgen resume", "rlgen resume dqn-CartPole-1 --budget 60000")
    app.command(rich_help_panel=PANEL, epilog=end)(resume)


def command(entry: catalog.Entry, words: list[str]) -> Any:
    """The full command of an algorithm, with an option for each of its settings."""
    from rlgen.core.settings import Plan, Setup

    settings = (entry.config, Setup, Plan)
    stand_in = entry.kind.fallback

    def train(
        given: dict[str, Any],
        task: Annotated[str, typer.Argument(metavar="TASK", help=f"{entry.kind.task}: `rlgen list` names them.")],
        runs: Runs = Path("runs"),
        name: Annotated[
            str | None, typer.Option("--name", help="Name of the run's folder.", show_default=False)
        ] = None,
        config: Annotated[
            Path | None,
            typer.Option(
                "--config",
                metavar="FILE",
                help="Settings in TOML or JSON, or the run.json of another run; typed options win over it.",
                show_default=False,
            ),
        ] = None,
        preset: Annotated[
            str | None,
            typer.Option("--preset", help="Another preset of the task, such as long.", show_default=False),
        ] = None,
        fallback: Annotated[
            bool,
            typer.Option(
                "--fallback/--no-fallback",
                help=f"Take {stand_in} where the dataset cannot be downloaded.",
                hidden=not stand_in,
            ),
        ] = True,
        quiet: Quiet = False,
        json_: Json = False,
    ) -> None:
        from rlgen import session

        file = read_file(config, settings) if config else {}
        task, notice = session.canonical(entry, task, data=given.get("data", file.get("data")), fallback=fallback)
        if notice:
            print(notice, file=sys.stderr)
        prepared = session.prepare(
            entry.name, task, given, runs=runs, name=name, file=file, preset=preset, argv=sys.argv
        )
        _train(prepared, quiet, json_)

    tuned = ", ".join(name.replace(":", " with --preset ") for name in entry.tuned_for) or "none yet"
    typed = typer.Typer(add_completion=False)
    typed.command(
        entry.name,
        help=f"{entry.summary}.\n\nPresets: {tuned}. A typed option wins over --config, and that over the preset.",
        epilog=examples(
            f"rlgen {entry.name} {entry.task}", f"rlgen {entry.name} {entry.task} --seed 1 --lr 0.0005 --name try-1"
        ),
        context_settings=HELP,
    )(with_settings(train, settings, entry.preset))
    return typer.main.get_command(typed)


def resume(
    run: Run = "latest",
    budget: Annotated[int | None, number("--budget", "A new end, in steps or images.")] = None,
    stop_at: Annotated[
        float | None, typer.Option("--stop-at", help="A new score to end at; inf for none.", show_default=False)
    ] = None,
    runs: Runs = Path("runs"),
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Continue a run that was stopped, in its own folder."""
    from rlgen import session

    folder = Folder.find(runs, run)
    given = {name: value for name, value in (("budget", budget), ("stop_at", stop_at)) if value is not None}
    _train(session.reopen(folder, given), quiet, json_)


def _train(session: "Session", quiet: bool, json_: bool) -> None:
    """Train with a start panel and a progress bar, then print the final scores and the commands that come next."""
    from rlgen.report.console import Display

    run, entry, plan = session.run, session.entry, session.plan
    info = run.info
    facts = {
        "what": entry.summary,
        "device": info["device"],
        "seed": str(info["seed"]),
        "budget": f"{plan.budget:,} {entry.kind.unit}" + (f", from {info['time']:,}" if info["time"] else ""),
        "parameters": f"{info['parameters']:,}",
        "changed": "  ".join(f"{name}={value}" for name, value in info["changed"].items()) or "nothing",
        "folder": str(run.directory),
    }
    seeds = info["config"].get("seeds", 1)
    log_file, already = run.directory / "log.txt", info["time"]
    with Display(entry.kind, plan.budget, log_file, run.progress, quiet=quiet, already=already, seeds=seeds) as display:
        display.start(f"{entry.name} on {info['task']}", facts)
        run.listeners.append(display)
        try:
            session.train()
        except (Diverged, Interrupted):
            if json_:
                _print_json(run)
            raise
        with display.activity("scoring"):
            report = session.report()
    info = run.info
    if json_:
        _print_json(run, **report.values)
    elif quiet:
        print(run.directory)
    else:
        print("", *report.lines, sep="\n")
        early = f", solved: an evaluation scored {run.score:,.1f}" if info["time"] < plan.budget else ""
        print(f"trained {info['time']:,} {entry.kind.unit} in {info['seconds']:,.1f} s{early}")
        files = sorted(path.name for path in run.directory.iterdir() if path.name != "run.lock")
        print(f"files   {'  '.join(files)}")
        print(f"next    {'   '.join(f'rlgen {verb} {run.directory}' for verb in entry.kind.verbs)}")


def _print_json(run: Folder, **scores: Any) -> None:
    keys = ("status", "algorithm", "task", "seed", "time", "seconds")
    print(json.dumps({"run": str(run.directory), **{key: run.info.get(key) for key in keys}, **scores}))
