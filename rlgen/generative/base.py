"""The base of all generative models: data, labels, training step, evaluation and report. Images are in [0, 1]."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from rlgen import data
from rlgen.core import device, processes
from rlgen.core.algorithm import Metrics, Progress, Report
from rlgen.core.errors import UserError, did_you_mean
from rlgen.core.images import Grid, from_bytes
from rlgen.core.notebook import Bundle, Samples, bundle, facts_of, tiles
from rlgen.core.seeds import derive
from rlgen.core.settings import Setup
from rlgen.core.state import Stateful
from rlgen.core.tables import table
from rlgen.generative.grids import COLUMNS, MAX_COLUMNS
from rlgen.generative.minibatches import Minibatches
from rlgen.generative.quality import metrics as quality
from rlgen.generative.sampling import Labels, label_tensor

SHOWN = 16  # samples in a notebook


class Generative(Stateful):
    """A generative model of the images of a dataset, trained on one minibatch per step.

    A model implements `update`, `measure`, `sample` and `grids`.
    """

    score: ClassVar[str | None] = None  # no single metric ranks generative models
    restartable: ClassVar[bool] = True  # a step may be abandoned: it changes nothing but the state
    protocol: str = ""  # of likelihoods: static or dynamic binarisation or 8-bit, conditional or not

    def __init__(self, task: str, config: Any, setup: Setup) -> None:
        self.config, self.seed, self.time = config, setup.seed, 0
        self.device = device.choose(setup, accelerate=True)
        self.task = data.resolve(task)
        self.load_data(setup)
        self.half = config.precision == "bfloat16" or (config.precision == "auto" and device.half(self.device))

    def load_data(self, setup: Setup) -> None:
        """The minibatches of the training images, the test images, and facts about them."""
        dataset, self.test_set = self.load("train"), self.load("test")
        self.task_facts = data.describe(dataset, self.test_set)
        self.classes = dataset.classes
        if self.conditional and not self.classes:
            raise UserError(
                f"--conditional: {self.task} has no labels; put the images of each class into a folder of its own"
            )
        self.num_classes = len(self.classes) if self.conditional else 0  # input labels of the networks
        self.shown_classes = self.classes[:MAX_COLUMNS] if self.conditional else ()  # columns of a grid of samples
        self.columns = len(self.shown_classes) or COLUMNS
        channels, height, width = dataset.images.shape[1:]
        self.shape = (channels, height, width)
        self.data = Minibatches(dataset, self.config.batch, setup.seed, self.device)

    @property
    def conditional(self) -> bool:
        """Whether `sample` takes labels."""
        return bool(getattr(self.config, "conditional", False))

    @property
    def epoch_images(self) -> int:
        """Training images."""
        return len(self.data.images)

    def example(self, *shape: int) -> tuple[Tensor, ...]:
        """An input (1, *shape) of a network, and for a conditional model a label (1,)."""
        label = (torch.zeros(1, dtype=torch.long),) if self.conditional else ()
        return (torch.zeros(1, *shape), *label)

    def load(self, split: data.Split) -> data.Dataset:
        """The images of a split as they are stored."""
        config = self.config
        return data.load(self.task, split, data=config.data, size=config.size, skip_bad=config.skip_bad)

    def real(self, split: data.Split) -> data.Dataset:
        """The images of a split in the form of the model's samples, for comparison with them."""
        return self.load(split)

    def describe_task(self) -> dict[str, str]:
        """Facts about the dataset: number of images, classes, shape of an image, split."""
        return self.task_facts

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Bundle:
        """In a notebook: facts and a few samples."""
        title = f"{type(self).__name__} on {self.task} after {self.time:,} images"
        return bundle(title, facts_of(self), tiles(self.sample(SHOWN)))

    def label(self, name: str) -> int:
        """The number of the class called `name`, or with that number. Raises UserError where there is none."""
        if not self.conditional:
            raise UserError(f"this model was trained without --conditional: it has no samples of class {name} alone")
        if name in self.classes:
            return self.classes.index(name)
        if name.isdecimal() and int(name) < len(self.classes):
            return int(name)
        hint = "" if len(self.classes) <= data.MAX_NAMES else did_you_mean(name, self.classes)
        raise UserError(f"{self.task} has no class {name}{hint or f': there are{data.class_names(self.classes)}'}")

    def labels_for(self, count: int | None, labels: Labels | None) -> tuple[int, Tensor | None]:
        """Number and labels (count,) of samples; see `label_tensor`."""
        return label_tensor(self.num_classes, count, labels)

    def test_batch(self, which: Tensor | slice) -> tuple[Tensor, Tensor | None]:
        """Test images (N, C, H, W) in [0, 1], and their labels (N,) for a conditional model; on the CPU."""
        labels = self.test_set.labels if self.conditional else None
        return from_bytes(self.test_set.images[which]), None if labels is None else labels[which]

    @processes.shared
    def step(self) -> Metrics:
        """One gradient step on one minibatch, or on a share of it in each of several processes."""
        x, y = self.data.next()
        self.time += processes.total(len(x))
        return self.update(x, y if self.conditional else None)

    def update(self, x: Tensor, y: Tensor | None) -> Metrics:
        """One gradient step on images (B, C, H, W), with labels (B,) for a conditional model."""
        raise NotImplementedError

    def sample(self, count: int | None = None, *, seed: int = 0, labels: Labels | None = None) -> Tensor:
        """`count` samples (N, C, H, W) in [0, 1] on the CPU, the same for the same weights and `seed`.

        A conditional model takes `labels`: a tensor or list of class numbers, or one number for all. By default the
        classes take turns. Without `count` there is one sample per label.
        """
        count, labels = self.labels_for(count, labels)
        return self.draw_samples(count, labels, seed).as_subclass(Samples)

    def draw_samples(self, count: int, labels: Tensor | None, seed: int) -> Tensor:
        """Samples (count, C, H, W) in [0, 1] on the CPU, with labels (count,) for a conditional model."""
        raise NotImplementedError

    def grids(self, seed: int) -> dict[str, Grid]:
        """Every grid of images of this kind of model, by name, the same for the same weights and `seed`."""
        raise NotImplementedError

    def draw(self) -> dict[str, Grid]:
        """The grids beside an evaluation, of the same noise throughout a run; the training state stays as it is."""
        return self.grids(derive(self.seed, "sheet"))

    def evaluate(self) -> Metrics:
        """Metrics that depend on weights and seed alone, computed without a change to the training state."""
        return self.measure()

    def measure(self) -> Metrics:
        """Metrics of the test images."""
        raise NotImplementedError

    def final(self) -> Metrics:
        """The metrics of a report: those of `measure`, with more samples where that makes them more precise."""
        return self.measure()

    def report(self, count: int, seed: int, progress: Progress) -> Report:
        """Final metrics on the test images and, for a `count` above 0, the quality of so many samples.

        At most as many samples as there are test images are taken.
        """
        own: dict[str, Any] = {name: float(value) for name, value in self.final().items()}
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in own.items())
        protocol = {"protocol": self.protocol} if self.protocol else {}
        if not count:
            return Report({**own, **protocol}, [f"scores  {numbers}" + (f"  ({self.protocol})" if protocol else "")])
        found = quality.evaluate(self, min(count, len(self.test_set)), seed, progress)
        lines = [*_quality_lines(found), f"own metrics{f', {self.protocol}' if protocol else ''}  {numbers}"]
        return Report({**own, **protocol, **found}, lines)

    def autocast(self) -> torch.autocast:
        """Context in which convolutions and matrix products may be computed in bfloat16; weights stay float32."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.half)


@contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """No gradients, and `modules` in evaluation mode, without updates of batch statistics or power iterations."""
    training = [module.training for module in modules]
    try:
        with torch.no_grad():
            for module in modules:
                module.eval()
            yield
    finally:
        for module, mode in zip(modules, training, strict=True):
            module.train(mode)


def _quality_lines(found: dict[str, Any]) -> list[str]:
    """The result of `quality.evaluate` as text."""
    real, accuracy = found["real_data_reference"], found["classifier_accuracy"]
    classifier = "untrained" if accuracy is None else f"{accuracy:.1%} of the test images right"
    lines = [
        f"{found['samples']:,} samples beside as many real test images;"
        f" feature classifier {found['feature_classifier']} ({classifier})"
    ]
    rows = [[name, f"{found[name]:.4g}", f"{real[name]:.4g}", quality.MEANING[name]] for name in real]
    lines += table(["measure", "samples", "real", ""], rows)
    if found["classes"]:
        lines.append("classes  " + "  ".join(f"{name} {share:.1%}" for name, share in found["classes"].items()))
    return [*lines, *(f"no {what}: {why}" for what, why in found["left_out"].items())]
