"""Images/s of two processes with a thread each against one process with one and with two threads, paired in one run.

`torchrun --nproc-per-node 2 tests/benchmarks/processes.py gan mnist`
"""

import argparse
import statistics
import time

import torch

from rlgen import catalog
from rlgen.core import followers, processes
from rlgen.core.config import resolve
from rlgen.core.metrics import numbers
from rlgen.core.settings import Setup
from rlgen.preparation import preset_names


def main() -> None:
    """Print the images/s of each way, and the medians of the ratios to one thread."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("algorithm")
    options.add_argument("task")
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--seconds", type=float, default=2.0, help="of each way in a round")
    given = options.parse_args()
    entry = catalog.find(given.algorithm)
    config = resolve(entry.config, *entry.presets(*preset_names(entry, given.task)))
    group = processes.join()
    algorithm = entry.algorithm_for(given.task)(given.task, config, Setup(device="cpu", threads=1))
    if group.rank:
        followers.follow(algorithm, lambda: 0)
    else:
        lead(algorithm, given)
        processes.exchange(processes.END)
    processes.leave()


def lead(algorithm, given) -> None:
    """Measure the ways in turn. The steps of one process alone change its weights, which the others never read."""
    alone, together = type(algorithm).step.__wrapped__, type(algorithm).step
    ways = {
        "1 process, 1 thread": (alone, 1),
        "1 process, 2 threads": (alone, 2),
        "2 processes, 1 thread each": (together, 1),
    }
    found: dict[str, list[float]] = {way: [] for way in ways}
    followers.share_state(algorithm)
    for round_ in range(-1, given.rounds):  # the first one is not counted
        for way, (step, threads) in ways.items():
            torch.set_num_threads(threads)
            began, before = time.perf_counter(), algorithm.time
            while time.perf_counter() - began < given.seconds:
                metrics = step(algorithm)
            numbers(next(iter(metrics.values())))  # waits for the last step
            if round_ >= 0:
                found[way].append((algorithm.time - before) / (time.perf_counter() - began))
    first = next(iter(found.values()))
    for way, rates in found.items():
        ratio = statistics.median(rate / one for rate, one in zip(rates, first, strict=True))
        print(f"{way:28} {statistics.median(rates):8,.0f} images/s   {ratio:.2f} x")


if __name__ == "__main__":
    main()
