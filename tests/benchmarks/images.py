"""Scores and speed of the image models. Prints measurements; nothing here is a test.

    export RLGEN_DATA=...
    python tests/benchmarks/images.py train                    # every row of the README's table, one after the other
    python tests/benchmarks/images.py train --only vae --seeds 1 --runs runs/images
    python tests/benchmarks/images.py table --write README.md  # of the finished runs
    python tests/benchmarks/images.py scores                   # of the finished runs, into rlgen/generative/scores.json
    python tests/benchmarks/images.py pictures                 # grids of seed 0, into runs/pictures
    python tests/benchmarks/images.py speed                    # training images/s of every model, precision, --compile
    python tests/benchmarks/images.py vae                      # training images/s beside a loop with a DataLoader
    python tests/benchmarks/images.py pixelcnn                 # the same beside the network in plain PyTorch
    python tests/benchmarks/images.py precision --only pixelcnn --images 40000   # scores in float32 and in bfloat16
    python tests/benchmarks/images.py sampling                 # seconds for images from it, and by full passes

Implementations that are compared take turns; on a busy machine with `CPU_TIME=1 OMP_NUM_THREADS=1`. A row is a command;
each of its seeds is a process of its own, timed with its evaluations, pictures and checkpoints; `rlgen eval` compares
its samples with real images. Takes hours in full.
"""

import argparse
import itertools
import json
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import trained

PRECISIONS = ("float32", "bfloat16")
BLOCKS = {
    "levels": 1,
    "blocks": 15,
    "width": 32,
    "head_width": 32,
    "bottleneck": True,
    "position_bias": False,
    "batch": 64,
}


class Row(NamedTuple):
    """A command, the metrics of its report in the table, and published values for comparison."""

    algorithm: str
    words: tuple[str, ...]
    figures: dict[str, str]  # name in the table -> metric
    compare: str = ""
    seeds: int = 3
    grid: str = "samples"  # in the README

    @property
    def name(self) -> str:
        """The name of its runs without the seed."""
        return "-".join(word.lstrip("-") for word in (self.algorithm, *self.words))


NATS = {"nats": "eval_nats"}
ROWS = [
    Row("ae", ("mnist",), {"MSE": "eval_mse", "PCA": "eval_pca_mse"}, grid="reconstructions"),
    Row(
        "vae",
        ("mnist",),
        {"-ELBO": "eval_nats", "IWAE-500": "eval_iwae_500"},
        "86.8 (pytorch-generative, 457 epochs on a GPU)",
    ),
    Row("vqvae", ("mnist",), {"-ELBO": "eval_nats", "codes in use": "eval_perplexity"}, seeds=1),
    Row("gan", ("mnist",), {}),
    Row("hinge", ("mnist",), {}, seeds=1),
    Row("lsgan", ("mnist",), {}, seeds=1),
    Row("wgan-gp", ("mnist",), {}, seeds=1),
    Row("pixelcnn", ("mnist",), NATS, "81.45 (pytorch-generative, as long); 87.55 (six layers, converged: PixelVAE)"),
    Row("pixelcnn", ("mnist", "--preset", "long"), NATS, seeds=1, grid="completions"),
    Row("gated-pixelcnn", ("mnist",), NATS, "81.50 (pytorch-generative)", seeds=1),
    Row("pixelrnn", ("mnist",), NATS, seeds=1),
]


def train(runs: Path, row: Row, seed: int, threads: list[str]) -> str:
    """Train one seed and evaluate its samples, unless that is done already; one line about it."""
    name = f"{row.name}-{seed}"
    words = [row.algorithm, *row.words, "--seed", str(seed), "--no-fallback", *threads]
    result = trained.train(runs, name, words, evaluation(runs, name, alone=not threads))
    if isinstance(result, str):
        return result
    found = "  ".join(f"{word} {result[key]:.4g}" for word, key in row.figures.items())
    return f"{name}: {found}  {samples([result])}  ({result['time']:,} images, {result['seconds']:.0f} s)"


def evaluation(runs: Path, name: str, alone: bool) -> Callable[[], dict[str, Any]]:
    """The JSON of `rlgen eval` on a run, and whether no other training ran at the same time."""

    def evaluate() -> dict[str, Any]:
        found = trained.rlgen(["eval", name, "--runs", str(runs)])
        if isinstance(found, str):
            raise SystemExit(f"{name} was trained, but cannot be evaluated: {found}")
        return {"evaluation": found, "alone": alone}

    return evaluate


def samples(results: list[dict[str, Any]]) -> str:
    """`4.4 to 5.2, real 1.3; 10 classes`, of the runs with an evaluation."""
    found = [result["evaluation"] for result in results if "lenet_fid" in result.get("evaluation", {})]
    if not found:
        return ""
    classes = min(one["classes_found"] for one in found)
    real = found[0]["real_data_reference"]["lenet_fid"]
    return f"{span([one['lenet_fid'] for one in found])}, real {real:.1f}; {classes:.0f} classes"


def scores(runs: Path, rows: list[Row], path: Path) -> None:
    """Write the measured scores of all rows with finished runs into the file that `rlgen list` reads."""
    measured = json.loads(path.read_text())
    for row in rows:
        results = [trained.read(result) for result in sorted(runs.glob(f"{row.name}-[0-9].json"))]
        if results:
            task = ":".join(word for word in row.words if word != "--preset")
            measured.setdefault(row.algorithm, {})[task] = score(row, results)
    path.write_text(json.dumps(measured, indent=2, ensure_ascii=False) + "\n")


def score(row: Row, results: list[dict[str, Any]]) -> str:
    """`nats 82.3 to 82.4 in 3 seeds; 11 min`"""
    values = [f"{word} {span([result[key] for result in results])}" for word, key in row.figures.items()]
    found = samples(results)
    values += [f"lenet_fid {found}"] if found and not row.figures else []
    alone = [result["seconds"] for result in results if result["alone"]]
    duration = f"; {statistics.median(alone) / 60:.0f} min" if alone else ""
    return f"{', '.join(values)} in {len(results)} seed{'s' * (len(results) > 1)}{duration}"


def table(runs: Path, rows: list[Row]) -> str:
    """Markdown: a line for every row with finished runs."""
    lines = [
        "| command | test images | samples: `lenet_fid`; classes | seeds | images | s | CPU s | GiB | compare |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        results = [trained.read(path) for path in sorted(runs.glob(f"{row.name}-[0-9].json"))]
        if not results:
            continue
        found = ", ".join(f"{word} {span([one[key] for one in results])}" for word, key in row.figures.items())
        alone = [one["seconds"] for one in results if one["alone"]]
        cells = (
            f"`rlgen {' '.join((row.algorithm, *row.words))}`", found, samples(results), len(results),
            f"{results[0]['time'] / 1000:,.0f}k", middle(alone), middle([r["cpu"] for r in results if "cpu" in r]),
            max((f"{one['gib']:.1f}" for one in results if "gib" in one), default=""), row.compare,
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def middle(values: list[float]) -> str:
    """The median, if there is one."""
    return f"{statistics.median(values):,.0f}" if values else ""


def span(values: list[float]) -> str:
    """`91.8`, or `91.6 to 91.9`."""
    low, high = (f"{value:.4f}" if abs(value) < 1 else f"{value:.1f}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def vae(rounds: int, images: int) -> None:
    """A VAE of 784-400-20 in batches of 128: ours, and that of PyTorch's examples, whose loader decodes each image."""
    import numpy as np
    import torch
    import torch.nn.functional as F
    from PIL import Image
    from torch import nn

    from rlgen import data

    model = untrained("vae", width=400, depth=1, latent=20, batch=128)
    pixels = data.load("mnist").images

    class Items(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(pixels)

        def __getitem__(self, index: int) -> torch.Tensor:
            image = Image.fromarray(pixels[index, 0].numpy())  # these are the steps of torchvision's MNIST and ToTensor
            tensor = torch.from_numpy(np.array(image, copy=True)).view(28, 28, 1).permute(2, 0, 1).contiguous()
            return tensor.to(torch.get_default_dtype()).div(255)

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
    """A masked residual PixelCNN: ours in either precision, and the same network in its plainest form, in float32."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    from rlgen import data

    class Masked(nn.Conv2d):
        def __init__(self, inputs: int, outputs: int, kernel: int, centre: bool) -> None:
            super().__init__(inputs, outputs, kernel, padding=kernel // 2)
            mask = torch.ones(kernel, kernel)
            mask[kernel // 2, kernel // 2 + centre :] = 0
            mask[kernel // 2 + 1 :] = 0
            self.register_buffer("mask", mask)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)

    class Block(nn.Sequential):
        def __init__(self) -> None:
            narrow, widen = nn.Conv2d(32, 16, 1), nn.Conv2d(16, 32, 1)
            super().__init__(nn.ReLU(), narrow, nn.ReLU(), Masked(16, 16, 3, True), nn.ReLU(), widen)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + super().forward(x)

    pixels, torch_stream = data.load("mnist").images, torch.Generator().manual_seed(0)
    blocks = (Block() for _ in range(BLOCKS["blocks"]))
    head = (nn.ReLU(), nn.Conv2d(32, 32, 1), nn.ReLU(), nn.Conv2d(32, 1, 1))
    network = nn.Sequential(Masked(1, 32, 7, False), *blocks, *head)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)

    def plain() -> Iterator[int]:
        while True:
            index = torch.randint(len(pixels), (BLOCKS["batch"],), generator=torch_stream)
            x = torch.bernoulli(pixels[index].float() / 255)
            loss = F.binary_cross_entropy_with_logits(network(x), x, reduction="sum") / len(x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield len(x)

    models = {precision: untrained("pixelcnn", **BLOCKS, precision=precision) for precision in PRECISIONS}
    print(f"{models['float32'].parameter_count():,} parameters that count", flush=True)
    in_turn(rounds, images, **{name: ours(model) for name, model in models.items()}, plain=plain())


def speed(rounds: int, images: int, algorithms: list[str]) -> None:
    """Training images/s of each model with its preset for MNIST, in either precision, compiled and not."""
    for algorithm in algorithms:
        ways = itertools.product(reversed(PRECISIONS), (True, False))
        loops = {
            f"{precision}{', compiled' * fused}": ours(untrained(algorithm, precision=precision, compile=fused))
            for precision, fused in ways
        }
        print(algorithm, flush=True)
        in_turn(rounds, images, **loops)


def precision(images: int, seeds: int, algorithms: list[str]) -> None:
    """The evaluation of each model after as many images in float32 and in bfloat16: same seeds, same minibatches."""
    for algorithm, seed in itertools.product(algorithms, range(seeds)):
        given = {"lr_steps": images, "schedule": "cosine"}
        models = {precision: untrained(algorithm, seed, **given, precision=precision) for precision in PRECISIONS}
        for name, model in models.items():
            while model.time < images:
                model.step()
            found = "  ".join(f"{metric} {float(value):.4g}" for metric, value in model.measure().items())
            print(f"{algorithm}, seed {seed}, {name}: {found}", flush=True)


def sampling(rounds: int) -> None:
    """Seconds for images from the same network, by cached activations and by a full pass for each pixel."""
    import torch

    model = untrained("pixelcnn", **BLOCKS)
    for count in (16, 64):
        cached = min(timed(lambda count=count: model.sample(count)) for _ in range(rounds))
        x = torch.zeros(count, 1, 28, 28)
        with torch.no_grad():
            once = min(timed(lambda x=x: model.ema(x)) for _ in range(rounds))
        naive = 784 * once
        print(
            f"{count} images: {cached:.2f} s; 784 passes of {once:.3f} s are {naive:.0f} s: {naive / cached:.0f} times"
        )


def untrained(algorithm: str, seed: int = 0, /, **given: Any) -> Any:
    """A model of MNIST with its preset but for what is given, untrained."""
    from rlgen import catalog
    from rlgen.core.config import resolve
    from rlgen.core.settings import Setup

    entry = catalog.find(algorithm)
    return entry.algorithm("mnist", resolve(entry.config, *entry.presets("mnist"), given), Setup(seed=seed))


def ours(model: Any) -> Iterator[int]:
    """A training, step by step: how many images each took."""
    while True:
        before = model.time
        model.step()
        yield model.time - before


def in_turn(rounds: int, images: int, **loops: Iterator[int]) -> None:
    """Images/s of each, measured in turn so that what else the machine does hits all; medians of ratios to the last."""
    rates: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(rounds):
        for name, loop in loops.items():
            rates[name].append(rate(loop, images))
        print("  ".join(f"{name} {values[-1]:,.0f} images/s" for name, values in rates.items()), flush=True)
    *others, last = rates
    for name in others:
        ratio = statistics.median(a / b for a, b in zip(rates[name], rates[last], strict=True))
        print(f"median of the ratios of {name} to {last}: {ratio:.2f}")


def rate(loop: Iterator[int], images: int) -> float:
    """Images/s, after one step to warm up; with $CPU_TIME per CPU second, which other processes hardly change."""
    clock = time.process_time if os.environ.get("CPU_TIME") else time.perf_counter
    next(loop)
    start, done = clock(), 0
    while done < images:
        done += next(loop)
    return done / (clock() - start)


def timed(function: Callable[[], Any]) -> float:
    """Seconds it takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "what",
        choices=["train", "table", "scores", "pictures", "speed", "vae", "pixelcnn", "precision", "sampling"],
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/images"), help="folder of the runs of the table")
    parser.add_argument("--only", nargs="*", help="algorithms of the table")
    parser.add_argument("--seeds", type=int, help="instead of the number in the row")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once; several have one thread each")
    parser.add_argument("--write", type=Path, help="a file in which to replace the table")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=20_000, help="a round")
    given = parser.parse_args()
    rows = [row for row in ROWS if not given.only or row.algorithm in given.only]
    if given.what == "train":
        threads = ["--threads", "1"] if given.jobs > 1 else []
        jobs = ((row, seed, threads) for row in rows for seed in range(given.seeds or row.seeds))
        trained.side_by_side(partial(train, given.runs), jobs, given.jobs)
    elif given.what == "table":
        text = table(given.runs, rows)
        print(text)
        if given.write:
            trained.write(given.write, "images", text)
    elif given.what == "scores":
        scores(given.runs, rows, Path(__file__).parents[2] / "rlgen/generative/scores.json")
    elif given.what == "pictures":
        Path("runs/pictures").mkdir(parents=True, exist_ok=True)
        for row in rows:
            if grids := sorted((given.runs / f"{row.name}-0" / row.grid).glob("*.png")):
                print(shutil.copyfile(grids[-1], f"runs/pictures/{row.name}.png"))
    elif given.what == "sampling":
        sampling(given.rounds)
    elif given.what == "precision":
        precision(given.images, given.seeds or 1, list(dict.fromkeys(row.algorithm for row in rows)))
    elif given.what == "speed":
        speed(given.rounds, given.images, list(dict.fromkeys(row.algorithm for row in rows)))
    else:
        {"vae": vae, "pixelcnn": pixelcnn}[given.what](given.rounds, given.images)


if __name__ == "__main__":
    main()
