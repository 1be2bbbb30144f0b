"""What is explained: a trained network as a plain module, fresh networks of the same form, and images for it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from rlgen.core.errors import UserError
from rlgen.core.images import from_bytes
from rlgen.core.seeds import torch_stream
from rlgen.report.plots import COLOURS


@dataclass(frozen=True)
class Words:
    """How the pictures of a subject name its parts."""

    score: str = "the class's logit"  # what a map explains
    output: str = "class"  # what has a score
    scores: str = "the logit of a class"
    images: str = "test images"
    caption: str = "its class and the probability; → another class, predicted"  # above an image
    probable: bool = True  # whether the scores are logits of probabilities


@dataclass(frozen=True)
class Subject:
    """A network of one seed or member in evaluation mode, and images for it. N images, K classes or actions."""

    network: nn.Module  # normalised images (N, C, H, W) -> scores (N, K)
    fresh: Callable[[int], nn.Module]  # seed -> a network of the same form with random weights
    images: Tensor  # (N, C, H, W) uint8, that the network was not trained on
    labels: Tensor  # (N,) int64
    classes: tuple[str, ...]  # names of the K scores and of the labels
    mean: Tensor  # (C,) subtracted from images in [0, 1]
    std: Tensor  # (C,) by which they are divided then
    name: str  # of the network
    colour: Tensor  # (C,) mean colour of the images, in [0, 1]
    words: Words = field(default_factory=Words)
    palette: Tensor | None = None  # (C, 3) colour of each plane of an observation; None: grey or RGB

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of an image."""
        return tuple(self.images.shape[1:])

    @property
    def baseline(self) -> Tensor:
        """The mean colour (C,) of the images, normalised."""
        return self.normalize(self.colour.view(1, -1, 1, 1)).flatten()

    def normalize(self, x: Tensor) -> Tensor:
        """Bytes or numbers in [0, 1] (N, C, H, W) as the network takes them."""
        x = from_bytes(x) if x.dtype == torch.uint8 else x
        return (x - self.mean.view(-1, 1, 1)) / self.std.view(-1, 1, 1)

    def pixels(self, x: Tensor) -> Tensor:
        """Normalised images (N, C, H, W) as numbers in [0, 1]."""
        return (x * self.std.view(-1, 1, 1) + self.mean.view(-1, 1, 1)).clamp(0, 1)

    def shown(self, pixels: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] as they are drawn, (N, H, W, 1 or 3)."""
        if self.palette is not None:
            pixels = torch.einsum("nchw,cd->ndhw", pixels, self.palette).clamp(0, 1)
        return pixels.permute(0, 2, 3, 1)

    @torch.no_grad()
    def decide(self, x: Tensor) -> tuple[Tensor, list[str]]:
        """The class or action of highest score (N,) of normalised images (N, C, H, W), and its score as text."""
        scores: Tensor = self.network(x)
        if self.words.probable:
            scores = scores.softmax(-1)
        best, chosen = scores.max(1)
        return chosen, [f"{value:.0%}" if self.words.probable else f"{value:.2f}" for value in best.tolist()]

    def choose(self, count: int, seed: int) -> Tensor:
        """Indices (n,) of `count` images in random order, one of each class before a second of any."""
        order = torch.randperm(len(self.labels), generator=torch_stream(seed, "images explained"))
        labels = self.labels[order]
        turn = torch.zeros(len(order), dtype=torch.long)  # how many of its class come before an image
        for k in range(len(self.classes)):
            turn[labels == k] = torch.arange(int((labels == k).sum()))
        return order[turn.sort(stable=True).indices][: min(count, len(order))]

    def sample(self, count: int, seed: int) -> Tensor:
        """Indices (n,) of at most `count` images, drawn at random."""
        return torch.randperm(len(self.labels), generator=torch_stream(seed, "images searched"))[:count]

    def class_index(self, text: str) -> int:
        """The number of a class or action by name or number. Raises UserError for another."""
        if text in self.classes:
            return self.classes.index(text)
        if text.isdecimal() and int(text) < len(self.classes):
            return int(text)
        shown = ", ".join(self.classes[:12]) + (", ..." if len(self.classes) > 12 else "")
        plural = {"class": "classes", "side": "sides"}.get(self.words.output, f"{self.words.output}s")
        raise UserError(f"--class {text}: the {plural} of this run are {shown}")


def plane_colours(channels: int, stack: int, rgb: bool) -> Tensor | None:
    """A palette (C, 3) of observations of several planes; None for grey and, where three planes are `rgb`, for these.

    Of stacked frames the last one is shown, in grey or RGB; other planes get colours of their own.
    """
    if channels == 1 or (channels == 3 and rgb):
        return None
    palette = torch.zeros(channels, 3)
    if stack > 1 and channels in (stack, 3 * stack):
        palette[-(channels // stack) :] = torch.eye(3) if channels == 3 * stack else torch.ones(1, 3)
        return palette
    for c in range(channels):
        code = COLOURS[c % (len(COLOURS) - 1)]  # the last one is black
        palette[c] = torch.tensor([int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return palette
