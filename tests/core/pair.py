"""One of two processes that train small algorithms together; the first prints the metrics of their steps as JSON.

Run by `test_processes.py` with the environment variables of torchrun and a list of cases: name of the algorithm, task,
settings, number of steps.
"""

import json
import sys

import torch

from rlgen import catalog
from rlgen.core import followers, processes
from rlgen.core.config import resolve
from rlgen.core.metrics import numbers
from rlgen.core.settings import Setup


def build(name, task, settings):
    """The algorithm with float32 arithmetic; its weights are the same in every process."""
    entry = catalog.find(name)
    torch.manual_seed(0)
    config = resolve(entry.config, *entry.presets(task), {"precision": "float32", **settings})
    return entry.algorithm_for(task)(task, config, Setup(device="cpu", threads=1))


def steps(algorithm, count):
    """The metrics of so many steps, then a digest of the weights."""
    rows = [{key: numbers(value) for key, value in algorithm.step().items()} for _ in range(count)]
    weights = [v for v in algorithm.learned_dict().values() if isinstance(v, dict)]
    total = sum(float(t.double().abs().sum()) for part in weights for t in part.values() if torch.is_tensor(t))
    return [*rows, {"time": algorithm.time, "weights": total}]


def main():
    group = processes.join()
    found = []
    for name, task, settings, count in json.loads(sys.argv[1]):
        algorithm = build(name, task, settings)
        if group.rank:
            followers.follow(algorithm, lambda: 0)
            continue
        followers.share_state(algorithm)
        found.append(steps(algorithm, count))
        processes.exchange(processes.END)
    processes.leave()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
