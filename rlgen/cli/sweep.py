"""`rlgen sweep`: settings searched over trials of several seeds, the best ones trained again on fresh seeds."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rlgen import catalog
from rlgen.cli.options import Json, Quiet, Runs, Trust, annotation, examples, number, with_options
from rlgen.core.config import options
from rlgen.core.errors import UserError
from rlgen.core.terminal import show

END = examples(
    "rlgen sweep dqn CartPole --search lr=1e-4..1e-2:log --search n_step=1,3,5 --trials 64 --seeds 4 --workers 2",
    "rlgen sweep vae mnist --search lr=1e-4..1e-2:log --search latent=8..64:int --budget 300_000",
    "rlgen sweep --config study.toml --dry-run",
    "rlgen sweep --join sweep-dqn-CartPole-1",
    "rlgen sweep show sweep-dqn-CartPole-1",
)
if TYPE_CHECKING:
    from rlgen.sweep.study import Study

OWN = ("seed", "seeds")  # settings of every algorithm that mean something else here
Whole = int | None


def register(app: typer.Typer, panel: str) -> None:
    """Add a stub, which `command` replaces when it is called."""
    app.command("sweep", help="Search settings, with the best trained again on fresh seeds.", rich_help_panel=panel)(
        lambda: None
    )


def command(words: list[str]) -> Any:
    """The full command, with an option for each setting of the algorithm that is named in `words`."""
    from rlgen.core.settings import Plan, Setup

    entry = next((catalog.CATALOG[word] for word in words if word in catalog.CATALOG), None)
    settings = (entry.config, Plan, Setup) if entry else ()
    given = {o.name: annotation(o, {}) for each in settings for o in options(each) if o.name not in OWN}
    typed = typer.Typer(add_completion=False)
    names = {"help_option_names": ["-h", "--help"]}
    typed.command("sweep", epilog=END, context_settings=names)(with_options(sweep, "given", given))
    return typer.main.get_command(typed)


def sweep(
    given: dict[str, Any],
    algorithm: Annotated[str | None, typer.Argument(metavar="ALGORITHM", help="A command that trains")] = None,
    task: Annotated[str | None, typer.Argument(metavar="TASK", help="What it trains on")] = None,
    search: Annotated[
        list[str] | None,
        typer.Option("--search", metavar="NAME=VALUES", help="LOW..HIGH[:log|:int|:step=STEP], or VALUE,VALUE,..."),
    ] = None,
    trials: Annotated[Whole, number("--trials", "Trials [dim]\\[default: 32][/dim]")] = None,
    seeds: Annotated[Whole, number("--seeds", "Seeds of a trial [dim]\\[default: 3][/dim]")] = None,
    workers: Annotated[int, number("--workers", "Processes side by side")] = 1,
    together: Annotated[
        Whole, number("--together", "Trials in one process, where lr, gamma and their like differ alone")
    ] = None,
    sampler: Annotated[
        Literal["tpe", "random", "grid", "cmaes", "gp"] | None,
        typer.Option("--sampler", help="How settings are drawn [dim]\\[default: tpe][/dim]"),
    ] = None,
    pruner: Annotated[
        Literal["none", "sha", "wilcoxon"] | None,
        typer.Option("--pruner", help="Early end of worse trials, which may hurt [dim]\\[default: none][/dim]"),
    ] = None,
    finalists: Annotated[
        Whole, number("--finalists", "Best trials trained again on fresh seeds [dim]\\[default: 3][/dim]", 0)
    ] = None,
    test_seeds: Annotated[
        Whole, number("--test-seeds", "Fresh seeds of each of them [dim]\\[default: 5][/dim]", 0)
    ] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", help="Metric that ranks trials, in place of the final score")
    ] = None,
    seed: Annotated[Whole, number("--seed", "Seed of the study [dim]\\[default: 0][/dim]", 0)] = None,
    preset: Annotated[str | None, typer.Option("--preset", help="Another preset of the task, such as long")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Settings, and tables search and sweep, in TOML")
    ] = None,
    join: Annotated[
        str | None, typer.Option("--join", metavar="STUDY", help="Continue a study, beside others on any machine")
    ] = None,
    storage: Annotated[
        str | None, typer.Option("--storage", metavar="URL", help="grpc://HOST:PORT of optuna's proxy, for many hosts")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the study's folder")] = None,
    runs: Runs = Path("runs"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be trained, and train nothing")] = False,
    prepare: Annotated[
        bool, typer.Option("--prepare", help="Make the study and train nothing, for workers that join it")
    ] = False,
    trust: Trust = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Search settings over trials of several seeds, the best ones trained again on fresh seeds.

    All options of the algorithm are options here, and hold for every trial. Each trial is an ordinary run folder in
    that of the study. A study that was stopped is continued by --join, from any number of processes and machines.
    `rlgen sweep show STUDY` prints and draws what was found.
    """
    from rlgen.report.console import activity
    from rlgen.sweep import file as files
    from rlgen.sweep import ledger, space
    from rlgen.sweep import study as studies

    typed = {
        "trials": trials, "seeds": seeds, "together": together, "finalists": finalists, "test_seeds": test_seeds,
        "seed": seed, "sampler": sampler, "pruner": pruner, "metric": metric, "storage": storage, "preset": preset,
    }  # fmt: skip
    own = {key: value for key, value in typed.items() if value is not None}
    settings: dict[str, Any] = {}
    texts = space.split(search or [])
    if config is not None:
        settings, found, further = files.read(config, ("algorithm", "task", "name", "workers", *typed))
        texts, own = {**found, **texts}, {**{k: v for k, v in further.items() if k in typed}, **own}
        algorithm, task = algorithm or further.get("algorithm"), task or further.get("task")
        name, workers = name or further.get("name"), further.get("workers", 1) if workers == 1 else workers
    ledger.require()
    with activity("loading", quiet=quiet or json_):
        from rlgen.sweep import opening
    settings = {**settings, **given}
    if join is not None:
        more = {"search": texts} if texts else {}
        more |= {"settings": settings} if settings else {}
        study = opening.joined(runs, join, algorithm, task, {**own, **more})
    else:
        if not algorithm or not task:
            raise UserError("rlgen sweep needs ALGORITHM and TASK, as in `rlgen sweep dqn CartPole --search lr=...`")
        study = opening.prepared(runs, name, algorithm, task, texts, settings, own)
    if dry_run:
        _print_plan(study, json_)
        return
    if join is None:
        trust = True  # the module of the environment was typed
        studies.create(study, argv=sys.argv)
    if prepare:
        show(study.folder)
        return
    opening.train(study, workers, trust, quiet or json_)
    _print_outcome(study, quiet, json_)


def _print_plan(study: "Study", json_: bool) -> None:
    """What the study would train."""
    from rlgen import preparation

    names = preparation.preset_names(study.entry, study.task, study.preset, study.settings)
    _, _, plan = preparation.settings_of(study.entry, names, study.settings)
    tests = min(study.finalists, study.total) * study.test_seeds
    trainings, unit = study.total * study.seeds + tests, study.entry.kind.unit
    total = trainings * plan.budget
    if json_:
        facts = {"trials": study.total, "seeds": study.seeds, "finalists": study.finalists}
        facts |= {"test_seeds": study.test_seeds, "budget": plan.budget, "total": total}
        print(json.dumps({"study": str(study.folder), "search": study.search, **facts}))
        return
    show(f"study    {study.folder}: {study.algorithm} on {study.task}, sampler {study.sampler}")
    for name, dimension in study.space.items():
        show(f"search   {name}={study.search[name]}  ({_described(dimension)})")
    show(f"tuning   {study.total} trials x {study.seeds} seeds x {plan.budget:,} {unit}")
    show(f"testing  the best {min(study.finalists, study.total)} x {study.test_seeds} fresh seeds")
    show(f"in all   {total:,} {unit}; nothing was trained")


def _described(dimension: Any) -> str:
    from rlgen.sweep.space import Range

    if not isinstance(dimension, Range):
        return f"{len(dimension.values)} values"
    kind = "integers" if dimension.integer else "numbers"
    step = f" in steps of {dimension.step:g}" if dimension.step else ""
    return f"{kind} from {dimension.low:g} to {dimension.high:g}{step}{', logarithmic' if dimension.log else ''}"


def _print_outcome(study: "Study", quiet: bool, json_: bool) -> None:
    from rlgen.sweep import progress

    if json_:
        print(json.dumps(progress.summary(study)))
    elif quiet:
        show(study.folder)
    else:
        show(*progress.lines(study))
