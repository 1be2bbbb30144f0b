"""Images of a classifier as grids: a minibatch, the worst errors, confused pairs, filters of the first layer.

Shapes: N images, K classes, C H W of an image, F filters.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rlgen.core.images import Grid, from_bytes
from rlgen.supervised.measures import Pair, TopLosses

COLUMNS, NARROW = 8, 5  # of images, at most, and at least beside confused pairs
ROWS = 6  # of filters, or of confused pairs
BATCH = 32  # images of a minibatch
LOSSES = 24  # images of the highest losses
GREY = 0.5  # of a weight of 0
DARK = 0.1  # grey of an empty place


def minibatch(x: Tensor, labels: Sequence[str]) -> Grid:
    """The first images (N, C, H, W) in [0, 1] of a minibatch as the network receives them, with a caption each."""
    count = min(BATCH, len(x))
    title = f"first minibatch, as the network receives it: {count} of {len(x)} images"
    return _grid(x[:count].cpu(), title, list(labels[:count]))


def top_losses(images: Tensor, classes: Sequence[str], found: TopLosses) -> Grid:
    """The images of the highest losses among test images (N, C, H, W) of bytes: prediction, label, probabilities."""
    captions = [
        f"{classes[said]}: {_percent(p[said])}\nlabel {classes[given]}: {_percent(p[given])}"
        for said, given, p in zip(found.predicted, found.given, found.probabilities, strict=True)
    ]
    title = "highest losses on test images: prediction, then label, each with its probability"
    return _grid(from_bytes(images[torch.from_numpy(found.index)]), title, captions)


def confused(images: Tensor, classes: Sequence[str], pairs: Sequence[Pair], found: TopLosses) -> Grid | None:
    """A row per pair of classes: test images (N, C, H, W) of bytes of the one, classified as the other.

    `found` holds the images that may be shown; None where there are none of these pairs.
    """
    alike = [(found.given == pair.given) & (found.predicted == pair.predicted) for pair in pairs[:ROWS]]
    some = [(pair, where.nonzero()[0][:COLUMNS]) for pair, where in zip(pairs, alike, strict=False) if where.any()]
    if not some:
        return None
    columns = max(NARROW, *(len(here) for _, here in some))
    rows: list[Tensor] = []
    labels, captions = [], []
    for pair, here in some:
        x = from_bytes(images[torch.from_numpy(found.index[here])])
        missing = columns - len(here)
        rows += [x, _blank(x, missing)]
        captions += [*(_percent(p[pair.predicted]) for p in found.probabilities[here]), *[""] * missing]
        labels.append(f"{classes[pair.given]} → {classes[pair.predicted]} ({pair.count:,})")
    title = "most confused classes: label → prediction (test images), and the probability of the prediction"
    return Grid(torch.cat(rows), columns, title, tuple(labels), captions=tuple(captions))


def filters(network: nn.Module, shape: tuple[int, ...], classes: Sequence[str]) -> Grid | None:
    """Weights of the first layer as images (F, C, H, W), of the first of several networks; None where C is not 1 or 3.

    Those of a layer on all pixels have the size of the image, and a linear classifier has one per class.
    """
    layer = next((m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)), None)
    if layer is None:
        return None
    weight = layer.weight.detach().float().cpu()
    weight = weight[0] if weight.dim() in (3, 5) else weight  # (S, ...) of several networks
    if weight.dim() == 2 and weight.shape[1] == torch.Size(shape).numel():
        weight = weight.view(-1, *shape)
    if weight.dim() != 4 or weight.shape[1] not in (1, 3):
        return None
    total, count = len(weight), min(len(weight), COLUMNS * ROWS)
    templates = total == len(classes) and weight.shape[1:] == torch.Size(shape)
    largest = weight.abs().max().item() or 1.0
    shown = GREY + (1 - GREY) * weight[:count] / largest
    which = f"{total}" if count == total else f"{count} of {total}"
    side = "x".join(map(str, weight.shape[2:]))
    title = f"first layer: {which} filters of {side}; grey 0, white {largest:.2g}, black -{largest:.2g}"
    return _grid(shown, title, list(classes[:count]) if templates else [])


def _grid(x: Tensor, title: str, captions: list[str]) -> Grid:
    """Images in rows of `COLUMNS`, the last row filled up with dark ones."""
    columns = min(COLUMNS, len(x))
    missing = -len(x) % columns
    captions = captions and captions + [""] * missing
    return Grid(torch.cat([x, _blank(x, missing)]), columns, title, captions=tuple(captions))


def _blank(x: Tensor, count: int) -> Tensor:
    """So many dark images of the shape of those in `x`."""
    return x.new_full((count, *x.shape[1:]), DARK)


def _percent(share: float) -> str:
    """Whole percents, more digits close to 0 and 1."""
    if share < 0.01:
        return f"{100 * share:.1g}%"
    return f"{share:.0%}" if share < 0.99 else f"{share:.2%}"
