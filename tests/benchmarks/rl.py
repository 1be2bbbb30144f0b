"""Scores of the presets of the agents: training, the table of the README, and the scores in `rlgen list`.

    python tests/benchmarks/rl.py train --runs runs/table --jobs 2        # every row; resumes rows that were stopped
    python tests/benchmarks/rl.py train --runs runs/table --tasks CartPole Acrobot --seeds 10
    python tests/benchmarks/rl.py table --runs runs/table --write README.md
    python tests/benchmarks/rl.py scores --runs runs/table                # into agents/scores.json
    python tests/benchmarks/rl.py optimum                                 # the best policy on the final episodes

A row is a command. Each of its seeds is a process of its own, on one thread. The score of a seed is the mean return of
its last weights over the 100 final episodes, the same for every seed and algorithm. The interval is the 95 % bootstrap
over seeds; the time is CPU time, start and evaluations included. Takes hours in full; nothing here gates.
"""

import argparse
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import trained
from numpy.typing import NDArray

from rlgen import catalog, envs, evaluation
from rlgen.agents.dynamic_programming import value_iteration
from rlgen.core.config import resolve
from rlgen.core.settings import Setup
from rlgen.envs.mdp import mdp
from rlgen.report import statistics


class Row(NamedTuple):
    """A command and its number of seeds."""

    algorithm: str
    task: str
    seeds: int
    goal: str  # known score, for comparison


ROWS = [
    Row("dqn", "CartPole", 10, "500 at 50k (zoo, one run)"),
    Row("dqn", "Acrobot", 5, "-76.6 (zoo, one run)"),
    Row("dqn", "MountainCar", 5, "-100.8 (zoo, one run)"),
    Row("dqn", "LunarLander", 5, "154 ± 79 (zoo, one run), 195 ± 28 (sb3-contrib)"),
    Row("dqn", "FrozenLake", 5, "optimal policy: 0.74 expected, 0.77 on these episodes"),
    Row("dqn", "Taxi", 5, "optimal policy: 7.93 expected, 7.71 on these episodes"),
    Row("dqn", "GridWorld", 5, "optimal policy: 0.65 expected, 0.61 on these episodes"),
    Row("dqn", "Catch", 5, "optimum 20"),
    Row("drqn", "CartPoleHidden", 5, "at most 500"),
    Row("dqn", "CartPoleHidden", 5, "feed-forward, cannot"),
    Row("c51", "CartPole", 5, ""),
    Row("c51", "Acrobot", 3, ""),
    Row("c51", "Catch", 3, "optimum 20"),
    Row("qrdqn", "CartPole", 5, ""),
    Row("rainbow", "CartPole", 5, ""),
    Row("rainbow", "Acrobot", 3, ""),
    Row("rainbow", "Catch", 3, "optimum 20"),
    Row("qlearning", "FrozenLake", 5, "optimal policy: 0.74 expected, 0.77 on these episodes"),
    Row("qlearning", "Taxi", 5, "optimal policy: 7.93 expected, 7.71 on these episodes"),
    Row("qlearning", "GridWorld", 5, "optimal policy: 0.65 expected, 0.61 on these episodes"),
    Row("qlearning", "CliffWalking", 5, "optimum -13"),
    Row("dqn", "MinAtar/Breakout", 3, "about 10 at 5M (DQN of its authors)"),
    Row("dqn", "MinAtar/Asterix", 3, "about 17 at 5M"),
    Row("dqn", "MinAtar/Freeway", 3, "about 50 at 5M"),
    Row("dqn", "MinAtar/Seaquest", 3, "about 20 at 5M"),
    Row("dqn", "MinAtar/SpaceInvaders", 3, "about 44 at 5M"),
]


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "table", "scores", "optimum"])
    parser.add_argument("--runs", type=Path, default=Path("runs/table"), help="folder of the runs of the table")
    parser.add_argument("--tasks", nargs="*", help="only these")
    parser.add_argument("--algorithms", nargs="*", help="only these")
    parser.add_argument("--seeds", type=int, help="instead of the number in the row")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once")
    parser.add_argument("--write", type=Path, help="a file in which to replace the table")
    given = parser.parse_args()
    rows = [
        row
        for row in ROWS
        if (not given.tasks or row.task in given.tasks) and (not given.algorithms or row.algorithm in given.algorithms)
    ]
    if given.what == "train":
        trained.side_by_side(partial(train, given.runs), jobs(rows, given.seeds), given.jobs)
    elif given.what == "scores":
        scores(given.runs, rows, Path(__file__).parents[2] / "agents/scores.json")
    elif given.what == "optimum":
        print("\n".join(map(best, ("FrozenLake", "Taxi", "GridWorld"))))
    else:
        text = table(given.runs, rows)
        print(text)
        if given.write:
            trained.write(given.write, "rl", text)


def jobs(rows: list[Row], seeds: int | None) -> Iterator[tuple[Row, int]]:
    """Every row and seed."""
    return ((row, seed) for row in rows for seed in range(seeds or row.seeds))


def train(runs: Path, row: Row, seed: int) -> str:
    """Train and score one seed, unless it is there already; one line about it."""
    name = f"{row.algorithm}-{row.task.replace('/', '-')}-{seed}"
    result = trained.train(runs, name, [row.algorithm, row.task, "--seed", str(seed), "--threads", "1"])
    if isinstance(result, str):
        return result
    return f"{name}: {result['score']:.2f} after {result['time']:,} steps, {result.get('cpu', 0):.0f} s of CPU"


def finished(runs: Path, row: Row) -> list[dict[str, Any]]:
    """The printed results of the seeds of a row that have been trained."""
    name = f"{row.algorithm}-{row.task.replace('/', '-')}"
    return [trained.read(path) for path in sorted(runs.glob(f"{name}-[0-9]*.json"))]


def scores(runs: Path, rows: list[Row], path: Path) -> None:
    """Write the measured scores of all rows with finished runs into the file that `rlgen list` reads."""
    measured = json.loads(path.read_text())
    for row in rows:
        if results := finished(runs, row):
            measured.setdefault(row.algorithm, {})[row.task] = score(row, results)
    path.write_text(json.dumps(measured, indent=2, ensure_ascii=False) + "\n")


def score(row: Row, results: list[dict[str, Any]]) -> str:
    """`-85.0 to -79.2 in 5 seeds after 100k steps; 120 s on one core`"""
    low, high = figures(np.array([result["score"] for result in results]))[-2:]
    steps, cpu = span([result["time"] for result in results]), cpu_seconds(results)
    best = f"; {row.goal}" if row.goal.startswith("optimum") else ""
    count = f"{len(results)} seed{'s' * (len(results) > 1)}"
    return f"{low if low == high else f'{low} to {high}'} in {count} after {steps} steps{best}; {cpu} s on one core"


def table(runs: Path, rows: list[Row]) -> str:
    """Markdown: a line for every row with finished runs."""
    lines = [
        "| command | mean return over seeds [95 % interval] | worst, best | seeds | steps | CPU s each | compare |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        results = finished(runs, row)
        if not results:
            continue
        values = np.array([result["score"] for result in results])
        mean, *others = figures(values)
        spread = ("{} [{}, {}]".format(mean, *others[:2]), ", ".join(others[2:])) if len(values) > 1 else (mean, "")
        command, steps = f"`rlgen {row.algorithm} {row.task}`", span([result["time"] for result in results])
        cells = (command, *spread, len(results), steps, cpu_seconds(results), row.goal)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def cpu_seconds(results: list[dict[str, Any]]) -> str:
    """Median CPU seconds of a seed, those that were resumed left out; empty without any."""
    known = [result["cpu"] for result in results if "cpu" in result]
    return f"{np.median(known):,.0f}" if known else ""


def figures(scores: NDArray[np.float64]) -> list[str]:
    """Mean, its interval over seeds, worst and best."""
    digits = 2 if np.abs(scores).max() < 2 else 1
    return [f"{x:.{digits}f}" for x in (scores.mean(), *statistics.bootstrap(scores), scores.min(), scores.max())]


def best(task: str) -> str:
    """The score of the optimal policy on the 100 final episodes, and its expected return."""
    entry = catalog.find("qlearning")
    config = resolve(entry.config, *entry.presets(task, envs.resolve(task)))
    agent = entry.algorithm(task, config, Setup(seed=0))
    process = mdp(task)
    assert process is not None
    agent.q[:] = value_iteration(process, gamma=0.9999)
    score = evaluation.score(agent)
    return f"{task}: {score['mean']:.3f}, exactly {score['optimum']:.3f}"


def span(times: list[int]) -> str:
    """`100k` or `4k to 16k`."""
    low, high = (f"{t / 1000:,.0f}k" for t in (min(times), max(times)))
    return low if low == high else f"{low} to {high}"


if __name__ == "__main__":
    main()
