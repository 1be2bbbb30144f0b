"""Long trainings: memory and handles do not grow, the end is as fast as the start: `python tests/campaigns/long.py`.

dqn on CartPole for a million environment steps with 200 evaluations, and a model for 20 epochs with pictures. Times are
of the processor, so that other processes on the machine count little, and without evaluations, whose episodes differ.
"""

import argparse
import gc
import itertools
import math
import os
import resource
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg"}  # before torch is imported
sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout of this file

import torch

from rlgen import session

WARM_UP = 0.2  # share of the training before which memory may grow: buffers fill up, functions are compiled
GROWTH, SLOWER = 0.02, 0.05  # that may be, of memory after the warm-up and of the processor time of the last tenth
SAMPLES = 100  # of memory, handles and time
STEPS, EVALUATIONS, EPOCHS = 1_000_000, 200, 20
AGENT: dict[str, Any] = {
    "width": 16, "buffer_size": 10_000, "batch": 32, "train_freq": 16, "gradient_steps": 1, "learning_starts": 1_000,
    "target_update_interval": 1_000, "eval_episodes": 2, "final_episodes": 3, "threads": 1, "stop_at": math.inf,
}  # fmt: skip
MODEL: dict[str, Any] = {"width": 8, "depth": 1, "latent": 4, "batch": 100, "threads": 1}


@dataclass
class Sample:
    """The state of the process between two steps of a training."""

    time: int
    seconds: float  # of the processor, without evaluations
    memory: int  # bytes that are resident
    handles: int  # open files and sockets
    threads: int


@dataclass
class Watched:
    """A training, and samples of the process in the course of it."""

    name: str
    algorithm: str
    task: str
    options: dict[str, Any]
    samples: list[Sample] = field(default_factory=list)

    def train(self, runs: Path) -> None:
        """Train to the end; a sample is taken after equal parts of the training."""
        made = session.prepare(self.algorithm, self.task, self.options, runs=runs)
        period, step, evaluate = made.plan.budget // SAMPLES, made.algorithm.step, made.algorithm.evaluate
        evaluating, began = 0.0, time.process_time()

        def watched() -> Any:
            metrics = step()
            if not self.samples or made.algorithm.time >= self.samples[-1].time + period:
                self.samples.append(sample(made.algorithm.time, began + evaluating))
            return metrics

        def timed() -> Any:
            nonlocal evaluating
            start = time.process_time()
            metrics = evaluate()
            evaluating += time.process_time() - start
            return metrics

        made.algorithm.step, made.algorithm.evaluate = watched, timed  # type: ignore[method-assign]
        made.train(quiet=True)

    def losses(self) -> list[str]:
        """What was lost: one line per promise that does not hold."""
        after = self.samples[int(WARM_UP * len(self.samples)) :]
        first, last = tenth(after, 0), tenth(after, -1)
        lost = []
        if (growth := last.memory / first.memory - 1) > GROWTH:
            lost.append(f"memory grows by {growth:.1%} after the warm-up, from {first.memory / 2**20:.0f} MiB")
        for name in ("handles", "threads"):
            counts = {getattr(each, name) for each in after}
            if len(counts) > 1:
                lost.append(f"{name} change: {sorted(counts)}")
        if (slower := last.seconds / first.seconds - 1) > SLOWER:
            lost.append(f"the last tenth takes {slower:.1%} more processor time than the first")
        return lost

    def figures(self) -> str:
        """The measured numbers in one line."""
        after = self.samples[int(WARM_UP * len(self.samples)) :]
        first, last = tenth(after, 0), tenth(after, -1)
        return (
            f"{self.name}: {self.samples[-1].time:,} in {self.samples[-1].seconds:.0f} s of the processor; memory"
            f" {first.memory / 2**20:.1f} -> {last.memory / 2**20:.1f} MiB"
            f" ({last.memory / first.memory - 1:+.2%}), handles {first.handles} -> {last.handles}, threads"
            f" {first.threads} -> {last.threads}, last tenth {last.seconds / first.seconds - 1:+.1%} of processor time"
        )


def sample(at: int, before: float) -> Sample:
    """The process as it is now, without garbage, and its processor time less that `before`."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    handles = sum(1 for _ in Path("/proc/self/fd").iterdir())
    return Sample(at, time.process_time() - before, pages * resource.getpagesize(), handles, threading.active_count())


def tenth(samples: list[Sample], which: int) -> Sample:
    """The first (0) or last (-1) tenth: median memory, and the median of seconds between two samples."""
    count = max(2, len(samples) // 10)
    part = samples[:count] if which == 0 else samples[-count:]
    seconds = statistics.median(b.seconds - a.seconds for a, b in itertools.pairwise(part))
    memory = int(statistics.median(each.memory for each in part))
    return Sample(part[which].time, seconds, memory, part[which].handles, part[which].threads)


def dataset() -> tuple[str, int]:
    """MNIST and its training images, where its files are at hand; else those of digits."""
    at_hand = Path(os.environ.get("RLGEN_DATA", "."), "MNIST").exists()
    return ("mnist", 60_000) if at_hand else ("digits", 1_437)


def trainings(share: float = 1.0) -> list[Watched]:
    """The trainings, or a share of each with as many evaluations and pictures."""
    (task, epoch), steps = dataset(), int(share * STEPS)
    images = int(share * EPOCHS * epoch)
    agent = {**AGENT, "budget": steps, "log_every": steps // 500, "eval_every": steps // EVALUATIONS}
    agent["save_every"] = steps // 50
    model = {**MODEL, "budget": images, "log_every": images // 500, "eval_every": images // EPOCHS}
    model["save_every"] = images // EPOCHS
    return [
        Watched("dqn on CartPole", "dqn", "CartPole", agent),
        Watched(f"vae on {task}", "vae", task, model),
    ]


def campaign(share: float, runs: Path, report: Callable[[str], None] = print) -> tuple[int, int]:
    """Run every training; returns how many and how many of them lost something."""
    lost = 0
    watched = trainings(share)
    for each in watched:
        each.train(runs)
        report(each.figures())
        for loss in each.losses():
            report(f"lost: {each.name}: {loss}")
        lost += bool(each.losses())
    return len(watched), lost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="seed of the trainings")
    parser.add_argument("--count", type=int, default=STEPS, help="environment steps; the epochs are in proportion")
    parser.add_argument("--runs", type=Path, help="folder to work in; by default a temporary one")
    given = parser.parse_args()
    torch.set_num_threads(1)
    AGENT["seed"] = MODEL["seed"] = given.seed
    with tempfile.TemporaryDirectory() as temporary:
        tries, lost = campaign(given.count / STEPS, given.runs or Path(temporary))
    print(f"long: {tries} tries, {tries - lost} survived, {lost} lost")
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
