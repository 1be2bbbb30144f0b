"""The codes of a VQ-VAE by hand: the codebook by use, the codes of an image, and the image of changed codes.

Shapes: N images, K codes in the codebook, h w positions of the grid of codes.
"""

from typing import Any

import torch

from rlgen.core.errors import UserError
from rlgen.generative.autoencoders.codebook import perplexity
from rlgen.generative.autoencoders.vqvae import VQVAE
from rlgen.ui.actions import Session, encoding, fields, images
from rlgen.ui.actions.fields import Request

IMAGES = 1_000  # test images in which the uses of the codes are counted
PATCH = 8  # pixels along a side of what is shown of a code


def book(algorithm: Any, request: Request, session: Session) -> dict[str, Any]:
    """Every code by falling use in test images, and the middle of an image of this code alone; the size of the grid."""
    model = _model(algorithm)
    index = torch.linspace(0, len(model.test_set) - 1, min(IMAGES, len(model.test_set))).round().long()
    counts = model.code_counts(model.indices(model.test_batch(index)[0]))
    order = counts.argsort(descending=True, stable=True)
    _, height, width = model.shape
    alone = order.view(-1, 1, 1).expand(-1, height // 4, width // 4)
    top, left = ((side - min(PATCH, side)) // 2 for side in (height, width))
    patches = model.decode_indices(alone)[:, :, top : top + PATCH, left : left + PATCH]
    return {
        **images.about(model),
        "conditional": False,  # neither the encoder nor the decoder takes labels
        "grid": [height // 4, width // 4],
        "codes": order.tolist(),
        "use": encoding.numbers(counts[order] / counts.sum()),
        "patches": images.urls(patches),
        "perplexity": encoding.finite(perplexity(counts)),
        "counted": len(index),
    }


def encode(algorithm: Any, request: Request, session: Session) -> dict[str, Any]:
    """The codes of an image row by row, its reconstruction, and the error, mean over pixels."""
    model = _model(algorithm)
    x, _, label = images.subject(model, {name: value for name, value in request.items() if name != "label"}, session)
    k = model.indices(x)
    reconstruction = model.decode_indices(k)
    return {
        "image": images.urls(x)[0],
        "codes": k.flatten().tolist(),
        "reconstruction": images.urls(reconstruction)[0],
        "mse": encoding.finite((reconstruction - x).square().mean()),
        "label": label,
    }


def decode(algorithm: Any, request: Request, session: Session) -> dict[str, Any]:
    """The image of the indices `codes`, h · w row by row."""
    model = _model(algorithm)
    height, width = (side // 4 for side in model.shape[1:])
    given = fields.numbers(request, "codes", height * width, model.config.codebook_size - 1)
    if any(k < 0 or k != int(k) for k in given):
        raise UserError(f"codes must be whole numbers from 0 to {model.config.codebook_size - 1}")
    k = torch.tensor(given).long().view(1, height, width)
    return {"image": images.urls(model.decode_indices(k))[0]}


def _model(algorithm: Any) -> VQVAE:
    if isinstance(algorithm, VQVAE):
        return algorithm
    raise UserError(f"{type(algorithm).__name__} has no codebook: take a vqvae")
