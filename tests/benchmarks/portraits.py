"""Time and size of the portraits of default runs: `python tests/benchmarks/portraits.py [NAME TASK [OPTION=VALUE]]`.

The time of one is measured, and multiplied by the number of evaluations; the processor's time, which a busy machine
leaves as it is. The share of a training follows from the times in the scores.json of each kind.
"""

import sys
import tempfile
import time
from pathlib import Path

from rlgen.core import portraits
from rlgen.session import prepare

RUNS = [
    ("dqn", "CartPole", {}),
    ("rainbow", "CartPole", {}),
    ("qlearning", "FrozenLake", {}),
    ("drqn", "CartPoleHidden", {}),
    ("vae", "mnist", {}),
    ("pixelcnn", "mnist", {}),
    ("gan", "mnist", {}),
    ("vqvae", "mnist", {}),
    ("classify", "mnist", {}),
    ("classify", "objects", {"network": "resnet20"}),
]
WRITTEN = 20  # portraits, for the time of one


def measure(algorithm, task, options):
    """One line: bytes and milliseconds of a portrait, number kept, and both for the whole run."""
    with tempfile.TemporaryDirectory() as folder:
        session = prepare(algorithm, task, options, runs=Path(folder))
        model, plan, taken = session.algorithm, session.plan, []
        start = time.process_time()
        for number in range(WRITTEN):
            model.time = number
            taken = portraits.add(session.run.directory, model, taken)
        seconds = (time.process_time() - start) / WRITTEN
        files = (file.stat().st_size for file in session.run.directory.glob("portraits/*/*"))
        size = sum(files) / max(1, len(taken))
    evaluations, kept = plan.budget // plan.eval_every + 1, []
    for number in range(evaluations if taken else 0):
        kept = portraits.thinned([*kept, [number, number]], portraits.number_of(model.learned_dict()))
    name = " ".join([algorithm, task, *map(str, options.values())])
    print(
        f"{name:26} {size / 1e6:7.3f} MB {1e3 * seconds:6.1f} ms each; {evaluations:3} evaluations, {len(kept):2} kept:"
        f" {len(kept) * size / 1e6:6.2f} MB, {evaluations * seconds:.3f} s",
        flush=True,
    )


if __name__ == "__main__":
    words = sys.argv[1:]
    given = dict(word.split("=", 1) for word in words[2:])
    for run in [(words[0], words[1], given)] if words else RUNS:
        measure(*run)
