"""Samples, and the training images nearest to one of them: has the model copied?

The distance of a sample to its nearest training image means something beside the distances of test images, which the
model cannot have copied. Shapes: Q queries, M training images, D numbers in an image, k neighbours.
"""

from typing import Any

import torch
from torch import Tensor

from rlgen.core.images import from_bytes
from rlgen.data import Dataset
from rlgen.generative.base import Generative
from rlgen.supervised.neighbours import Memory, Neighbours
from rlgen.ui.actions import Session, encoding, fields, images
from rlgen.ui.actions.fields import Request

NEAREST = 5
REFERENCES = 500  # test images whose distances a distance is compared with, evenly spaced
MEMORY_CHUNK, QUERY_CHUNK = 4_000, 250  # images at once, to bound the memory


def draw(algorithm: Any, request: Request, session: Session) -> dict[str, Any]:
    """`count` samples of a `seed`, without one those of the sample grids of the run; labels of a conditional model."""
    model = images.model_of(algorithm)
    found, labels = images.samples(model, request, session)
    return {
        **images.about(model),
        "samples": images.urls(found),
        "labels": None if labels is None else labels.tolist(),
    }


def nearest(algorithm: Any, request: Request, session: Session) -> dict[str, Any]:
    """The five training images nearest to an image, by the distance |a - b| of pixels in [0, 1].

    `percentile` is the share in percent of `references`, the distances of test images to their own nearest training
    image, that are below the distance of the image, ties counted by half.
    """
    model = images.model_of(algorithm)
    training, test = _real(model, session)
    x, _, label = images.subject(model, request, session)
    if fields.choice(request, "of", images.SOURCES, "test") == "test":  # in the form of the samples
        index = fields.whole(request, "index", 0, len(test) - 1, 0)
        x = from_bytes(test.images[index : index + 1])
    references = _references(test.images, training.images, session)
    found = search(x.flatten(1), training.images, NEAREST)
    nearest, places = found.distance[0], found.place[0]
    return {
        "image": images.urls(x)[0],
        "label": label,
        "neighbours": [
            {
                "image": url,
                "index": int(place),
                "distance": encoding.finite(distance),
                "percentile": percentile(float(distance), references),
                "label": None if training.labels is None else int(training.labels[place]),
            }
            for url, place, distance in zip(
                images.urls(from_bytes(training.images[places])), places, nearest, strict=True
            )
        ],
        "percentile": percentile(float(nearest[0]), references),
        "references": encoding.numbers(references),
        "training": len(training),
        "classes": list(model.classes),
    }


def search(queries: Tensor, memory: Tensor, k: int) -> Neighbours:
    """The k nearest of images (M, C, H, W) uint8 to queries (Q, D) in [0, 1], by L2 distance, the nearest first."""
    found = [_search(part, memory, min(k, len(memory))) for part in torch.split(queries, QUERY_CHUNK)]
    return Neighbours(*map(torch.cat, zip(*found, strict=True)))


def _search(queries: Tensor, memory: Tensor, k: int) -> Neighbours:
    """`search` for a bounded number of queries."""
    distances, places = [], []
    for start in range(0, len(memory), MEMORY_CHUNK):
        chunk = Memory(from_bytes(memory[start : start + MEMORY_CHUNK].flatten(1)))
        found = chunk.nearest(queries, min(k, len(chunk.vectors)), "l2")
        distances.append(found.distance)
        places.append(found.place + start)
    distance = torch.cat(distances, 1)
    order = distance.argsort(dim=1, stable=True)[:, :k]
    return Neighbours(distance.gather(1, order), torch.cat(places, 1).gather(1, order))


def percentile(distance: float, references: Tensor) -> float:
    """The share in percent of `references` (n,) below `distance`, equal ones counted by half."""
    below, equal = (references < distance).sum(), (references == distance).sum()
    return float(100 * (below + equal / 2) / len(references))


def _real(model: Generative, session: Session) -> tuple[Dataset, Dataset]:
    """Training and test images in the form of the model's samples."""
    if "real" not in session:
        session["real"] = model.real("train"), model.real("test")
    known: tuple[Dataset, Dataset] = session["real"]
    return known


def _references(test: Tensor, training: Tensor, session: Session) -> Tensor:
    """Distances of test images to their nearest training image, in ascending order."""
    if "references" not in session:
        index = torch.linspace(0, len(test) - 1, min(REFERENCES, len(test))).round().long()
        found = search(from_bytes(test[index].flatten(1)), training, 1)
        session["references"] = found.distance[:, 0].sort().values
    known: Tensor = session["references"]
    return known
