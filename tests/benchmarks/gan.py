"""How good `rlgen gan mnist` gets, and how fast: a small classifier judges 10,000 samples of each seed.

    RLGEN_DATA=... python tests/benchmarks/gan.py --seeds 0 1 2

Prints for each seed the classes found, the classifier's confidence, and `lenet_fid`: the Fréchet distance (Heusel et
al. 2017, arXiv:1706.08500) to the training images in the classifier's 128 penultimate features (Bińkowski et al. 2018,
arXiv:1801.01401). It is no Inception FID and compares with nothing but itself. Its floor is that of real test images.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from rlgen import data, idx
from rlgen.core.settings import Setup
from rlgen.generative.gan import GAN
from rlgen.generative.settings import TUNED

SAMPLES = 10_000  # as many as there are test images, so that the floor has the same bias
PRESENT = 0.01  # share of the samples from which on a class counts as found


def main() -> None:
    preset = TUNED["gan"]["mnist"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--budget", type=int, default=preset["budget"])
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--pictures", type=Path, help="folder for the last sheet of samples of each seed")
    arguments = parser.parse_args()

    judge = Judge()
    target = 3 * judge.floor + 5
    print(f"judge: {judge.accuracy:.2%} of the test images right; floor {judge.floor:.2f}, target {target:.2f}")
    config = GAN.Config(**{name: value for name, value in preset.items() if hasattr(GAN.Config, name)})
    for seed in arguments.seeds:
        model = GAN("mnist", config, Setup(seed=seed, threads=arguments.threads))
        wall, cpu = time.perf_counter(), time.process_time()
        for picture in train(model, arguments.budget, preset["eval_every"]):
            if arguments.pictures:
                save(picture, arguments.pictures / f"gan-mnist-{seed}.png")
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        distance, shares, confidence = judge(model.sample(SAMPLES, seed=seed))
        print(
            f"seed {seed}: {model.time:,} images in {wall:.0f} s ({model.time / wall:.0f}/s; {cpu:.0f} s of CPU,"
            f" {model.time / cpu:.0f} per CPU second); lenet_fid {distance:.2f}; classes"
            f" {sum(share >= PRESENT for share in shares)}/10: {' '.join(f'{share:.1%}' for share in shares)};"
            f" confidence {confidence:.1%}",
            flush=True,
        )


def train(model: GAN, budget: int, eval_every: int) -> Iterator[Tensor]:
    """Step to the budget; yields the sheet of samples of each evaluation on the way."""
    while model.time < budget:
        last = model.time
        model.step()
        if model.time // eval_every > last // eval_every or model.time >= budget:
            metrics = model.evaluate()
            print(
                f"  {model.time:>9,}", {k: round(float(v), 2) for k, v in metrics.items() if k != "samples"}, flush=True
            )
            yield metrics["samples"]


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


def save(picture: Tensor, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((picture[0] * 255).round().byte().numpy()).save(path)


if __name__ == "__main__":
    main()
