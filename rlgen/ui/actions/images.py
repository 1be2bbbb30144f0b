"""The image that a request of the page is about: a test image, a sample, or a picture of one's own; and samples.

Shapes: N images, C channels, H height, W width.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from rlgen.core.errors import UserError
from rlgen.core.images import from_bytes, to_bytes
from rlgen.core.seeds import derive
from rlgen.generative.base import Generative
from rlgen.ui.actions import Session, encoding, fields
from rlgen.ui.actions.fields import Request

if TYPE_CHECKING:
    from rlgen.generative.likelihoods import Likelihood

SOURCES = ("test", "sample", "picture")
MAX_SAMPLES = 64
KEPT = 4  # sets of samples of a session that are not drawn again
MAX_SEED = 2**31 - 1


class Subject(NamedTuple):
    """One image as the networks take it."""

    x: Tensor  # (1, C, H, W) in [0, 1], with the levels of the model's likelihood
    y: Tensor | None  # (1,) label for a conditional model
    label: int | None  # class of the image, where that is known


def model_of(algorithm: Any) -> Generative:
    """The algorithm as a generative model. Raises UserError for any other."""
    if not isinstance(algorithm, Generative):
        raise UserError(f"{type(algorithm).__name__} is no generative model: it has no samples")
    return algorithm


def subject(model: Generative, request: Request, session: Session) -> Subject:
    """The image of a request: `of` is test (`index`), sample (`index`, `seed`) or picture (`picture`, a data URL).

    A conditional model takes the class `label`, by default that of the image. Raises UserError for what does not fit.
    """
    of = fields.choice(request, "of", SOURCES, "test")
    label: int | None = None
    if of == "test":
        index = fields.whole(request, "index", 0, len(model.test_set) - 1, 0)
        x, _ = model.test_batch(slice(index, index + 1))
        labels = model.test_set.labels
        label = None if labels is None else int(labels[index])
    elif of == "sample":
        images, sampled = samples(model, request, session)
        index = fields.whole(request, "index", 0, len(images) - 1, 0)
        x, label = images[index : index + 1], None if sampled is None else int(sampled[index])
    else:
        x = levelled(model, from_bytes(torch.from_numpy(encoding.picture(request.get("picture"), model.shape))[None]))
    return Subject(x, given_label(model, request, label), label)


def given_label(model: Generative, request: Request, label: int | None = None) -> Tensor | None:
    """The `label` (1,) of a request for a conditional model, by default `label` or the first class; else None."""
    if not model.conditional:
        return None
    return torch.tensor([fields.whole(request, "label", 0, model.num_classes - 1, label or 0)])


def samples(model: Generative, request: Request, session: Session) -> tuple[Tensor, Tensor | None]:
    """`count` samples (N, C, H, W) of a `seed`, and labels (N,) for a conditional model, whose classes take turns.

    Without a seed they are those of the sample grids of the run.
    """
    count = fields.whole(request, "count", 1, MAX_SAMPLES, MAX_SAMPLES)
    given = request.get("seed")
    seed = derive(model.seed, "sheet") if given is None else fields.whole(request, "seed", 0, MAX_SEED)
    kept: dict[tuple[int, int], tuple[Tensor, Tensor | None]] = session.setdefault("samples", {})
    if (count, seed) not in kept:
        while len(kept) >= KEPT:
            del kept[next(iter(kept))]
        _, labels = model.labels_for(count, None)
        kept[count, seed] = model.sample(count, seed=seed, labels=labels), labels
    return kept[count, seed]


def levelled(model: Generative, x: Tensor) -> Tensor:
    """Images in [0, 1] rounded to the levels of the model's likelihood: black and white for a Bernoulli."""
    likelihood: Likelihood | None = getattr(model, "likelihood", None)
    return x if likelihood is None else (x * (likelihood.levels - 1)).round() / (likelihood.levels - 1)


def urls(images: Tensor) -> list[str]:
    """Data URLs of images (N, C, H, W) in [0, 1]."""
    return encoding.pngs(to_bytes(images).cpu().numpy())


def about(model: Generative) -> dict[str, Any]:
    """Facts for a panel: shape, number and classes of the images, time of the weights in images of training."""
    return {
        "shape": list(model.shape),
        "images": len(model.test_set),
        "classes": list(model.classes),
        "conditional": model.conditional,
        "time": model.time,
    }
