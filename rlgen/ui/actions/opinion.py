"""The discriminator's opinion of the fixed samples of a run and of real images, at every portrait of the run."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from rlgen.core import portraits
from rlgen.core.errors import CheckpointError, UserError
from rlgen.core.state import Stateful
from rlgen.ui.actions import Session, encoding, fields, images
from rlgen.ui.actions.fields import Request

REAL = 64  # test images beside the samples


@runtime_checkable
class Adversarial(Protocol):
    """A model with a discriminator, and samples of noise that is the same throughout a run."""

    adversarial_loss: Any

    def fixed_samples(self) -> tuple[Tensor, Tensor | None]:
        """Images (N, C, H, W) and labels (N,) for a conditional model."""
        ...

    def logits(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits (N,) of images (N, C, H, W); high is real."""
        ...


def over_time(algorithm: Any, request: Request, session: Session) -> dict[str, Any]:
    """Logits of all fixed samples and of real test images, at every portrait.

    Without `judged` a discriminator sees the samples of its own time; with it, those of the portrait nearest to the
    time `judged`, so that one sees when an image would have been convincing. `threshold` is the logit above which an
    image is classified as real, null for a critic, which estimates a distance.
    """
    model = _model(algorithm)
    judged = None if request.get("judged") is None else fields.whole(request, "judged", 0, 2**53)
    times = _times(model, session)
    real, real_labels = model.test_batch(slice(REAL))
    with _kept(model):
        shown = None
        if judged is not None:
            _go(model, session, judged)
            shown = model.fixed_samples()
        rows, real_rows, found = [], [], []
        for time in times:
            try:
                _go(model, session, time)
            except CheckpointError:  # thinned by the training meanwhile, or damaged
                continue
            samples, labels = shown or model.fixed_samples()
            rows.append(encoding.numbers(model.logits(samples, labels)))
            real_rows.append(encoding.numbers(model.logits(real, real_labels)))
            found.append(time)
    return {
        "times": found,
        "samples": rows,
        "real": real_rows,
        "threshold": model.adversarial_loss.decision_threshold,
        "loss": model.config.loss,
        "portraits": bool(_portraits(session)),
    }


def at_time(algorithm: Any, request: Request, session: Session) -> dict[str, Any]:
    """The fixed samples at the portrait nearest to `time`, and the real test images beside them."""
    model = _model(algorithm)
    time = fields.whole(request, "time", 0, 2**53, model.time)
    real, _ = model.test_batch(slice(REAL))
    with _kept(model):
        _go(model, session, time)
        samples, labels = model.fixed_samples()
        return {
            **images.about(model),
            "images": images.urls(samples),
            "labels": None if labels is None else labels.tolist(),
            "real": images.urls(real),
            "columns": model.columns,
        }


def _model(algorithm: Any) -> Any:
    if not isinstance(algorithm, Adversarial):
        raise UserError(f"{type(algorithm).__name__} has no discriminator: take a gan, lsgan, hinge or wgan-gp")
    return images.model_of(algorithm)


def _portraits(session: Session) -> list[int]:
    return portraits.times(session.folder)


def _times(model: Any, session: Session) -> list[int]:
    """The times of the portraits; without any that of the loaded weights."""
    return _portraits(session) or [model.time]


def _go(model: Any, session: Session, time: int) -> None:
    """Load the portrait nearest to `time`, if the run has any."""
    if _portraits(session):
        portraits.restore(session.folder, model, time)


@contextmanager
def _kept(model: Stateful) -> Iterator[None]:
    """The loaded weights are the same afterwards."""
    weights = copy.deepcopy(model.learned_dict())
    try:
        with torch.no_grad():
            yield
    finally:
        model.load_learned(weights)
