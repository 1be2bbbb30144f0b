"""A GAN of points in the plane at one time: its points, the data, and the field of its discriminator."""

from typing import TYPE_CHECKING, Any

import torch

from rlgen.ui.actions import fields

if TYPE_CHECKING:
    from rlgen.generative.gan.points import PointGAN

SIDE = 72  # cells of the field along a side
ARROWS = 15  # arrows of the gradient along a side
MOST = 2_500  # points


def plane(model: "PointGAN", request: dict[str, Any], session: dict[str, Any]) -> dict[str, Any]:
    """Generated points and test points (n, 2), the field as distances from the threshold in [-1, 1], mode coverage.

    Points are the same noise at every time. `arrows` (m, 4) are places, and the direction in which the logit rises
    there, its length 1 for the steepest.
    """
    from rlgen.generative.gan import plane
    from rlgen.generative.quality.coverage import DEVIATIONS, SAMPLES, coverage

    count = fields.whole(request, "count", 1, MOST, default=1_000)
    samples = model.sample(SAMPLES, seed=0)
    found = coverage(model.distribution, samples)
    logits = model.field(SIDE)
    threshold = model.adversarial_loss.decision_threshold
    return {
        "time": model.time,
        "extent": model.extent,
        "samples": _rounded(samples[:count]),
        "data": _rounded(model.test_points[:count]),
        "side": SIDE,
        "field": [round(value, 3) for value in plane.relative(logits, threshold).flatten().tolist()],
        "lowest": round(float(logits.min()), 4),
        "highest": round(float(logits.max()), 4),
        "threshold": threshold,
        "arrows": _rounded(_arrows(model)),
        "counts": found.counts.tolist(),
        "covered": found.modes,
        "high_quality": found.high_quality,
        "measured": SAMPLES,
        "deviations": DEVIATIONS,
    }


def _arrows(model: "PointGAN") -> torch.Tensor:
    """Places (m, 2) and ∇D there, divided by the largest norm: (m, 4)."""
    from rlgen.generative.base import evaluating
    from rlgen.generative.gan.plane import lattice

    places = lattice(model.extent, ARROWS).to(model.device).requires_grad_()
    labels = torch.zeros(len(places), dtype=torch.long, device=model.device) if model.conditional else None
    with evaluating(model.discriminator), torch.enable_grad():
        (gradient,) = torch.autograd.grad(model.discriminator(places, labels).sum(), places)
    gradient = gradient / gradient.norm(dim=1).max().clamp(min=1e-12)
    return torch.cat([places.detach(), gradient], 1).cpu()


def _rounded(values: torch.Tensor) -> list[list[float]]:
    return [[round(value, 3) for value in row] for row in values.tolist()]
