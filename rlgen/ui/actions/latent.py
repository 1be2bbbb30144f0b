"""The latent code by hand: its dimensions by use, the codes of test images, decoding a point, encoding a picture.

Shapes: N images, Z dimensions of the code.
"""

from typing import Any

import torch

from rlgen.core.errors import UserError
from rlgen.generative.autoencoders.latent import LatentModel, Units
from rlgen.ui.actions import Session, encoding, fields, images
from rlgen.ui.actions.fields import Request

CODES = 2_000  # test images whose codes are points of the plane
REACH = 3.0  # standard deviations of the prior that a slider covers at least
LIMIT = 1e4  # of a number of a code


def units(algorithm: Any, request: Request, session: Session) -> dict[str, Any]:
    """All dimensions by falling use, with the range of a slider; the codes of test images in the plane of two of them.

    `axes` are two dimensions, by default the most used ones; a code of one dimension has no plane.
    """
    model = _model(algorithm)
    found, labels = _units(model, session)
    if "reach" not in session:
        mean, root = model.prior()
        spread = REACH * root.square().sum(1).sqrt()
        session["reach"] = (
            mean,
            torch.minimum(found.codes.amin(0), mean - spread),
            torch.maximum(found.codes.amax(0), mean + spread),
        )
    mean, low, high = session["reach"]
    order = found.order.tolist()
    axes = _axes(request, order, model.config.latent)
    return {
        **images.about(model),
        "measure": found.measure,
        "units": [
            {
                "unit": j,
                "use": encoding.finite(found.use[j]),
                "active": bool(found.active[j]),
                "start": encoding.finite(mean[j]),
                "low": encoding.finite(low[j]),
                "high": encoding.finite(high[j]),
            }
            for j in order
        ],
        "axes": axes,
        "codes": encoding.numbers((found.codes[:, axes].double() * 1000).round() / 1000) if len(axes) == 2 else [],
        "labels": labels,
    }


def decode(algorithm: Any, request: Request, session: Session) -> dict[str, Any]:
    """The image of a code `z`, for a conditional model of a class `label`."""
    model = _model(algorithm)
    z = torch.tensor([fields.numbers(request, "z", model.config.latent, LIMIT)])
    return {"image": images.urls(model.decode(z, images.given_label(model, request)))[0]}


def encode(algorithm: Any, request: Request, session: Session) -> dict[str, Any]:
    """The code of an image, its reconstruction and the error, mean over pixels; the image as the encoder takes it."""
    model = _model(algorithm)
    x, y, label = images.subject(model, request, session)
    z = model.encode(x, y)
    reconstruction = model.decode(z, y)
    return {
        "image": images.urls(x)[0],
        "z": encoding.numbers(z[0]),
        "reconstruction": images.urls(reconstruction)[0],
        "mse": encoding.finite((reconstruction - x).square().mean().item()),
        "label": label,
    }


def _model(algorithm: Any) -> LatentModel:
    if isinstance(algorithm, LatentModel):
        return algorithm
    raise UserError(f"{type(algorithm).__name__} has no latent vector of an image: take an ae or a vae")


def _units(model: LatentModel, session: Session) -> tuple[Units, list[int] | None]:
    """The use of the dimensions for at most `CODES` evenly spaced test images, and the classes of these."""
    if "units" not in session:
        index = torch.linspace(0, len(model.test_set) - 1, min(CODES, len(model.test_set))).round().long()
        labels = model.test_set.labels
        found = model.units(*model.test_batch(index))
        session["units"] = found, None if labels is None else labels[index].tolist()
    known: tuple[Units, list[int] | None] = session["units"]
    return known


def _axes(request: Request, order: list[int], latent: int) -> list[int]:
    """The two dimensions of the plane: those of the request or the first in `order`."""
    if "axes" not in request or request["axes"] is None:
        return order[:2]
    axes = [int(axis) for axis in fields.numbers(request, "axes", 2, latent - 1) if axis == int(axis) >= 0]
    if len(set(axes)) < 2:
        raise UserError(f"axes must be two different dimensions from 0 to {latent - 1}, not {request['axes']}")
    return axes
