"""How good `rlgen gan mnist` gets, and how fast: `rlgen eval`'s judge looks at 10,000 samples of each seed.

    RLGEN_DATA=... python tests/benchmarks/gan.py --seeds 0 1 2
    RLGEN_DATA=... python tests/benchmarks/gan.py --algorithm hinge --judge hinge-mnist-1

Prints for each seed the classes found, the classifier's confidence, and `lenet_fid` with the floor of real test images
and the target that follows from it. It is no Inception FID and compares with nothing but the same judge's.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import rlgen
from rlgen import api
from rlgen.core.folder import Folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithm", default="gan", help="gan, lsgan, hinge, wgan-gp")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the runs stay")
    parser.add_argument("--judge", nargs="+", default=[], help="runs already trained, to be judged alone")
    arguments = parser.parse_args()

    folders = [Folder.find(arguments.runs, name) for name in arguments.judge]
    for folder in folders or (train(arguments.algorithm, seed, arguments.runs) for seed in arguments.seeds):
        info = folder.info
        found = api.judge(rlgen.load(folder), seed=1_000 + info["seed"])
        floor, shares = found["floor"]["lenet_fid"], " ".join(f"{share:.1%}" for share in found["classes"].values())
        print(
            f"seed {info['seed']}: {info['time']:,} images in {info['seconds']:.0f} s;"
            f" lenet_fid {found['lenet_fid']:.2f} (floor {floor:.2f}, target {3 * floor + 5:.2f});"
            f" classes {found['classes_found']:.0f}/10: {shares};"
            f" confidence {found['confidence']:.1%}",
            flush=True,
        )


def train(algorithm: str, seed: int, runs: Path) -> Folder:
    """What a user types, in a process of its own: evaluations, pictures and checkpoints are in its time."""
    words = [algorithm, "mnist", "--no-fallback", "--seed", str(seed), "--quiet", "--json", "--runs", str(runs)]
    done = subprocess.run([sys.executable, "-m", "rlgen", *words], check=True, capture_output=True, text=True)
    return Folder(Path(json.loads(done.stdout)["run"]))


if __name__ == "__main__":
    main()
