"""Scores and speed of the classifiers. Prints measurements; nothing here is a test.

    export RLGEN_DATA=...
    python tests/benchmarks/supervised.py train                    # every row of the README's table, in turn
    python tests/benchmarks/supervised.py train --only lenet5 --seeds 1 --runs runs/classifiers
    python tests/benchmarks/supervised.py table --write README.md  # of the finished runs
    python tests/benchmarks/supervised.py scores                   # of the finished runs, for `rlgen list presets`
    python tests/benchmarks/supervised.py speed                    # training images/s beside a loop with a DataLoader

A row is a command; each of its seeds is a process of its own, timed with its evaluations, pictures and checkpoints.
"""

import argparse
import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import trained
from images import in_turn, middle, ours


class Row(NamedTuple):
    """A command, and published accuracies for comparison."""

    words: tuple[str, ...]
    compare: str = ""
    seeds: int = 3

    @property
    def name(self) -> str:
        """The name of its runs without the seed."""
        return "-".join(word.lstrip("-") for word in self.words)

    @property
    def preset(self) -> str:
        """The name of its preset in scores.json: `mnist --network lenet5`, `mnist:long`."""
        return " ".join(self.words[1:]).replace(" --preset ", ":")


def row(command: str, compare: str = "", seeds: int = 3) -> Row:
    """A row of the table from a command without `rlgen`."""
    return Row(tuple(command.split()), compare, seeds)


ROWS = [
    row("classify mnist", "99.19 (PyTorch's example, 14 epochs)"),
    row("classify mnist --preset long"),
    row("classify mnist --network lenet5", "99.05 (LeCun 1998)"),
    row("classify mnist --network mlp", "98.4 (LeCun's table)"),
    row("classify mnist --network linear", "92.67 (60 iterations of L-BFGS)"),
    row("classify mnist --network linear --loss svm", "91.7 (linear SVM)"),
    row("knn mnist", "96.91 (LeCun's table, L2)", seeds=1),
    row("classify objects"),
    row("classify objects --network linear"),
    row("classify objects --network lenet5"),
    row("classify objects --network resnet20"),
]


def train(runs: Path, row: Row, seed: int, threads: list[str]) -> str:
    """Train one seed, unless that is done already; one line about it."""
    name, alone = f"{row.name}-{seed}", not threads
    words = [*row.words, "--seed", str(seed), "--no-fallback", *threads]
    result = trained.train(runs, name, words, lambda: {"alone": alone})
    if isinstance(result, str):
        return result
    return f"{name}: {result['accuracy']:.2%} ({result['time']:,} images, {result['seconds']:.0f} s)"


def results(runs: Path, row: Row) -> list[dict[str, Any]]:
    """What the finished seeds of a row printed."""
    return [trained.read(path) for path in sorted(runs.glob(f"{row.name}-[0-9].json"))]


def span(found: list[dict[str, Any]]) -> str:
    """`99.31`, or `99.28 to 99.40`: the accuracies in per cent."""
    low, high = (
        f"{100 * value:.2f}" for value in (min(r["accuracy"] for r in found), max(r["accuracy"] for r in found))
    )
    return low if low == high else f"{low} to {high}"


def table(runs: Path, rows: list[Row]) -> str:
    """Markdown: a line for every row with finished runs."""
    lines = [
        "| command | test accuracy, % | seeds | images | s | CPU s | GiB | compare |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if not (found := results(runs, row)):
            continue
        cells = (
            f"`rlgen {' '.join(row.words)}`", span(found), len(found), f"{found[0]['time'] / 1000:,.0f}k",
            middle([r["seconds"] for r in found if r["alone"]]), middle([r["cpu"] for r in found if "cpu" in r]),
            max((f"{r['gib']:.1f}" for r in found if "gib" in r), default=""), row.compare,
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def scores(runs: Path, rows: list[Row], path: Path) -> None:
    """Write the measured accuracies of all rows with finished runs into the file that `rlgen list presets` reads."""
    measured = json.loads(path.read_text())
    for row in rows:
        if found := results(runs, row):
            seeds = f"{len(found)} seed{'s' * (len(found) > 1)}"
            alone = [r["seconds"] for r in found if r["alone"]]
            minutes = f"; {statistics.median(alone) / 60:.1f} min" if alone else ""
            measured.setdefault(row.words[0], {})[row.preset] = f"{span(found)} % in {seeds}{minutes}"
    path.write_text(json.dumps(measured, indent=2, ensure_ascii=False) + "\n")


def speed(rounds: int, images: int, networks: list[str]) -> None:
    """Each network in batches of 128: ours, and the same layers in a loop over a DataLoader that decodes each image."""
    import numpy as np
    import torch
    import torch.nn.functional as F
    from PIL import Image

    from rlgen import catalog, data, preparation
    from rlgen.core.config import resolve
    from rlgen.core.settings import Setup
    from rlgen.networks import build

    dataset = data.load("mnist")
    assert dataset.labels is not None
    pixels, labels = dataset.images, dataset.labels.tolist()

    class Items(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(pixels)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            image = Image.fromarray(pixels[index, 0].numpy())  # the steps of torchvision's MNIST, ToTensor, Normalize
            tensor = torch.from_numpy(np.array(image, copy=True)).view(28, 28, 1).permute(2, 0, 1).contiguous()
            return tensor.to(torch.get_default_dtype()).div(255).sub_(0.1307).div_(0.3081), labels[index]

    entry, loader = catalog.find("classify"), torch.utils.data.DataLoader(Items(), 128, shuffle=True)
    for name in networks:
        config = resolve(
            entry.config, *entry.presets(*preparation.preset_names(entry, "mnist", None, {"network": name})),
            {"network": name},
        )  # fmt: skip

        def plain(config: Any = config, name: str = name) -> Iterator[int]:
            network = build(name, (1, 28, 28), 10, config)
            optimizer = torch.optim.Adam(network.parameters(), 1e-3)
            while True:
                for x, y in loader:
                    loss = F.cross_entropy(network(x), y)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    loss.item()
                    yield len(x)

        print(name, flush=True)
        in_turn(rounds, images, rlgen=ours(entry.algorithm("mnist", config, Setup())), plain=plain())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "table", "scores", "speed"])
    parser.add_argument("--runs", type=Path, default=Path("runs/classifiers"))
    parser.add_argument("--only", default="", help="rows whose command holds this text")
    parser.add_argument("--seeds", type=int, default=None, help="seeds of each row; by default its own number")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once; several have one thread each")
    parser.add_argument("--write", type=Path, help="the page with the table")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=20_000, help="per measurement of a speed")
    parser.add_argument("--networks", nargs="+", default=["fast", "lenet5"])
    options = parser.parse_args()
    rows = [row for row in ROWS if options.only in f"rlgen {' '.join(row.words)} "]
    options.runs.mkdir(parents=True, exist_ok=True)
    match options.what:
        case "train":
            threads = ["--threads", "1"] if options.jobs > 1 else []
            jobs = [(options.runs, row, seed, threads) for row in rows for seed in range(options.seeds or row.seeds)]
            trained.side_by_side(train, jobs, options.jobs)
        case "table" if options.write:
            trained.write(options.write, "supervised", table(options.runs, rows))
        case "table":
            print(table(options.runs, rows))
        case "scores":
            scores(options.runs, rows, Path(__file__).parents[2] / "rlgen/supervised/scores.json")
        case "speed":
            speed(options.rounds, options.images, options.networks)


if __name__ == "__main__":
    main()
