"""Mode coverage of each loss at its preset on points in two dimensions: `points.py --seeds 3 --tasks ring grid`."""

import argparse
import tempfile
import time

from rlgen import train

LOSSES = ("gan", "lsgan", "hinge", "wgan-gp")
TASKS = ("ring", "grid", "spiral")


def main() -> None:
    """Print covered modes, share of points of high quality and seconds of every run, as soon as it ends."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS)
    options.add_argument("--losses", nargs="+", default=LOSSES, choices=LOSSES)
    options.add_argument("--budget", type=int, help="points of training; by default that of the preset")
    given = options.parse_args()
    budget = {"budget": given.budget} if given.budget else {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(given.seeds):
            for task in given.tasks:
                for loss in given.losses:
                    start = time.perf_counter()
                    result = train(loss, task, runs=folder, seed=seed, threads=1, progress=False, **budget).result
                    print(
                        f"{loss:<8} {task:<7} seed {seed}  modes {result['modes']} of {result['modes_in_all']}"
                        f"  high quality {result['high_quality']:.1%}  {time.perf_counter() - start:.0f} s",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
