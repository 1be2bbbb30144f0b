"""An ensemble beside as many single runs one after the other. Prints measurements; nothing here is a test.

    export RLGEN_DATA=...
    python tests/benchmarks/members.py steps                   # of training alone, in turn, in one process
    python tests/benchmarks/members.py commands --images 60000 # whole commands: start, training, evaluations, pictures
    python tests/benchmarks/members.py steps --networks lenet5 --members 4 --rounds 3

Both sides train as many networks on as many images each. Wall time counts, and CPU time says what a busy machine hides.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import NamedTuple


class Cost(NamedTuple):
    """Seconds of the clock, and of all processor cores together."""

    wall: float
    cpu: float


def cost(function: Callable[[], object]) -> Cost:
    """What a call costs, its child processes included."""
    start = time.perf_counter(), _cpu()
    function()
    return Cost(time.perf_counter() - start[0], _cpu() - start[1])


def _cpu() -> float:
    uses = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses)


def steps(network: str, members: int, images: int, rounds: int) -> None:
    """Gradient steps in one process: each single network for so many images, then the ensemble for as many."""
    from rlgen import catalog, preparation
    from rlgen.core.config import resolve
    from rlgen.core.settings import Setup

    entry = catalog.find("classify")
    presets = entry.presets(*preparation.preset_names(entry, "mnist", None, {"network": network}))

    def build(seed: int, **options: object) -> object:
        return entry.algorithm("mnist", resolve(entry.config, *presets, {"network": network, **options}), Setup(seed))

    def advance(*algorithms: object) -> None:
        for algorithm in algorithms:
            end = algorithm.time + images  # type: ignore[attr-defined]
            while algorithm.time < end:  # type: ignore[attr-defined]
                algorithm.step()  # type: ignore[attr-defined]

    singles = [build(seed) for seed in range(members)]
    ensemble = build(0, ensemble="bagging", members=members)
    advance(*singles[:1], ensemble)
    compare(network, rounds, lambda: advance(*singles), lambda: advance(ensemble))


def commands(network: str, members: int, images: int, rounds: int) -> None:
    """Whole commands, one process after the other."""
    with tempfile.TemporaryDirectory() as runs:

        def run(*words: str) -> None:
            command = [sys.executable, "-m", "rlgen", "classify", "mnist", "--no-fallback", "--quiet", "--runs", runs]
            more = ["--network", network, "--budget", str(images), *words]
            subprocess.run([*command, *more], check=True, stdout=subprocess.DEVNULL)

        compare(
            network,
            rounds,
            lambda: [run("--seed", str(seed)) for seed in range(members)],
            lambda: run("--ensemble", "bagging", "--members", str(members)),
        )


def compare(network: str, rounds: int, singles: Callable[[], object], ensemble: Callable[[], object]) -> None:
    """Both in turn, so that what else the machine does hits both; the median of paired ratios."""
    pairs = []
    for _ in range(rounds):
        one, other = cost(singles), cost(ensemble)
        pairs.append((one, other))
        print(
            f"{network}: singles {one.wall:.1f} s ({one.cpu:.1f} CPU s), ensemble {other.wall:.1f} s"
            f" ({other.cpu:.1f} CPU s)",
            flush=True,
        )
    wall = statistics.median(one.wall / other.wall for one, other in pairs)
    cpu = statistics.median(one.cpu / other.cpu for one, other in pairs)
    print(f"{network}: median of the ratios {wall:.2f} of wall time, {cpu:.2f} of CPU time", flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["steps", "commands"])
    parser.add_argument("--networks", nargs="+", default=["linear", "mlp", "lenet5"])
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--images", type=int, default=10_000, help="per network and round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for network in options.networks:
        measure = steps if options.what == "steps" else commands
        measure(network, options.members, options.images, options.rounds)


if __name__ == "__main__":
    main()
