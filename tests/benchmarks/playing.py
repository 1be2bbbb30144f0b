"""What it costs to look at an agent. Prints figures; nothing here gates.

python tests/benchmarks/playing.py frames     # frames/s of `rlgen play` of CartPole, plain and with values
python tests/benchmarks/playing.py what-if    # milliseconds from a moved number or covered pixel to the values
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rlgen import evaluation, preparation
from rlgen.catalog import find
from rlgen.core.settings import Setup
from rlgen.film import film
from rlgen.report import video
from rlgen.ui.actions.agents import episode, frames
from rlgen.ui.actions.take_over import take_over
from rlgen.ui.actions.what_if import what_if


def agent(task: str, **config: Any) -> Any:
    """An untrained agent that plays whole episodes of CartPole: what it costs does not depend on its weights."""
    entry = find("dqn")
    return preparation.make(entry, task, entry.config(**config), Setup(seed=0, threads=1))


class Balancing:
    """An agent whose greedy action keeps the pole upright, at the cost of the network it has."""

    def __init__(self, made: Any) -> None:
        self.made = made

    def predict(self, obs: Any, *rest: Any) -> Any:
        """The action of a rule, after that of the network."""
        _, state = self.made.predict(obs, *rest)
        return (obs[:, 2] + 0.3 * obs[:, 3] + 0.03 * obs[:, 0] > 0).astype(int), state

    def __getattr__(self, name: str) -> Any:
        return getattr(self.made, name)


def measure_frames(rounds: int) -> None:
    """Frames/s from the environment to the file, by the clock and by the time of the processor."""
    made = agent("CartPole", width=128)
    player = Balancing(made)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "film.gif"

        def plain() -> int:
            drawn, _, fps = evaluation.record(player, 1, 0)
            video.write(drawn, out, fps)
            return len(drawn)

        def values() -> int:
            count = 0

            def counted(more: Any) -> Any:
                nonlocal count
                for frame in more:
                    count += 1
                    yield frame

            recorded = film([made] * 4, ["a", "b", "c", "d"], 0)
            video.write(counted(recorded.frames), out, recorded.fps)
            return count

        for name, work in (("play", plain), ("play --thinking, four ages", values)):
            clock, processor = zip(*(rate(work) for _ in range(rounds)), strict=True)
            print(f"{name}: {statistics.median(clock):.0f} frames/s, {statistics.median(processor):.0f} per CPU second")


def rate(work: Callable[[], int]) -> tuple[float, float]:
    """Frames per second of the clock, and of the processor."""
    start, used = time.perf_counter(), time.process_time()
    count = work()
    return count / (time.perf_counter() - start), count / (time.process_time() - used)


def measure_what_if(rounds: int) -> None:
    """Milliseconds of the actions of the page, in the process that computes them."""
    cart, catch = agent("CartPole"), agent("Catch")
    atari = agent("Catch", encoder="resnet20")
    sessions: list[dict[str, Any]] = [{}, {}, {}]
    for each, session in zip((cart, catch, atari), sessions, strict=True):
        episode(each, {}, session)
    cover = list(range(40))
    take_over(catch, {"do": "start"}, sessions[1])
    works = {
        "a number of CartPole": lambda: what_if(cart, {"step": 2, "numbers": [0.1, 0.2, 0.1, 0.2]}, sessions[0]),
        "pixels of Catch": lambda: what_if(catch, {"step": 2, "cover": cover}, sessions[1]),
        "pixels of Catch, ResNet-20": lambda: what_if(atari, {"step": 2, "cover": cover}, sessions[2]),
        "a step of a person in Catch": lambda: take_over(catch, {"do": "step", "action": 0}, sessions[1]),
        "a frame of Catch": lambda: frames(catch, {"start": 5, "count": 1}, sessions[1]),
    }
    for name, work in works.items():
        times = []
        for _ in range(rounds):
            start = time.perf_counter()
            work()
            times.append(1000 * (time.perf_counter() - start))
        print(f"{name}: {statistics.median(times):.1f} ms, at most {max(times):.1f} ms")


def main() -> None:
    """Print the figures."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", choices=("frames", "what-if"))
    options.add_argument("--rounds", type=int, default=0)
    given = options.parse_args()
    if given.what == "frames":
        measure_frames(given.rounds or 3)
    else:
        measure_what_if(given.rounds or 50)


if __name__ == "__main__":
    main()
