"""Figures of widely used course notes that a count contradicts, each beside the count."""

from collections.abc import Callable

from rlgen.networks.summary import FLOAT, Summary


def corrections(summary: Summary) -> list[str]:
    """One sentence per figure of the notes that is wrong for this network; empty for most."""
    return CORRECTIONS[summary.name](summary) if summary.name in CORRECTIONS else []


def _vgg(summary: Summary) -> list[str]:
    memory = FLOAT * summary.activations / 1e6
    return [
        f"course notes give VGG16 128M weights: there are {summary.parameters:,}",
        f"course notes give its activations 24M floats: the outputs above and the image have {summary.activations:,}"
        f" ({memory:.0f} MB)",
    ]


def _googlenet(summary: Summary) -> list[str]:
    naive, reduced = inception_weights(192, 64, 96, 128, 16, 32, 32)
    wide, narrow = 0, 0  # multiply-adds of a lecture's example at 256x28x28
    for channels, kernel in ((128, 1), (192, 3), (96, 5)):
        wide += 28**2 * channels * kernel**2 * 256
    for channels, kernel, before in (
        (64, 1, 256),
        (64, 1, 256),
        (128, 1, 256),
        (192, 3, 64),
        (96, 5, 64),
        (64, 1, 256),
    ):
        narrow += 28**2 * channels * kernel**2 * before
    twice = 28**2 * 192 * 3**2 * 64
    linear = sum(layer.kind == "Linear" for layer in summary.layers)
    return [
        f"course notes give GoogLeNet 5M weights and no linear layer: predictions use"
        f" {summary.parameters - sum(summary.unused.values()):,}, and {linear} linear layer",
        f"course notes have 1x1 convolutions save 30 % of the weights of 3a: {naive:,} become {reduced:,},"
        f" {1 - reduced / naive:.0%} fewer",
        f"the lecture's example of 1x1 convolutions takes {wide / 1e6:.0f}M multiply-adds to {narrow / 1e6:.0f}M, not"
        f" {(narrow + twice) / 1e6:.0f}M, in which the 3x3 convolution is counted twice",
    ]


def _densenet(summary: Summary) -> list[str]:
    return [
        "course notes have the channels of a DenseNet grow geometrically: layer l of a block receives k0 + k·l of them,"
        " which is linear"
    ]


def inception_weights(before: int, one: int, r3: int, three: int, r5: int, five: int, pool: int) -> tuple[int, int]:
    """Weights and biases of an inception module without and with 1x1 convolutions before the 3x3 and the 5x5."""
    shared = (before + 1) * (one + pool)
    naive = (9 * before + 1) * three + (25 * before + 1) * five
    reduced = (before + 1) * (r3 + r5) + (9 * r3 + 1) * three + (25 * r5 + 1) * five
    return shared + naive, shared + reduced


CORRECTIONS: dict[str, Callable[[Summary], list[str]]] = {
    "vgg16": _vgg,
    "googlenet": _googlenet,
    **dict.fromkeys(("densenet121", "densenet169", "densenet201", "densenet161"), _densenet),
}
