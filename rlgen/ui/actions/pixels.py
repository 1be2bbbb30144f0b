"""Autoregressive models by hand: what is predicted for one pixel and from where, and images completed row by row.

Shapes: N images, C channels, H height, W width.
"""

import time
from typing import Any

import torch
from torch import Tensor

from rlgen.core.errors import UserError
from rlgen.generative.autoregressive import prediction
from rlgen.generative.autoregressive.base import Autoregressive
from rlgen.generative.autoregressive.sampler import PixelSampler
from rlgen.ui.actions import Session, encoding, fields, images
from rlgen.ui.actions.fields import Request

FIELD_IMAGES = 64  # for which a receptive field is measured at most, with so many outputs in all
SLICE = 0.25  # seconds of sampling before a completion is answered with the rows so far
MAX_SECONDS = 120.0  # of sampling for one completion
MAX_COPIES = 16  # completions of an image at once


def image(algorithm: Any, request: Request, session: Session) -> dict[str, Any]:
    """An image and the nats of each of its pixels, all channels together, beside those of a uniform distribution."""
    model = _model(algorithm)
    x, y, label = images.subject(model, request, session)
    nats = prediction.pixel_nats(model.ema, model.likelihood, x.to(model.device), _moved(model, y))[0].sum(0)
    return {
        **images.about(model),
        "image": images.urls(x)[0],
        "label": label,
        "nats": encoding.numbers(nats),
        "total": encoding.finite(nats.sum()),
        "uniform": encoding.finite(model.uniform_baseline()["uniform_nats"]),
        "protocol": model.protocol,
    }


def pixel(algorithm: Any, request: Request, session: Session) -> dict[str, Any]:
    """The distribution and nats of each channel of the pixel (`row`, `column`) of an image, and its receptive field.

    The field is the mean |gradient| over the image itself and, for few outputs, further test images.
    """
    model = _model(algorithm)
    _, height, width = model.shape
    row, column = fields.whole(request, "row", 0, height - 1), fields.whole(request, "column", 0, width - 1)
    x, y, _ = images.subject(model, request, session)
    device_x, device_y = x.to(model.device), _moved(model, y)
    p = prediction.level_probabilities(model.ema, model.likelihood, device_x, device_y, row, column)
    nats = prediction.pixel_nats(model.ema, model.likelihood, device_x, device_y)[0, :, row, column]
    levels = (x[0, :, row, column] * (model.likelihood.levels - 1)).round().long()
    field, count = _field(model, x, y, row, column)
    blind, before = prediction.blind_spot(field, row, column), prediction.earlier(height, width, row, column)
    return {
        "probabilities": encoding.numbers(p),  # (C, levels)
        "levels": levels.tolist(),
        "nats": encoding.numbers(nats),
        "field": encoding.numbers(field),
        "blind": blind.int().tolist(),
        "earlier": int(before.sum()),
        "seen": int((field.gt(0) & before).sum()),
        "blind_pixels": int(blind.sum()),
        "images": count,
    }


def complete(algorithm: Any, request: Request, session: Session) -> dict[str, Any]:
    """Completions of an image from its `known` pixels (H · W of 0 or 1), as far as they are after a slice of time.

    The first request starts `count` of them with a `seed`; one with `continue` set carries on until `done`. After
    `MAX_SECONDS` of sampling the rest stays as it is, and `stopped` says so.
    """
    model = _model(algorithm)
    if not request.get("continue"):
        session["completion"] = _begin(model, request, session), 0.0
    if "completion" not in session:
        raise UserError(
            "no completion to continue: it was begun for another model, or the page's process was restarted"
        )
    sampler, seconds = session["completion"]
    start = time.monotonic()
    while not sampler.done and seconds + time.monotonic() - start < MAX_SECONDS:
        sampler.sample_row()
        if time.monotonic() - start > SLICE:
            break
    seconds += time.monotonic() - start
    session["completion"] = sampler, seconds
    return {
        "images": images.urls(sampler.x),
        "row": sampler.rows,
        "rows": model.shape[1],
        "done": sampler.done,
        "stopped": not sampler.done and seconds >= MAX_SECONDS,
        "seconds": round(seconds, 2),
    }


def _begin(model: Autoregressive, request: Request, session: Session) -> PixelSampler:
    _, height, width = model.shape
    known = torch.tensor(fields.numbers(request, "known", height * width, 1)).view(height, width) > 0
    count = fields.whole(request, "count", 1, MAX_COPIES, 4)
    seed = fields.whole(request, "seed", 0, images.MAX_SEED, 0)
    x, y, _ = images.subject(model, request, session)
    labels = None if y is None else y.repeat(count)
    return next(model.samplers(x.repeat(count, 1, 1, 1), known, seed=seed, labels=labels))


def _field(model: Autoregressive, x: Tensor, y: Tensor | None, row: int, column: int) -> tuple[Tensor, int]:
    """The receptive field (H, W) on the CPU, and the number of images over which it is a mean."""
    more = FIELD_IMAGES // (model.shape[0] * model.outputs) - 1
    others, labels = model.test_batch(slice(max(0, more)))
    x = torch.cat([x, others]).to(model.device)
    y = None if y is None or labels is None else torch.cat([y, labels]).to(model.device)
    return prediction.receptive_field(model.ema, x, y, row, column).cpu(), len(x)


def _moved(model: Autoregressive, y: Tensor | None) -> Tensor | None:
    return None if y is None else y.to(model.device)


def _model(algorithm: Any) -> Autoregressive:
    if isinstance(algorithm, Autoregressive):
        return algorithm
    raise UserError(
        f"{type(algorithm).__name__} does not predict pixel by pixel: take a pixelcnn, gated-pixelcnn or pixelrnn"
    )
