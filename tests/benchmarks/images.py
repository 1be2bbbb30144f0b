"""What the image models reach, and what they cost. Prints figures; nothing here gates.

    export RLGEN_DATA=...
    python tests/benchmarks/images.py table ae vae pixelcnn gated-pixelcnn pixelrnn vqvae --seeds 0 1 2
    python tests/benchmarks/images.py table pixelcnn --preset long
    python tests/benchmarks/images.py vae           # training images/s beside a loop with a DataLoader, in turn
    python tests/benchmarks/images.py pixelcnn      # training images/s of 15 residual blocks with a bottleneck
    python tests/benchmarks/images.py sampling      # seconds for images from these, and full passes for each pixel

GANs have a file of their own, for their samples are judged by `rlgen eval`.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SHOWN = ("mse", "pca_mse", "nats", "reconstruction", "kl", "iwae_500", "bits", "active", "code_nats", "perplexity")
BLOCKS = {"levels": 1, "blocks": 15, "width": 32, "head": 32, "bottleneck": True, "place": False, "batch": 64}


def table(algorithms: list[str], task: str, seeds: list[int], preset: str | None, runs: Path) -> None:
    """What a user types, each in a process of its own: evaluations, pictures and checkpoints are in its time."""
    for algorithm in algorithms:
        for seed in seeds:
            words = [algorithm, task, "--no-fallback", "--seed", str(seed), "--quiet", "--json", "--runs", str(runs)]
            words += ["--preset", preset] if preset else []
            done = subprocess.run([sys.executable, "-m", "rlgen", *words], check=True, capture_output=True, text=True)
            found = json.loads(done.stdout)
            figures = "  ".join(f"{name} {found[f'eval_{name}']:.4g}" for name in SHOWN if f"eval_{name}" in found)
            memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20  # KiB, of the largest so far
            print(
                f"{algorithm} {task} seed {seed}: {figures}  ({found['time']:,} images, {found['seconds']:.0f} s,"
                f" {memory:.2f} GiB at most)",
                flush=True,
            )


def vae(rounds: int, images: int) -> None:
    """A VAE of 784-400-20 in batches of 128: ours, and one in a plain loop over a DataLoader in its plainest form."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    from rlgen import data

    model = made("vae", width=400, depth=1, latent=20, batch=128)
    pixels = data.load("mnist").images

    class Items(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(pixels)

        def __getitem__(self, index: int) -> torch.Tensor:
            return pixels[index].float() / 255  # less than to decode a PIL image, as torchvision's does

    inward, both, outward = nn.Linear(784, 400), nn.Linear(400, 40), nn.Sequential(nn.Linear(20, 400), nn.ReLU())
    last = nn.Linear(400, 784)
    weights = [p for part in (inward, both, outward, last) for p in part.parameters()]
    optimizer = torch.optim.Adam(weights, 1e-3)
    loader = torch.utils.data.DataLoader(Items(), 128, shuffle=True)

    def plain() -> Iterator[int]:
        while True:
            for x in loader:
                x = x.view(-1, 784)
                mean, log_variance = both(F.relu(inward(x))).chunk(2, 1)
                z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
                fit = F.binary_cross_entropy(last(outward(z)).sigmoid(), x, reduction="sum")
                loss = fit - 0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                loss.item()
                yield len(x)

    in_turn(rounds, images, rlgen=ours(model), plain=plain())


def pixelcnn(rounds: int, images: int) -> None:
    """Training images/s of the masked residual PixelCNN, as it is and in float32."""
    for precision in ("auto", "float32"):
        model = made("pixelcnn", **BLOCKS, precision=precision)
        print(f"{precision}: {model.parameter_count():,} parameters that count", flush=True)
        in_turn(rounds, images, **{precision: ours(model)})


def sampling(rounds: int) -> None:
    """Seconds for images from the same network, by cached activations and by full passes."""
    import torch

    model = made("pixelcnn", **BLOCKS)
    for count in (16, 64):
        cached = min(timed(lambda count=count: model.sample(count)) for _ in range(rounds))
        x = torch.zeros(count, 1, 28, 28)
        with torch.no_grad():
            once = min(timed(lambda x=x: model.average(x)) for _ in range(rounds))
        print(
            f"{count} images: {cached:.2f} s, by full passes {784 * once:.0f} s: {784 * once / cached:.0f} times that"
        )


def made(algorithm: str, **given: Any) -> Any:
    """A model of MNIST, untrained."""
    from rlgen import catalog
    from rlgen.core.config import resolve
    from rlgen.core.settings import Setup

    entry = catalog.find(algorithm)
    return entry.algorithm("mnist", resolve(entry.config, entry.preset, given), Setup())


def ours(model: Any) -> Iterator[int]:
    """A training, step by step: how many images each took."""
    while True:
        before = model.time
        model.step()
        yield model.time - before


def in_turn(rounds: int, images: int, **loops: Iterator[int]) -> None:
    """Images/s of each, measured in turn so that what else the machine does hits all; the median of paired ratios."""
    rates: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(rounds):
        for name, loop in loops.items():
            rates[name].append(rate(loop, images))
        print("  ".join(f"{name} {values[-1]:,.0f} images/s" for name, values in rates.items()), flush=True)
    first, *others = rates.values()
    for name, other in zip(list(rates)[1:], others, strict=True):
        ratio = statistics.median(a / b for a, b in zip(first, other, strict=True))
        print(f"median of the ratios to {name}: {ratio:.2f}")


def rate(loop: Iterator[int], images: int) -> float:
    """Images/s, after one step to warm up."""
    next(loop)
    start, done = time.perf_counter(), 0
    while done < images:
        done += next(loop)
    return done / (time.perf_counter() - start)


def timed(function: Callable[[], Any]) -> float:
    """Seconds it takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["table", "vae", "pixelcnn", "sampling"])
    parser.add_argument("algorithms", nargs="*", default=["ae", "vae", "pixelcnn"], help="of the table")
    parser.add_argument("--task", default="mnist")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--preset", help="of the table")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the table's runs stay")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=20_000, help="a round")
    given = parser.parse_args()
    {
        "table": lambda: table(given.algorithms, given.task, given.seeds, given.preset, given.runs),
        "vae": lambda: vae(given.rounds, given.images),
        "pixelcnn": lambda: pixelcnn(given.rounds, given.images),
        "sampling": lambda: sampling(given.rounds),
    }[given.what]()
