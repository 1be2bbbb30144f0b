"""`rlgen NAME TASK --option value`: train anything; then look at it, go on with it, play it.

Imports no torch: that is left to the command that needs it.
"""

import errno
import json
import os
import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer
from typer.core import TyperGroup

from rlgen import catalog
from rlgen.core.config import command, read_file
from rlgen.core.errors import Diverged, Interrupted, UserError
from rlgen.core.files import replacing
from rlgen.core.folder import Folder

if TYPE_CHECKING:
    from rlgen.api import Session


class Commands(TyperGroup):
    """Builds the options of an algorithm when its command is called, not for the list of all commands."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Replace the stub of a catalog entry by the command with its options."""
        name = args[0].lower()
        if name in catalog.CATALOG:
            self.add_command(_training_command(catalog.CATALOG[name]), name)
            args = [name, *args[1:]]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A lab for reinforcement learning and generative models. Start with rlgen dqn CartPole, or rlgen gan mnist.",
)

Runs = Annotated[Path, typer.Option("--runs", metavar="DIR", envvar="RLGEN_RUNS", help="Folder of all runs.")]
RunName = Annotated[
    str, typer.Argument(metavar="[RUN]", help="A path, a name under the folder of runs, or latest.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print data as JSON.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the fresh episodes, or of the noise.")]
Checkpoint = Annotated[Literal["last", "best"], typer.Option("--checkpoint", help="Which checkpoint to take.")]
LOOK, TRAIN = "Look at runs", "Train"
SHOWN = 1_024  # samples in a picture, at most


def examples(*lines: str) -> str:
    """The end of a help text: commands that can be run as they stand."""
    return "[bold]Examples[/bold]\n\n" + "\n\n".join(f"  {line}" for line in lines)


def _training_command(entry: catalog.Entry) -> Any:
    """The full command of an algorithm, with an option for each of its settings."""
    from rlgen.core.settings import Plan, Setup

    model = entry.kind is catalog.MODEL
    what = "Dataset" if model else "Environment"
    shared: dict[str, tuple[Any, Any]] = {
        "task": (Annotated[str, typer.Argument(metavar="TASK", help=f"{what}: `rlgen list` names them.")], ...),
        "runs": (Runs, Path("runs")),
        "name": (
            Annotated[str | None, typer.Option("--name", help="Name of the run's folder.", show_default=False)],
            None,
        ),
        "config": (
            Annotated[
                Path | None,
                typer.Option(
                    "--config",
                    metavar="FILE",
                    help="Settings in TOML or JSON, or a run.json; options win over it.",
                    show_default=False,
                ),
            ],
            None,
        ),
        "quiet": (Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but warnings and errors.")], False),
        "json_": (Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")], False),
    }
    if model:
        shared["fallback"] = (
            Annotated[
                bool,
                typer.Option(
                    "--fallback/--no-fallback", help="Take the bundled digits where the dataset cannot be had."
                ),
            ],
            True,
        )
        shared["preset"] = (
            Annotated[
                str | None,
                typer.Option("--preset", help="Other tuned settings than the usual ones, as long.", show_default=False),
            ],
            None,
        )

    def start(
        given: dict[str, Any],
        *,
        task: str,
        runs: Path,
        name: str | None,
        config: Path | None,
        quiet: bool,
        json_: bool,
        fallback: bool = True,
        preset: str | None = None,
    ) -> None:
        from rlgen import api

        file = read_file(config, (entry.config, Setup, Plan)) if config else {}
        task, notice = api.canonical(entry, task, data=given.get("data", file.get("data")), fallback=fallback)
        if notice:
            print(notice, file=sys.stderr)
        session = api.prepare(entry.name, task, given, runs=runs, name=name, file=file, preset=preset, argv=sys.argv)
        _train(session, quiet, json_)

    tuned = ", ".join(name.replace(":", " with --preset ") for name in entry.tuned_for) or "none yet"
    typed = typer.Typer(add_completion=False)
    typed.command(
        entry.name,
        help=f"{entry.summary}.\n\nTuned presets: {tuned}. What is typed wins over --config, that over the preset.",
        epilog=examples(
            f"rlgen {entry.name} {entry.task}", f"rlgen {entry.name} {entry.task} --seed 1 --lr 0.0005 --name try-1"
        ),
        context_settings={"help_option_names": ["-h", "--help"]},
    )(command(start, (entry.config, Setup, Plan), entry.preset, shared))
    return typer.main.get_command(typed)


def _stub(entry: catalog.Entry) -> None:
    """The line of an algorithm in the list of commands."""

    def stub() -> None: ...

    app.command(entry.name, help=entry.summary, rich_help_panel=TRAIN)(stub)


for _entry in catalog.CATALOG.values():
    _stub(_entry)


@app.command(rich_help_panel=TRAIN, epilog=examples("rlgen resume", "rlgen resume dqn-CartPole-1 --budget 60000"))
def resume(
    run: RunName = "latest",
    budget: Annotated[
        int | None, typer.Option("--budget", min=1, help="A new end, in steps or images.", show_default=False)
    ] = None,
    stop_at: Annotated[
        float | None, typer.Option("--stop-at", help="A new score to end at; inf for none.", show_default=False)
    ] = None,
    runs: Runs = Path("runs"),
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but warnings and errors.")] = False,
    json_: Json = False,
) -> None:
    """Go on with a run that was stopped, in its own folder."""
    from rlgen import api

    folder = Folder.find(runs, run)
    given = {name: value for name, value in (("budget", budget), ("stop_at", stop_at)) if value is not None}
    _train(api.reopen(folder, given), quiet, json_)


@app.command("runs", rich_help_panel=LOOK, epilog=examples("rlgen runs", "rlgen runs --json"))
def list_runs(runs: Runs = Path("runs"), json_: Json = False) -> None:
    """List all runs: status, progress, best score, age."""
    rows = [
        _summary(folder) for folder in Folder.all(runs) if {"algorithm", "task", "time", "plan"} <= folder.info.keys()
    ]
    if json_:
        print(json.dumps(rows, indent=2))
    elif not rows:
        print(f"no runs in {runs} yet: `rlgen dqn CartPole` makes one")
    else:
        cells = [
            [
                *(r[key] for key in ("name", "algorithm", "task", "status")),
                f"{r['time']:,}/{r['budget']:,} {_progress(r)}",
                "" if r["best"] is None else f"{r['best']:,.1f}",
                _age(r["age"]),
            ]
            for r in rows
        ]
        _table(["run", "algorithm", "task", "status", "progress", "best", "age"], cells)


@app.command(
    rich_help_panel=LOOK,
    epilog=examples("rlgen plot latest", "rlgen plot dqn-CartPole-1 dqn-CartPole-2 --out both.png --x seconds"),
)
def plot(
    names: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Paths, names under the folder of runs, or latest.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="png, svg, pdf or csv; curves.png unless given, in the run's folder if it is one run.",
            show_default=False,
        ),
    ] = None,
    x: Annotated[Literal["steps", "seconds"], typer.Option("--x", help="What the curves are drawn over.")] = "steps",
    runs: Runs = Path("runs"),
) -> None:
    """Draw learning curves; seeds of one configuration become one line with a band."""
    from rlgen.report import plots

    folders = [Folder.find(runs, name).directory for name in names]
    path = out or (folders[0] / "curves.png" if len(folders) == 1 else Path("curves.png"))
    plots.curves(folders, path, x=x)
    print(path)


@app.command(
    "eval",
    rich_help_panel=LOOK,
    epilog=examples("rlgen eval latest", "rlgen eval dqn-CartPole-1 --episodes 1000 --json", "rlgen eval gan-mnist-1"),
)
def evaluate(
    run: RunName = "latest",
    episodes: Annotated[int, typer.Option("--episodes", min=1, help="Fresh greedy episodes of an agent.")] = 100,
    samples: Annotated[
        int, typer.Option("--samples", min=1, help="Samples of a model; no more than there are test images are taken.")
    ] = 10_000,
    seed: Seed = 0,
    checkpoint: Checkpoint = "last",
    runs: Runs = Path("runs"),
    json_: Json = False,
) -> None:
    """Score a trained agent over fresh episodes, or a model's samples beside real images."""
    from rlgen import api

    folder, entry = _entry_of(runs, run)
    trained = api.load(folder, checkpoint=checkpoint)
    if entry.kind is catalog.AGENT:
        result = api.score(trained, entry, episodes, seed)
    else:
        result = api.judge(trained, samples, seed, progress=True)
    if json_:
        print(json.dumps(result))
    elif entry.kind is catalog.AGENT:
        print(_say(entry, result))
    else:
        _print_quality(result)


@app.command(
    rich_help_panel=LOOK,
    epilog=examples("rlgen play latest", "rlgen play dqn-CartPole-1 --episodes 3 --out cartpole.gif"),
)
def play(
    run: RunName = "latest",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="A GIF; play.gif in the run's folder unless given.", show_default=False
        ),
    ] = None,
    episodes: Annotated[int, typer.Option("--episodes", min=1, help="How many episodes.")] = 1,
    seed: Seed = 0,
    checkpoint: Checkpoint = "last",
    runs: Runs = Path("runs"),
) -> None:
    """Film a trained agent as it acts greedily."""
    from rlgen import api
    from rlgen.report import pictures

    folder, entry = _entry_of(runs, run)
    if entry.kind is not catalog.AGENT:
        raise UserError(f"{folder.name} is a model and cannot play: `rlgen sample {folder.name}` draws from it")
    path = _suffix(out or folder.directory / "play.gif", ".gif")
    frames, returns, fps = api.film(api.load(folder, checkpoint=checkpoint), episodes, seed)
    pictures.gif(frames, path, fps=fps, hold=1.0)
    print(f"{path}  return {', '.join(map(_number, returns))}")


@app.command(
    rich_help_panel=LOOK,
    epilog=examples(
        "rlgen sample latest",
        "rlgen sample gan-mnist-1 --count 100 --out grid.png --npy digits.npy",
        "rlgen sample --what reconstructions",
    ),
)
def sample(
    run: RunName = "latest",
    count: Annotated[int, typer.Option("--count", min=1, help="How many images.")] = 64,
    label: Annotated[
        str | None,
        typer.Option("--label", help="The class to make, by name or number.", show_default=False),
    ] = None,
    what: Annotated[
        Literal["samples", "reconstructions", "completions", "interpolations", "manifold"],
        typer.Option("--what", help="What to draw; all but samples as many as its picture in training has."),
    ] = "samples",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="A PNG; grid.png in the run's folder unless given.", show_default=False
        ),
    ] = None,
    npy: Annotated[
        Path | None,
        typer.Option(
            "--npy", metavar="FILE", help="Also the images themselves, (N, C, H, W) in [0, 1].", show_default=False
        ),
    ] = None,
    seed: Seed = 0,
    checkpoint: Checkpoint = "last",
    runs: Runs = Path("runs"),
) -> None:
    """Draw images from a trained model."""
    import numpy as np

    from rlgen import api
    from rlgen.report import pictures

    folder, entry = _entry_of(runs, run)
    if entry.kind is not catalog.MODEL:
        raise UserError(f"{folder.name} is an agent and draws nothing: `rlgen play {folder.name}` films it")
    path = _suffix(out or folder.directory / ("grid.png" if what == "samples" else f"{what}.png"), ".png")
    model, shown = api.load(folder, checkpoint=checkpoint), []
    if what != "samples":
        if label or npy:
            raise UserError(f"--what {what} is one picture: leave out --label and --npy")
        pictures.write_png(api.sheet(model, what, seed), path)
        print(path)
        return
    with replacing(npy) if npy else nullcontext() as partial:
        kept = None  # a file as large as all images, of which memory holds a part
        for start, part in api.draw(model, count, label=label, seed=seed, progress=True):  # (n, C, H, W)
            if partial:
                if kept is None:
                    kept = np.lib.format.open_memmap(partial, "w+", np.float32, (count, *part.shape[1:]))
                kept[start : start + len(part)] = part
            if start < SHOWN:
                shown.append((part[: SHOWN - start] * 255).round().astype(np.uint8))
        if kept is not None:
            kept.flush()
    pixels = np.concatenate(shown).transpose(0, 2, 3, 1)
    pictures.write_png(pictures.grid(pixels[..., 0] if pixels.shape[-1] == 1 else pixels), path)
    if count > SHOWN:
        print(f"{path} shows the first {SHOWN:,}{'' if npy else '; --npy keeps all'}", file=sys.stderr)
    print(path)


@app.command(
    rich_help_panel=LOOK, epilog=examples("rlgen probe latest", "rlgen probe ae-mnist-1 --images 60000 --json")
)
def probe(
    run: RunName = "latest",
    images: Annotated[
        int, typer.Option("--images", min=10, help="Labelled images that linear classifiers and neighbours have.")
    ] = 10_000,
    seed: Seed = 0,
    checkpoint: Checkpoint = "last",
    runs: Runs = Path("runs"),
    json_: Json = False,
) -> None:
    """Classify test images by the code of an autoencoder, beside raw pixels, and by networks that start from it."""
    from rlgen import api

    folder, entry = _entry_of(runs, run)
    if entry.kind is not catalog.MODEL:
        raise UserError(f"{folder.name} is an agent, and a probe looks at the codes of autoencoders")
    result = api.probe(api.load(folder, checkpoint=checkpoint), images, seed, progress=True)
    if json_:
        print(json.dumps(result))
        return
    print(f"test images classified right, of {result['test_images']:,}; learned from {result['images']:,}")
    shares = [[name, *(f"{row[on]:.2%}" for on in ("pixels", "code"))] for name, row in result["classifiers"].items()]
    _table(["classifier", "on pixels", "on the code"], shares)
    print("\nnetworks of the encoder and a linear layer, learned from so many labels")
    ways = ("frozen", "tuned", "scratch")
    shares = [[f"{labels:,}", *(f"{row[way]:.2%}" for way in ways)] for labels, row in result["networks"].items()]
    _table(["labels", "encoder frozen", "fine-tuned", "from scratch"], shares)


@app.command("list", rich_help_panel=LOOK, epilog=examples("rlgen list", "rlgen list --json"))
def list_all(json_: Json = False) -> None:
    """List algorithms, environments, datasets and tuned presets."""
    from rlgen import data, envs

    entries = catalog.CATALOG.values()
    tables = {
        "algorithms": (["name", "what"], [[e.name, e.summary] for e in entries]),
        "environments": (["name", "id", "from"], [list(row) for row in envs.describe()]),
        "datasets": (["name", "what", "where"], [list(row) for row in data.listing()]),
        "presets": (
            ["algorithm", "task", "expected"],
            [
                [e.name, task, e.expected.get(task, "not measured")]
                for e in entries
                for task in dict.fromkeys([*e.tuned, *e.expected])  # a variant may have been measured as it is
            ],
        ),
    }
    if json_:
        print(
            json.dumps(
                {name: [dict(zip(head, row, strict=True)) for row in rows] for name, (head, rows) in tables.items()},
                indent=2,
            )
        )
        return
    for name, (head, rows) in tables.items():
        print(f"{name}" + (" (and every gymnasium id with discrete actions)" if name == "environments" else ""))
        _table(head, rows, indent=2)
        print()


def main() -> NoReturn:
    """The console script: whatever goes wrong is one line and an exit code; RLGEN_DEBUG=1 shows where."""
    try:
        code = app(standalone_mode=False)
    except UserError as error:
        _fail(error.code, str(error))
    except MemoryError:
        _fail(6, "out of memory: try a smaller --batch or --buffer-size")
    except BrokenPipeError:  # the reader of a pipe, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _fail(
            7 if error.errno in (errno.ENOSPC, errno.EDQUOT) else 1,
            f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""),
        )
    except Exception as error:
        if hasattr(error, "format_message"):  # typer's own, whose class it keeps to itself
            _misused(error)
        if "out of memory" in str(error).lower() or "can't allocate memory" in str(error):
            _fail(6, "out of memory: try a smaller --batch, --width or --buffer-size")
        _fail(1, f"{type(error).__name__}: {error}. This is a fault of rlgen: RLGEN_DEBUG=1 shows where")
    sys.exit(code if isinstance(code, int) else 0)


def _misused(error: Any) -> NoReturn:
    """A command line that cannot be parsed: what is wrong, in one line, and where to look."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        sys.exit(error.exit_code)
    where = error.ctx.command_path if getattr(error, "ctx", None) else "rlgen"
    _fail(error.exit_code, f"{' '.join(error.format_message().split()).rstrip('.')} (see `{where} --help`)")


def _fail(code: int, message: str) -> NoReturn:
    if os.environ.get("RLGEN_DEBUG"):
        raise
    print(f"{'' if code > 128 else 'error: '}{message}", file=sys.stderr)
    sys.exit(code)


def _train(session: "Session", quiet: bool, json_: bool) -> None:
    """Train with a panel and a progress bar around it, then score what came out and say what to do next."""
    from rlgen import api
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
            result = api.score(session.algorithm, entry)
    run.describe(result={name: value for name, value in result.items() if name != "returns"})
    info = run.info
    if json_:
        _print_json(run, **({"score": result["mean"]} if "mean" in result else {}), **info["result"])
    elif not quiet:
        print(f"\n{_say(entry, result)}")
        early = f", solved: an evaluation scored {run.score:,.1f}" if info["time"] < plan.budget else ""
        print(f"trained {info['time']:,} {entry.kind.unit} in {info['seconds']:,.1f} s{early}")
        files = sorted(path.name for path in run.directory.iterdir() if path.name != "run.lock")
        print(f"files   {'  '.join(files)}")
        print(f"next    {'   '.join(f'rlgen {verb} {run.directory}' for verb in entry.kind.verbs)}")


def _print_json(run: Folder, **scores: Any) -> None:
    keys = ("status", "algorithm", "task", "seed", "time", "seconds")
    print(json.dumps({"run": str(run.directory), **{key: run.info.get(key) for key in keys}, **scores}))


def _say(entry: catalog.Entry, result: dict[str, Any]) -> str:
    """A score as a sentence."""
    if entry.kind is catalog.AGENT:
        low, high = result["ci95"]
        seeds = result.get("per_seed", [])
        over = f"over {result['episodes']} fresh episodes"
        if seeds:
            over = f"of {len(seeds)} seeds {over} each"
        score = (
            f"greedy  mean return {_number(result['mean'])} {over} (95 % interval {_number(low)} to {_number(high)},"
            f" IQM {_number(result['iqm'])}, spread {_number(result['std'])})"
        )
        if seeds:
            score += f"\nseeds   {'  '.join(map(_number, seeds))}"
        if "optimum" not in result:
            return score
        best = result["optimum"]
        where = (
            "lies below it" if high < best - 1e-9 else "lies above it, by luck" if low > best + 1e-9 else "covers it"
        )
        return f"{score}\noptimum {_number(best)}: no policy does better within the time limit; the interval {where}"
    numbers = "  ".join(f"{name} {value:.4g}" for name, value in result.items() if name != "protocol")
    return f"scores  {numbers}" + (f"  ({result['protocol']})" if "protocol" in result else "")


def _print_quality(result: dict[str, Any]) -> None:
    """The measures of a model's samples as a table, with those of real images beside them."""
    from rlgen.generative.quality.metrics import MEANING

    floor, judge = result["floor"], result["judge_accuracy"]
    right = "untrained" if judge is None else f"{judge:.1%} of the test images right"
    print(f"{result['samples']:,} samples, and as many real test images, judged by {result['judge']} ({right})")
    rows = [[name, f"{result[name]:.4g}", f"{floor[name]:.4g}", MEANING[name]] for name in floor]
    _table(["measure", "samples", "real", ""], rows)
    if result["classes"]:
        print("classes  " + "  ".join(f"{name} {share:.1%}" for name, share in result["classes"].items()))
    for what, why in result["left_out"].items():
        print(f"no {what}: {why}")
    own = {name: value for name, value in result.items() if isinstance(value, float) and name not in MEANING}
    whose = f"the model's own{', ' + result['protocol'] if 'protocol' in result else ''}"
    print(f"{whose}  " + "  ".join(f"{name} {v:.4g}" for name, v in own.items() if name != "judge_accuracy"))


def _number(x: float) -> str:
    """One decimal, or three where they matter."""
    return f"{x:,.1f}" if abs(x) >= 10 else f"{x:.3f}"


def _suffix(path: Path, suffix: str) -> Path:
    if path.suffix.lower() != suffix:
        raise UserError(f"--out {path}: its name must end in {suffix}")
    return path


def _entry_of(runs: Path, run: str) -> tuple[Folder, catalog.Entry]:
    folder = Folder.find(runs, run)
    if "algorithm" not in folder.info:
        raise UserError(f"run.json of {folder.name} names no algorithm: it was not made by this rlgen")
    return folder, catalog.find(folder.info["algorithm"])


def _summary(folder: Folder) -> dict[str, Any]:
    """What `rlgen runs` says of a run."""
    info = folder.info
    seconds = (datetime.now(UTC) - datetime.fromisoformat(info["created"])).total_seconds()
    return {
        **{key: info.get(key) for key in ("algorithm", "task", "seed", "best", "time")},
        "name": folder.name,
        "status": folder.status,
        "budget": info.get("plan", {}).get("budget"),
        "age": round(seconds),
    }


def _progress(row: dict[str, Any]) -> str:
    early = row["status"] == "finished" and row["time"] < row["budget"]
    return "(solved)" if early else f"({min(100, 100 * row['time'] // row['budget'])} %)"


def _age(seconds: int) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _table(head: list[str], rows: list[list[str]], indent: int = 0) -> None:
    """Columns as wide as what stands in them."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, *rows):
        print(" " * indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
