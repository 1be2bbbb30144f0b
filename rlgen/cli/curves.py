"""The commands that show learning curves: plot and compare."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from rlgen.cli.options import Json, Runs, examples, number, output
from rlgen.core.errors import UserError
from rlgen.core.folder import Folder
from rlgen.core.tables import table
from rlgen.core.terminal import visible

Names = Annotated[
    list[str],
    typer.Argument(metavar="RUN...", help="Paths, names in the folder of runs, or latest", show_default=False),
]
Metric = Annotated[
    str | None,
    typer.Option(
        "--metric",
        metavar="NAME,NAME",
        help="Metrics by their names in metrics.jsonl, a panel for each; by default those of the kind of run",
        show_default=False,
    ),
]
X = Annotated[
    Literal["steps", "episodes", "seconds"],
    typer.Option("--x", help="Horizontal axis: environment steps (or images), training episodes, or seconds"),
]
Band = Annotated[
    Literal["mean", "iqm", "none"],
    typer.Option(
        "--band",
        help="Line over seeds, with its 95 % bootstrap interval from four seeds on: mean, or interquartile mean;"
        " none: the mean without an interval",
    ),
]
Log = Annotated[bool, typer.Option("--log", help="Logarithmic vertical axes")]
Width = Annotated[
    float | None,
    typer.Option(
        "--width",
        metavar="INCHES",
        min=1.5,
        max=40,
        help="Width of the picture, whose text has 7 to 8 points; by default 3.3 (a column of a paper) for one panel,"
        " 6.9 (a page) for several",
        show_default=False,
    ),
]


def register(app: typer.Typer, panel: str) -> None:
    """Add the commands of this file."""
    lines: tuple[str, ...] = (
        "rlgen plot latest",
        "rlgen plot dqn-CartPole-1 dqn-CartPole-2 --out both.pdf --x episodes",
        "rlgen plot latest --metric loss,q,epsilon --log --out losses.svg",
        "rlgen plot gan-mnist-1 --quality 1000",
    )
    app.command("plot", rich_help_panel=panel, epilog=examples(*lines))(plot)
    lines = (
        "rlgen compare dqn-CartPole-1 rainbow-CartPole-1",
        "rlgen compare dqn-CartPole-1 dqn-CartPole-2 --threshold 475 --out both.pdf",
        "rlgen compare dqn-CartPole-1 c51-CartPole-1 --metric eval_return --json",
    )
    app.command("compare", rich_help_panel=panel, epilog=examples(*lines))(compare)


def plot(
    names: Names,
    out: Annotated[
        Path | None,
        output(
            "--out",
            "png, svg, pdf, or csv for the plotted numbers; by default curves.png, in the folder of a single run",
        ),
    ] = None,
    metric: Metric = None,
    x: X = "steps",
    log: Log = False,
    band: Band = "mean",
    width: Width = None,
    quality: Annotated[
        int,
        number(
            "--quality",
            "Samples at each portrait of a model, whose quality is measured once and kept in quality.jsonl; 0: none",
            0,
        ),
    ] = 0,
    runs: Runs = Path("runs"),
) -> None:
    """Draw learning curves, raw values faint, smoothed ones bold; seeds of one configuration are one line with a band.

    Without --out, the pictures of the final report of a single run are drawn as well.
    """
    from rlgen.report import final, plots
    from rlgen.report.lines import View

    folders = _found(names, runs)
    path = out or (folders[0] / "curves.png" if len(folders) == 1 else Path("curves.png"))
    if quality:
        _measure(folders, quality)
    plots.curves(folders, path, View(x, _metrics(metric), band, log), width)
    print(visible(str(path)))
    for drawn in final.draw(folders[0]) if len(folders) == 1 and not out and not metric else ():
        print(visible(str(drawn)))


def compare(
    names: Names,
    out: Annotated[
        Path,
        output("--out", "Picture of all curves: png, svg, pdf, or csv for the plotted numbers; by default compare.png"),
    ] = Path("compare.png"),
    metric: Metric = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            metavar="VALUE",
            help="Value of the metric whose first time is compared; by default the best one that all experiments reach",
            show_default=False,
        ),
    ] = None,
    x: X = "steps",
    log: Log = False,
    band: Band = "mean",
    width: Width = None,
    runs: Runs = Path("runs"),
    json_: Json = False,
) -> None:
    """Compare runs: settings that differ, scores of their curves, probability of improvement, and one picture.

    Runs that differ in nothing but their seed are one experiment.
    """
    from rlgen.report import comparison, plots
    from rlgen.report.lines import View

    folders = _found(names, runs)
    if len(set(folders)) < 2:
        raise UserError("one run has nothing to be compared with: name two or more, or `rlgen plot` it")
    view = View(x, _metrics(metric), band, log)
    found = comparison.compare(folders, view, threshold)
    plots.curves(folders, out, view, width, apart=found["apart"])
    if json_:
        print(json.dumps({**found, "picture": str(out)}, indent=2))
        return
    print("\n".join(report(found)))
    print(visible(str(out)))


def report(found: dict[str, Any]) -> list[str]:
    """The result of `comparison.compare` as text."""
    labels = _letters(found["experiments"])
    rows = [
        [letter, e["label"], e["task"], str(e["n"]), ", ".join(e["runs"][:3]) + ", …" * (len(e["runs"]) > 3)]
        for letter, e in zip(labels, found["experiments"], strict=True)
    ]
    lines = table(["", "experiment", "task", "seeds", "runs"], rows)
    differences = [[name, *(value or "" for value in values)] for name, values in found["differences"].items()]
    lines += ["", *(table(["differs in", *labels], differences) if differences else ["equal in every setting"])]
    for metric in found["metrics"]:
        lines += ["", *_scores(metric, labels, found)]
    if found["improvement"]:
        lines += ["", *_improvement(found)]
    return [*lines, *(["", *(f"note: {visible(note)}" for note in found["notes"])] if found["notes"] else []), ""]


def _scores(metric: dict[str, Any], labels: list[str], found: dict[str, Any]) -> list[str]:
    """The table of one metric: a column per experiment."""
    scores = metric["scores"]
    rows = [
        [words, *("" if score is None else _value(score[name]) for score in scores)]
        for name, words in (("best", "best"), ("last", "last"), ("mean", "area under the curve / length"))
        if name != "best" or metric["better"]
    ]
    if metric["threshold"] is not None:
        sign = "≥" if metric["better"] != "lower" else "≤"
        words = f"{found['x']} to {sign} {metric['threshold']:,.4g}"
        rows.append([words, *("" if score is None else _reached(score) for score in scores)])
    better = f", {metric['better']} is better" if metric["better"] else ""
    head = f"{metric['metric']} on {metric['task']} ({metric['label']}{better})"
    return [visible(head), *table(["", *labels], rows, indent=2)]


def _value(score: dict[str, Any] | None) -> str:
    if score is None or score["value"] is None:
        return ""
    interval = f" [{score['low']:,.4g}, {score['high']:,.4g}]" if score["low"] is not None else ""
    return f"{score['value']:,.4g}{interval}"


def _reached(score: dict[str, Any]) -> str:
    time = score["time_to_threshold"]
    if time is None:
        return ""
    middle = "not reached" if time["median"] is None else f"{time['median']:,.0f}"
    return middle if score["n"] == 1 else f"{middle} ({time['reached']} of {score['n']} seeds)"


def _improvement(found: dict[str, Any]) -> list[str]:
    """The probabilities of improvement as a table."""
    letters = {
        e["label"]: letter for letter, e in zip(_letters(found["experiments"]), found["experiments"], strict=True)
    }
    rows = []
    for row in found["improvement"]:
        interval = "one seed: no interval" if row["low"] is None else f"[{row['low']:.2f}, {row['high']:.2f}]"
        tasks = f"{row['tasks']} tasks" if row["tasks"] > 1 else ""
        pair = f"{letters[row['first']]} better than {letters[row['second']]}"
        rows.append([row["metric"], pair, f"{row['probability']:.2f}", interval, tasks])
    return table(["probability of improvement at the end", "", "", "95 %", ""], rows)


def _letters(experiments: list[dict[str, Any]]) -> list[str]:
    """A, B, ..., Z, 27, 28, ...: a column head for each experiment."""
    return [chr(ord("A") + i) if i < 26 else str(i + 1) for i in range(len(experiments))]


def _measure(folders: list[Path], samples: int) -> None:
    """Measure the quality of samples of models at their portraits, as far as it is not known."""
    from rlgen.core import portraits
    from rlgen.report.console import activity

    with activity("loading"):
        from rlgen import preparation, session
        from rlgen.generative.quality import course
    for directory in folders:
        folder = Folder(directory)
        kind = preparation.entry_of(folder).kind
        if "sample" not in kind.verbs:
            raise UserError(f"--quality is of samples: {folder.name} is {kind.article}, which has none")
        times = portraits.times(directory)
        with activity("loading"):
            model = session.restore(folder, at=times[0] if times else None)
        with activity("scoring", len(times), "portraits") as more:
            course.measure(directory, model, samples, progress=more)


def _found(names: list[str], runs: Path) -> list[Path]:
    return [Folder.find(runs, name).directory for name in names]


def _metrics(text: str | None) -> tuple[str, ...]:
    """The names in a list with commas."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())
