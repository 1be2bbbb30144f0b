"""Milliseconds of a completion with many runs, the start of Python included: `completion.py --runs 1000`."""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rlgen.core.folder import Folder


def main() -> None:
    """Print the median, the smallest and the largest time of several completions of `rlgen eval dqn`."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=1000, help="number of run folders")
    options.add_argument("--repeats", type=int, default=15)
    given = options.parse_args()
    root = Path(__file__).parents[2]
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(given.runs):
            Folder.create(Path(folder), "dqn-CartPole", f"dqn-CartPole-{_}")
        environment = {**os.environ, "RLGEN_COMPLETE": "bash", "RLGEN_RUNS": folder, "PYTHONPATH": str(root)}
        times, cpu = [], []
        for _ in range(given.repeats):
            before, began = os.times(), time.perf_counter()
            subprocess.run([sys.executable, "-m", "rlgen", "eval", "dqn"], env=environment, stdout=subprocess.DEVNULL)
            times.append(1000 * (time.perf_counter() - began))
            after = os.times()
            spent = after.children_user + after.children_system - before.children_user - before.children_system
            cpu.append(1000 * spent)
    print(f"{given.runs} runs: median {statistics.median(times):.0f} ms, {min(times):.0f} to {max(times):.0f} ms;"
          f" {statistics.median(cpu):.0f} ms of CPU")  # fmt: skip


if __name__ == "__main__":
    main()
