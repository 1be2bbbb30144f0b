"""What the tuned presets of the agents reach: trains them, scores them, and writes the table of the README.

    python tests/benchmarks/rl.py train --runs runs/table --jobs 2        # every row; goes on where it was stopped
    python tests/benchmarks/rl.py train --runs runs/table --tasks CartPole Acrobot --seeds 10
    python tests/benchmarks/rl.py table --runs runs/table                 # prints it
    python tests/benchmarks/rl.py table --runs runs/table --write README.md
    python tests/benchmarks/rl.py optimum                                 # what the best policy has on those episodes

A row is a command; each of its seeds is a process of its own, on one thread, and scored by its last weights over 100
fresh greedy episodes. The interval is the 95 % bootstrap over seeds; the time is the processor's, evaluations and start
included, which other work on the machine hardly changes. Takes hours in full; nothing here gates.
"""

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import trained
from numpy.typing import NDArray
from rlgen.agents.dynamic_programming import value_iteration
from rlgen.envs.mdp import mdp

from rlgen import catalog, envs, evaluation
from rlgen.core.config import resolve
from rlgen.core.settings import Setup
from rlgen.report import statistics


class Row(NamedTuple):
    """A command, and how many seeds of it are trained unless told otherwise."""

    algorithm: str
    task: str
    seeds: int
    goal: str  # what it is compared with


ROWS = [
    Row("dqn", "CartPole", 10, "500 at 50k (zoo, one run)"),
    Row("dqn", "Acrobot", 5, "-76.6 (zoo, one run)"),
    Row("dqn", "MountainCar", 5, "-100.8 (zoo, one run)"),
    Row("dqn", "LunarLander", 5, "154 ± 79 (zoo, one run), 195 ± 28 (sb3-contrib)"),
    Row("dqn", "FrozenLake", 5, "optimum 0.74"),
    Row("dqn", "Taxi", 5, "optimum 7.9"),
    Row("dqn", "GridWorld", 5, "optimum 0.65"),
    Row("dqn", "Catch", 5, "optimum 20"),
    Row("drqn", "CartPoleHidden", 5, "at most 500"),
    Row("dqn", "CartPoleHidden", 5, "feed-forward, cannot"),
    Row("c51", "CartPole", 5, ""),
    Row("qrdqn", "CartPole", 5, ""),
    Row("rainbow", "CartPole", 5, ""),
    Row("qlearning", "FrozenLake", 5, "optimum 0.74"),
    Row("qlearning", "Taxi", 5, "optimum 7.9"),
    Row("dqn", "MinAtar/Breakout", 3, "about 10 at 5M (DQN of its authors)"),
    Row("dqn", "MinAtar/Asterix", 3, "about 17 at 5M"),
    Row("dqn", "MinAtar/Freeway", 3, "about 50 at 5M"),
    Row("dqn", "MinAtar/Seaquest", 3, "about 20 at 5M"),
    Row("dqn", "MinAtar/SpaceInvaders", 3, "about 44 at 5M"),
]


def main() -> None:
    """Read the words."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "table", "optimum"])
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
    told = trained.train(runs, name, [row.algorithm, row.task, "--seed", str(seed), "--threads", "1"])
    if isinstance(told, str):
        return told
    return f"{name}: {told['score']:.2f} after {told['time']:,} steps, {told.get('cpu', 0):.0f} s of CPU"


def table(runs: Path, rows: list[Row]) -> str:
    """Markdown: a line for every row that has been trained."""
    lines = [
        "| command | mean return over seeds [95 % interval] | worst, best | seeds | steps | CPU s each | compare |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        name = f"{row.algorithm}-{row.task.replace('/', '-')}"
        told = [trained.read(path) for path in sorted(runs.glob(f"{name}-[0-9]*.json"))]
        if not told:
            continue
        scores = np.array([one["score"] for one in told])
        mean, *others = figures(scores)
        spread = ("{} [{}, {}]".format(mean, *others[:2]), ", ".join(others[2:])) if len(scores) > 1 else (mean, "")
        steps = span([one["time"] for one in told])
        known = [one["cpu"] for one in told if "cpu" in one]  # not of those that were resumed
        seconds = f"{np.median(known):,.0f}" if known else ""
        command = f"`rlgen {row.algorithm} {row.task}`"
        cells = (command, *spread, len(told), steps, seconds, row.goal)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def figures(scores: NDArray[np.float64]) -> list[str]:
    """Mean, its interval over seeds, worst and best."""
    digits = 2 if np.abs(scores).max() < 2 else 1
    return [f"{x:.{digits}f}" for x in (scores.mean(), *statistics.bootstrap(scores), scores.min(), scores.max())]


def best(task: str) -> str:
    """What the best policy has on the 100 episodes that agents are scored on, beside its exact mean."""
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
