"""How good `rlgen gan mnist` gets, and how fast: a small classifier judges 10,000 samples of each seed.

    RLGEN_DATA=... python tests/benchmarks/gan.py --seeds 0 1 2

Prints for each seed the classes found, the classifier's confidence, and `lenet_fid`: the Fréchet distance (Heusel et
al. 2017, arXiv:1706.08500) to the training images in the classifier's 128 penultimate features (Bińkowski et al. 2018,
arXiv:1801.01401). It is no Inception FID and compares with nothing but itself. Its floor is that of real test images.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import rlgen
from rlgen import data, idx
from rlgen.core.folder import Folder

SAMPLES = 10_000  # as many as there are test images, so that the floor has the same bias
PRESENT = 0.01  # share of the samples from which on a class counts as found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the runs stay")
    parser.add_argument("--judge", nargs="+", default=[], help="runs already trained, to be judged alone")
    arguments = parser.parse_args()

    judge = Judge()
    target = 3 * judge.floor + 5
    print(f"judge: {judge.accuracy:.2%} of the test images right; floor {judge.floor:.2f}, target {target:.2f}")
    folders = [Folder.find(arguments.runs, name) for name in arguments.judge]
    for folder in folders or (train(seed, arguments.runs) for seed in arguments.seeds):
        info = folder.info
        distance, shares, confidence = judge(rlgen.load(folder).sample(SAMPLES, seed=1_000 + info["seed"]))
        print(
            f"seed {info['seed']}: {info['time']:,} images in {info['seconds']:.0f} s; lenet_fid {distance:.2f};"
            f" classes {sum(share >= PRESENT for share in shares)}/10: {' '.join(f'{share:.1%}' for share in shares)};"
            f" confidence {confidence:.1%}",
            flush=True,
        )


def train(seed: int, runs: Path) -> Folder:
    """What a user types, in a process of its own: evaluations, pictures and checkpoints are in its time."""
    words = ["gan", "mnist", "--no-fallback", "--seed", str(seed), "--quiet", "--json", "--runs", str(runs)]
    done = subprocess.run([sys.executable, "-m", "rlgen", *words], check=True, capture_output=True, text=True)
    return Folder(Path(json.loads(done.stdout)["run"]))


class Judge:
    """A small classifier of MNIST, trained once from a fixed seed and kept."""

    def __init__(self) -> None:
        train, test = data.load("mnist"), data.load("mnist", "test")
        path = idx.cache() / "benchmarks" / "lenet-mnist-1.safetensors"
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.network = nn.Sequential(
                nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                nn.Flatten(), nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10),
            )  # fmt: skip
            if path.exists():
                self.network.load_state_dict(load_file(path))
            else:
                self._learn(train)
                path.parent.mkdir(parents=True, exist_ok=True)
                save_file(self.network.state_dict(), path)
        self.reference, _ = self.look(train.images)
        features, logits = self.look(test.images)
        self.accuracy = (logits.argmax(1) == test.labels).double().mean().item()
        self.floor = frechet(features, self.reference)

    def __call__(self, images: Tensor) -> tuple[float, list[float], float]:
        """Fréchet distance to the training images, share of each class, mean confidence of (N, 1, 28, 28) in [0, 1]."""
        features, logits = self.look((images * 255).round().byte())  # in bytes, as the real ones are
        confidence, found = logits.softmax(1).max(1)
        shares = found.bincount(minlength=10) / len(found)
        return frechet(features, self.reference), shares.tolist(), confidence.mean().item()

    @torch.no_grad()
    def look(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 128) features and (N, 10) logits of images (N, 1, 28, 28) in bytes."""
        features = torch.cat([self.network[:-1](part.float() / 255) for part in images.split(500)])
        return features.double(), self.network[-1](features)

    def _learn(self, train: data.Dataset) -> None:
        epochs, batch, lr = 3, 128, 2e-3
        steps = len(train) // batch * epochs
        optimizer = torch.optim.Adam(self.network.parameters(), lr)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
        index = torch.cat([torch.randperm(len(train))[: len(train) // batch * batch] for _ in range(epochs)])
        for part in index.split(batch):
            loss = F.cross_entropy(self.network(train.images[part].float() / 255), train.labels[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


def frechet(a: Tensor, b: Tensor) -> float:
    """|μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½) of two sets of features (N, D)."""
    first, second = a.T.cov(), b.T.cov()
    cross = torch.linalg.eigvals(first @ second).real.clamp(min=0).sqrt().sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + first.trace() + second.trace() - 2 * cross)


if __name__ == "__main__":
    main()
