"""What DQN on CartPole reaches and costs. Prints figures; nothing here gates.

    python tests/benchmarks/dqn.py score --seeds 10          # the tuned preset, one core, a fresh process per seed
    python tests/benchmarks/dqn.py speed --peer PYTHON       # steps/s beside Stable-Baselines3, alternating
    python tests/benchmarks/dqn.py overhead                  # of the loop and the log, against bare steps
    python tests/benchmarks/dqn.py startup                   # of the commands that need no torch

PYTHON is the interpreter of an environment of its own with stable-baselines3 in it.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ZOO = {  # hyperparams/dqn.yml of rl-baselines3-zoo for CartPole-v1, in our words
    "lr": 2.3e-3, "batch": 64, "capacity": 100_000, "warmup": 1_000, "gamma": 0.99, "sync_every": 10,
    "train_every": 256, "updates": 128, "epsilon_steps": 8_000, "epsilon_end": 0.04, "width": 256,
    "double": False, "n_step": 1, "loss": "huber", "tau": 1.0, "depth": 2,
}  # fmt: skip
PEER = """
import sys, time, gymnasium, torch
from stable_baselines3 import DQN
torch.set_num_threads(1)
model = DQN("MlpPolicy", gymnasium.make("CartPole-v1"), seed=0, device="cpu", policy_kwargs=dict(net_arch=[256, 256]),
            learning_rate=2.3e-3, batch_size=64, buffer_size=100_000, learning_starts=1_000, gamma=0.99,
            target_update_interval=10, train_freq=256, gradient_steps=128,
            exploration_fraction=8_000 / int(sys.argv[1]), exploration_final_eps=0.04)
start = time.perf_counter()
model.learn(int(sys.argv[1]))
print(int(sys.argv[1]) / (time.perf_counter() - start))
"""


def one_core() -> None:
    """Stay on one core, as the peers are measured; children inherit it."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def score(seeds: int) -> None:
    """Greedy mean over 100 fresh episodes at the end of the tuned preset, and the seconds of its training."""
    one_core()
    rows = []
    with tempfile.TemporaryDirectory() as runs:
        for seed in range(seeds):
            words = ["dqn", "CartPole", "--seed", str(seed), "--json", "--quiet", "--runs", runs]
            out = subprocess.run([sys.executable, "-m", "rlgen", *words], check=True, capture_output=True, text=True)
            row = json.loads(out.stdout)
            rows.append(row)
            print(f"seed {seed}: {row['score']:6.1f} after {row['time']:,} steps, {row['seconds']:.1f} s", flush=True)
    solved = sum(row["score"] >= 475 for row in rows)
    seconds = [row["seconds"] for row in rows]
    print(f"{solved} of {seeds} seeds at 475 or more; seconds: median {statistics.median(seconds):.1f}, "
          f"{min(seconds):.1f} to {max(seconds):.1f}")  # fmt: skip


def speed(peer: str, steps: int, rounds: int) -> None:
    """Environment steps/s with the zoo's settings: ours and the peer's in turn."""
    one_core()
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(_ours(steps))
        out = subprocess.run([peer, "-c", PEER, str(steps)], check=True, capture_output=True, text=True)
        theirs.append(float(out.stdout.split()[-1]))
        print(
            f"rlgen {ours[-1]:,.0f}  stable-baselines3 {theirs[-1]:,.0f}  ratio {ours[-1] / theirs[-1]:.2f}", flush=True
        )
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    print(f"medians: rlgen {statistics.median(ours):,.0f}, peer {statistics.median(theirs):,.0f}, ratio {ratio:.2f}")


def _ours(steps: int) -> float:
    with tempfile.TemporaryDirectory() as runs:
        settings = Path(runs) / "zoo.json"
        plan = {"budget": steps, "eval_every": steps, "save_every": steps, "stop_at": "inf"}
        settings.write_text(json.dumps({**ZOO, **plan}))
        words = ["dqn", "CartPole", "--config", str(settings), "--json", "--quiet", "--runs", runs]
        out = subprocess.run([sys.executable, "-m", "rlgen", *words], check=True, capture_output=True, text=True)
        row = json.loads(out.stdout)
        return float(row["time"] / row["seconds"])


def overhead(rounds: int) -> None:
    """Seconds a run of the preset spends outside its steps, evaluations apart: in `fit`, the log, the checkpoints.

    Both are taken in the same run: two runs differ by more than what is sought.
    """
    from rlgen import api
    from rlgen.core.fit import fit

    one_core()
    shares = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as runs:
            given = {"budget": 10_000}
            session = api.prepare("dqn", "CartPole", given, runs=Path(runs))
            step, inside = session.algorithm.step, 0.0

            def timed() -> Any:
                nonlocal inside
                start = time.perf_counter()
                metrics = step()  # noqa: B023  called in this round alone
                inside += time.perf_counter() - start
                return metrics

            session.algorithm.step = timed  # type: ignore[method-assign]
            scores = itertools.count()  # each evaluation the best so far, and so saved: the worst case
            session.algorithm.evaluate = lambda s=scores: {"eval_return": float(next(s))}  # type: ignore[method-assign]
            with session.run:
                start = time.perf_counter()
                fit(session.algorithm, session.run, session.plan)
                whole = time.perf_counter() - start
        shares.append((whole - inside) / inside)
        print(f"steps {inside:.2f} s, the rest {1000 * (whole - inside):.0f} ms, {100 * shares[-1]:.2f} %", flush=True)
    print(f"median overhead of fit and Run: {100 * statistics.median(shares):.2f} %")


def startup(rounds: int) -> None:
    """Wall-clock seconds of commands that look and do not train."""
    command = str(Path(sys.executable).with_name("rlgen"))
    for words in (["--help"], ["runs"], ["dqn", "--help"]):
        seconds = []
        for _ in range(rounds):
            start = time.perf_counter()
            subprocess.run([command, *words], check=True, capture_output=True)
            seconds.append(time.perf_counter() - start)
        print(f"rlgen {' '.join(words):<12} median {statistics.median(seconds):.3f} s, best {min(seconds):.3f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["score", "speed", "overhead", "startup"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--peer", default="peers/bin/python")
    given = parser.parse_args()
    {
        "score": lambda: score(given.seeds),
        "speed": lambda: speed(given.peer, given.steps, given.rounds),
        "overhead": lambda: overhead(given.rounds),
        "startup": lambda: startup(given.rounds),
    }[given.what]()
