"""Seconds from Enter to the start panel, and of the whole command, beside `import torch` alone. Prints measurements.

    python tests/benchmarks/starting.py                 # rlgen dqn CartPole
    python tests/benchmarks/starting.py gan mnist --repeats 9

Each round runs both, one after the other; ratios are of one round, and medians are over the rounds. The output goes to
a pipe: a panel on a terminal is drawn by the same call.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
LAST = "  folder"  # line of the start panel


def main() -> None:
    """Measure one command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", default=["dqn", "CartPole"], help="algorithm and task")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--whole", action="store_true", help="wait for the end of the training as well")
    options = parser.parse_args()
    panels, ends, alone = [], [], []
    for _ in range(options.repeats):
        alone.append(imported())
        panel, end = started(options.words, options.whole)
        panels.append(panel)
        ends.append(end)
    ratio = median(panel / torch for panel, torch in zip(panels, alone, strict=True))
    print(f"import torch {median(alone):.2f} s, start panel {median(panels):.2f} s, ratio {ratio:.2f}")
    if options.whole:
        print(f"whole command {median(ends):.2f} s, from {min(ends):.2f} to {max(ends):.2f}")


def imported() -> float:
    """Seconds of a process that imports torch and nothing else."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return time.perf_counter() - began


def started(words: list[str], whole: bool) -> tuple[float, float]:
    """Seconds until the start panel is complete, and until the end of the process."""
    with tempfile.TemporaryDirectory() as runs:
        began = time.perf_counter()
        command = [sys.executable, "-m", "rlgen", *words, "--runs", runs]
        with subprocess.Popen(
            command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        ) as process:
            for line in process.stderr or ():
                if line.startswith(LAST):
                    break
            panel = time.perf_counter() - began
            if not whole:
                process.kill()
            process.communicate()
        return panel, time.perf_counter() - began


if __name__ == "__main__":
    main()
