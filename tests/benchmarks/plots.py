"""Time and memory of `rlgen plot` and `rlgen compare` for long logs: `python tests/benchmarks/plots.py`."""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
RUNS, LINES = 10, 10_000
SECONDS, MEBIBYTES = 2.0, 400  # to reach


def make(runs: Path) -> list[str]:
    """Runs of an agent with as many lines, and as many episodes, each with a seed of its own."""
    names: list[str] = []
    for seed in range(RUNS):
        folder, noise = runs / f"dqn-CartPole-{seed + 1}", np.random.default_rng(seed).normal(size=(LINES, 2))
        folder.mkdir(parents=True)
        info: dict[str, object] = {"kind": "agent", "algorithm": "dqn", "task": "CartPole", "seed": seed}
        info |= {"status": "finished", "time": 100 * LINES, "plan": {"budget": 100 * LINES}, "config": {"lr": 1e-3}}
        (folder / "run.json").write_text(json.dumps(info))
        with (folder / "metrics.jsonl").open("w") as metrics, (folder / "episodes.jsonl").open("w") as episodes:
            for i, (first, second) in enumerate(noise.tolist(), 1):
                row = {"return": i + first, "return_100": i, "loss": second**2, "q": first, "gradient_norm": 1.0}
                metrics.write(json.dumps({"time": 100 * i, **row, "epsilon": 0.05}) + "\n")
                episodes.write(json.dumps({"time": 100 * i, "seed": 0, "return": i + 9 * first, "length": 99}) + "\n")
                if i % 100 == 0:
                    metrics.write(
                        json.dumps({"time": 100 * i, "eval_return": i + second, "eval_return_se": 1.0}) + "\n"
                    )
        names.append(str(folder))
    return names


def measure(*words: str) -> tuple[float, float, float]:
    """Seconds, seconds of processor time and the peak memory in MiB of a command line."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    code = (
        "import resource, sys; from rlgen.cli.main import main\ntry: main()\nfinally:"
        " print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, used, int(done.stderr.split()[-1]) / 1024


def main() -> None:
    """Print the best of three measurements of each command."""
    with tempfile.TemporaryDirectory() as folder:
        names = make(Path(folder))
        out = str(Path(folder) / "curves")
        for words in (
            ["plot", *names, "--out", f"{out}.png"],
            ["plot", *names, "--out", f"{out}.svg"],
            ["plot", *names, "--out", f"{out}.png", "--band", "iqm", "--x", "episodes"],
            ["plot", *names, "--out", f"{out}.png", "--metric", "return,loss,q,epsilon"],
            ["compare", *names, "--out", f"{out}.png"],
        ):
            seconds, used, memory = min(measure(*words) for _ in range(3))
            shown = " ".join(word for word in words if "/" not in word)
            print(f"{shown:50} {seconds:5.2f} s ({used:.2f} s of processor time), {memory:.0f} MiB")
        print(f"to reach: {SECONDS} s, {MEBIBYTES} MiB for {RUNS} runs of {LINES:,} lines")


if __name__ == "__main__":
    main()
