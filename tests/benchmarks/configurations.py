"""Environment steps per second of S agents in one process: as seeds, and as members with a learning rate each.

`python -m tests.benchmarks.configurations 8 64 256`: DQN on CartPole with its preset, both in turn after the warm-up,
medians of the ratios of five rounds; and beside them one agent alone.
"""

import statistics
import sys
import time
from dataclasses import replace
from typing import Any

from rlgen import catalog, preparation
from rlgen.agents.dqn import DQN

ROUNDS, SECONDS, WARM = 5, 2.0, 1_200  # seconds of a round, environment steps before the first


def agent(count: int, members: bool) -> DQN:
    entry = catalog.find("dqn")
    config, setup, _ = preparation.settings_of(entry, preparation.preset_names(entry, "CartPole"), {"threads": 1})
    config = replace(config, seeds=count)
    rates = [config.lr * 10 ** (number / count - 0.5) for number in range(count)]
    batch = [(seed, replace(config, lr=lr)) for seed, lr in enumerate(rates)] if members else []
    made = DQN("CartPole", config, setup, batch)
    while made.time < WARM:
        made.step()
    return made


def rate(made: Any) -> float:
    """Environment steps per second of all agents together."""
    before, start = made.time, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        made.step()
    return (made.time - before) * made.config.seeds / (time.perf_counter() - start)


def main(*counts: str) -> None:
    for count in map(int, counts):
        agents = {"alone": agent(1, False), "seeds": agent(count, False), "members": agent(count, True)}
        rates = {name: [] for name in agents}
        for _ in range(ROUNDS):
            for name, made in agents.items():
                rates[name].append(rate(made))
        for name in ("seeds", "members"):
            alone = statistics.median(b / a for a, b in zip(rates["alone"], rates[name], strict=True))
            seeds = statistics.median(b / a for a, b in zip(rates["seeds"], rates[name], strict=True))
            each = statistics.median(rates[name])
            print(f"{count:4} {name:8} {each:9,.0f} steps/s  {alone:.2f} x alone  {seeds:.2f} x seeds", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
