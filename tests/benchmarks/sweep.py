"""Presets tuned by `rlgen sweep` and judged on fresh seeds. Prints figures; nothing here is a test.

    python tests/benchmarks/sweep.py run --runs runs/tuning --workers 2             # all, continued where stopped
    python tests/benchmarks/sweep.py run --runs runs/tuning --studies gridworld --trials 8    # fewer trials: more later
    python tests/benchmarks/sweep.py run --runs runs/small --trials 4 --budget 5_000 --test-seeds 3    # does it work?
    python tests/benchmarks/sweep.py table --runs runs/tuning                       # figures and commands, as Markdown

A goal is reached where the mean over the fresh seeds of the trial that was the best while tuning is as good, and surely
where the lower end of its 95 % interval is. The number of trials can be raised later; the budget is that of the study.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from rlgen.sweep import study as studies
from rlgen.sweep.report import Report, as_json


class Tuning(NamedTuple):
    """A study with the score it is to reach on fresh seeds."""

    algorithm: str
    task: str
    goal: float
    known: str  # where the goal comes from
    budget: int  # environment steps of a run
    search: tuple[str, ...]
    options: tuple[str, ...] = ()  # of every trial, with {budget} in the place of its number


STUDIES = {
    "acrobot": Tuning(
        "dqn", "Acrobot", -78.0, "-76.6 in one run of rl-baselines3-zoo", 60_000,
        (
            "lr=2e-4..2e-3:log", "n_step=1,3,5", "gamma=0.95,0.97,0.99", "gradient_steps=16,32,64",
            "target_update_interval=64,128,256", "layer_norm=on,off",
        ),
        (
            "--stop-at", "0", "--eval-every", "20_000", "--schedule", "linear", "--lr-end", "5e-5",
            "--lr-steps", "{budget}",
        ),
    ),
    "gridworld": Tuning(
        "dqn", "GridWorld", 0.61, "the optimal policy on the final episodes", 30_000,
        (
            "lr=3e-4..5e-3:log", "n_step=1,3,5", "gamma=0.9..0.99", "gradient_steps=8,16,32", "epsilon_end=0.1..1.0",
            "target_update_interval=64,128,256,512",
        ),
        ("--eval-every", "10_000"),
    ),
}  # fmt: skip


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--runs", type=Path, default=Path("runs/tuning"), help="folder of the studies")
    parser.add_argument("--studies", nargs="*", choices=list(STUDIES), default=list(STUDIES), help="only these")
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=4, help="of a trial")
    parser.add_argument("--finalists", type=int, default=3)
    parser.add_argument("--test-seeds", type=int, default=10, help="of a finalist")
    parser.add_argument("--workers", type=int, default=1, help="processes at once")
    parser.add_argument("--budget", help="environment steps of a run, in place of that of the study")
    given = parser.parse_args()
    if given.what == "run":
        for name in given.studies:
            subprocess.run(command(name, given), check=True)
    print("\n".join(table(given.runs, given.studies)))


def command(name: str, given: argparse.Namespace) -> list[str]:
    """The command that begins a study, or continues the one that is there."""
    words = [sys.executable, "-m", "rlgen", "sweep", "--runs", str(given.runs), "--workers", str(given.workers)]
    numbers = ["--trials", str(given.trials), "--finalists", str(given.finalists)]
    numbers += ["--test-seeds", str(given.test_seeds)]
    if (given.runs / name / studies.FILE).exists():
        return [*words, "--join", name, *numbers]
    tuning = STUDIES[name]
    search = [word for entry in tuning.search for word in ("--search", entry)]
    budget = given.budget or str(tuning.budget)
    options = [option.format(budget=budget) for option in tuning.options]
    settings = ["--budget", budget, *options, "--seeds", str(given.seeds)]
    return [*words, tuning.algorithm, tuning.task, "--name", name, *search, *settings, *numbers]


def table(runs: Path, names: list[str]) -> list[str]:
    """Markdown: a row per study with a score, then the command of its best trial."""
    rows = ["| study | trials | CPU-seconds | selected | fresh seeds [95 %] | gap | goal | reached |"]
    rows.append("|" + "---|" * 8)
    commands = []
    for name in names:
        if not (runs / name / studies.FILE).exists():
            continue
        report = Report.of(studies.load(runs / name))
        told, tuning = as_json(report), STUDIES[name]
        trials = f"{len(report.outcomes.trials)} x {report.outcomes.scores.shape[1]} seeds"
        cost = f"{told['seconds']['tuning']:,.0f} + {told['seconds']['test']:,.0f}"
        for place, row in enumerate(told["held_out"]):
            cells = (text(row["selected"]), f"{text(row['fresh'])}, {row['fresh']['seeds']} seeds", text(row["gap"]))
            first = (
                (f"{tuning.algorithm} {tuning.task}", trials, cost)
                if place == 0
                else (f"trial {row['number']}", "", "")
            )
            goal = f"{tuning.goal:g} ({tuning.known})" if place == 0 else ""
            rows.append(f"| {' | '.join((*first, *cells, goal, reached(row['fresh'], tuning.goal)))} |")
            commands += [f"{name}, trial {row['number']}: `{row['command']}`"]
    return [*rows, "", *commands]


def text(interval: dict[str, Any]) -> str:
    """`-76.2 [-78.1, -74.3]`"""
    if interval["value"] is None:
        return "none"
    ends = "" if interval["low"] is None else f" [{interval['low']:.3g}, {interval['high']:.3g}]"
    return f"{interval['value']:.3g}{ends}"


def reached(fresh: dict[str, Any], goal: float) -> str:
    """Whether a score on fresh seeds is as good as the goal."""
    if fresh["value"] is None or fresh["value"] < goal - 1e-9:
        return "no"
    return "surely" if fresh["low"] is not None and fresh["low"] >= goal - 1e-9 else "yes"


if __name__ == "__main__":
    main()
