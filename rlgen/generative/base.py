"""What every generative model shares: minibatches in, metrics and samples out. Images are in [0, 1] everywhere."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from rlgen import data
from rlgen.core import device
from rlgen.core.algorithm import Evaluation, Metrics
from rlgen.core.errors import UserError, did_you_mean
from rlgen.core.images import Grid
from rlgen.core.seeds import derive
from rlgen.core.settings import Setup
from rlgen.core.state import Stateful
from rlgen.generative.grids import COLUMNS, MAX_COLUMNS

log = logging.getLogger("rlgen")
CHUNK_SIZE = 1_000  # samples made at once
MAX_OUTPUTS = 2**25  # float32 outputs of a network at once, to bound the memory: 128 MiB
MAX_NAMES = 12  # classes named in an error message


class Minibatches(Stateful):
    """All images of a dataset once per epoch, each epoch in an order of its own.

    The order follows from (seed, epoch), so the epoch and a position in it are all there is to save.
    """

    state = ("epoch", "position")

    def __init__(self, dataset: data.Dataset, batch: int, seed: int, device: torch.device) -> None:
        self.images = dataset.images.permute(0, 2, 3, 1).contiguous().to(device)  # (N, H, W, C) suits convolutions
        self.labels = None if dataset.labels is None else dataset.labels.to(device)
        self.batch, self.seed = batch, seed
        self.epoch = self.position = 0
        self._order: tuple[int, Tensor] | None = None  # of which epoch, and its permutation

    def next(self) -> tuple[Tensor, Tensor | None]:
        """(B, C, H, W) in [0, 1] and (B,) labels; the last of an epoch may be a smaller batch."""
        if self.epoch == self.position == 0 and self.batch > len(self.images):
            log.warning(
                f"--batch {self.batch:,} is more than the {len(self.images):,} training images: each step takes all"
            )
        if self.position >= len(self.images):
            self.epoch, self.position = self.epoch + 1, 0
        index = self._permutation()[self.position : self.position + self.batch]
        self.position += len(index)
        x = self.images[index].permute(0, 3, 1, 2).float().div_(255)
        return x, None if self.labels is None else self.labels[index]

    def _permutation(self) -> Tensor:
        if self._order is None or self._order[0] != self.epoch:
            stream = torch.Generator().manual_seed(derive(self.seed, f"order of epoch {self.epoch}"))
            self._order = (self.epoch, torch.randperm(len(self.images), generator=stream).to(self.images.device))
        return self._order[1]


class Generative(Stateful):
    """Trains on one minibatch per step."""

    score: ClassVar[str | None] = None  # no number yet ranks samples
    protocol: str = ""  # what a likelihood is of: static or dynamic binarisation, or 8-bit

    def __init__(self, task: str, config: Any, setup: Setup) -> None:
        self.config, self.seed, self.time = config, setup.seed, 0
        self.device = device.choose(setup, accelerate=True)
        self.task = data.resolve(task)
        dataset, self.test_set = self.load("train"), self.load("test")
        self.classes = dataset.classes
        if self.conditional and not self.classes:
            raise UserError(
                f"--conditional: {self.task} has no labels; put the images of each class into a folder of its own"
            )
        self.num_classes = len(self.classes) if self.conditional else 0  # classes that networks hear of
        self.shown_classes = self.classes[:MAX_COLUMNS] if self.conditional else ()  # columns of a grid of samples
        self.columns = len(self.shown_classes) or COLUMNS
        channels, height, width = dataset.images.shape[1:]
        self.shape = (channels, height, width)
        self.data = Minibatches(dataset, config.batch, setup.seed, self.device)
        self.half = config.precision == "bfloat16" or (config.precision == "auto" and device.half(self.device))

    @property
    def conditional(self) -> bool:
        """Whether `sample` takes labels."""
        return bool(getattr(self.config, "conditional", False))

    def load(self, split: data.Split) -> data.Dataset:
        """The images of a split."""
        config = self.config
        return data.load(self.task, split, data=config.data, size=config.size, skip_bad=config.skip_bad)

    def real(self, split: data.Split) -> data.Dataset:
        """What the samples of a perfect model would look like; they are judged beside it."""
        return self.load(split)

    def label(self, name: str) -> int:
        """The number of the class called `name`, or with that number. Raises UserError where there is none."""
        if not self.conditional:
            raise UserError(f"this model was trained without --conditional: it cannot be told to make {name}")
        if name in self.classes:
            return self.classes.index(name)
        if name.isdecimal() and int(name) < len(self.classes):
            return int(name)
        hint = "" if len(self.classes) <= MAX_NAMES else did_you_mean(name, self.classes)
        raise UserError(f"{self.task} has no class {name}{hint or _choices(self.classes)}")

    def labels_for(self, count: int, labels: Tensor | None) -> Tensor | None:
        """The labels (count,) to make: those given, or the classes in turn; None for who is not conditional."""
        if not self.conditional:
            if labels is not None:
                raise UserError("this model was trained without --conditional: it takes no labels")
            return None
        labels = torch.arange(count) % self.num_classes if labels is None else labels
        if len(labels) != count or labels.min() < 0 or labels.max() >= self.num_classes:
            raise UserError(f"{count} samples want {count} labels of 0 to {self.num_classes - 1}")
        return labels

    def test_batch(self, which: Tensor | slice) -> tuple[Tensor, Tensor | None]:
        """Test images (N, C, H, W) in [0, 1], and their labels (N,) for a conditional model; on the CPU."""
        labels = self.test_set.labels if self.conditional else None
        return self.test_set.images[which] / 255, None if labels is None else labels[which]

    def step(self) -> Metrics:
        """One minibatch, one update."""
        x, y = self.data.next()
        self.time += len(x)
        return self.update(x, y if self.conditional else None)

    def update(self, x: Tensor, y: Tensor | None) -> Metrics:
        """One gradient step on images (B, C, H, W), and their labels (B,) for a conditional model."""
        raise NotImplementedError

    def sample(self, count: int, *, seed: int = 0, labels: Tensor | None = None) -> Tensor:
        """`count` new images (N, C, H, W) in [0, 1], always the same for the same weights and `seed`.

        A conditional model takes the `labels` (N,) to make, or goes through the classes in turn.
        """
        raise NotImplementedError

    def grids(self, seed: int) -> dict[str, Grid]:
        """Every grid of images there is of a model, by its name: the same noise for the same `seed`."""
        raise NotImplementedError

    def evaluate(self) -> Evaluation:
        """Measures and pictures that depend on weights and seed alone; touches no training state."""
        return {**self.measure(), **self.grids(derive(self.seed, "sheet"))}

    def measure(self) -> Metrics:
        """How good the model is on test images."""
        raise NotImplementedError

    def final(self) -> Metrics:
        """What is told at the end, and by `rlgen eval`: the same, longer where there is something to measure longer."""
        return self.measure()

    def autocast(self) -> torch.autocast:
        """Within it, convolutions and matrix products may be computed in bfloat16; weights stay as they are."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.half)


def sample_batches(model: Generative, count: int, seed: int = 0, labels: Tensor | None = None) -> Iterator[Tensor]:
    """`count` images of a model, a thousand at a time: any number fits in memory. Those of `labels` (N,), if given.

    The first thousand are those of `model.sample(1_000, seed=seed)`, the later ones have seeds of their own.
    """
    for start in range(0, count, CHUNK_SIZE):
        size = min(CHUNK_SIZE, count - start)
        given = {} if labels is None else {"labels": labels[start : start + size]}
        yield model.sample(size, seed=derive(seed, f"samples from {start}") if start else seed, **given)


@torch.no_grad()
def update_ema(ema: nn.Module, module: nn.Module, decay: float) -> None:
    """ema ← decay · ema + (1 - decay) · module, in weights and batch statistics alike."""
    ours, theirs = ema.state_dict(), module.state_dict()
    floats = [name for name, value in ours.items() if value.is_floating_point()]
    torch._foreach_lerp_([ours[name] for name in floats], [theirs[name] for name in floats], 1 - decay)
    for name in ours.keys() - set(floats):  # a count of batches has no average
        ours[name].copy_(theirs[name])


@contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """No gradients, and no batch or power iteration that leaves a trace in `modules`."""
    training = [module.training for module in modules]
    try:
        with torch.no_grad():
            for module in modules:
                module.eval()
            yield
    finally:
        for module, mode in zip(modules, training, strict=True):
            module.train(mode)


def _choices(classes: tuple[str, ...]) -> str:
    return f": there are {', '.join(classes[:MAX_NAMES])}{', ...' if len(classes) > MAX_NAMES else ''}"
