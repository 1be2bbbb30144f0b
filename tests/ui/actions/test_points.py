"""The plane of a GAN of points."""

import numpy as np
import pytest
import torch

from rlgen.core.errors import UserError
from rlgen.generative.quality.coverage import coverage
from rlgen.ui.actions.points import ARROWS, SIDE, plane
from tests.generative.gan.test_points import model


@pytest.mark.parametrize("loss", ["lsgan", "wgan"])
def test_the_field_is_the_logit_relative_to_the_threshold(loss):
    trained = model(loss=loss, spectral_norm=True)
    found = plane(trained, {"count": 7}, {})
    logits = trained.field(SIDE)
    middle = 0.5 if loss == "lsgan" else logits.median()
    expected = (logits - middle) / (logits - middle).abs().max()
    np.testing.assert_allclose(found["field"], expected.flatten(), atol=6e-4)
    assert found["threshold"] == (0.5 if loss == "lsgan" else None)
    assert (found["lowest"], found["highest"]) == pytest.approx((logits.min().item(), logits.max().item()), abs=1e-4)
    assert len(found["samples"]) == len(found["data"]) == 7
    np.testing.assert_allclose(found["samples"], trained.sample(2_500, seed=0)[:7], atol=6e-4)


def test_coverage_is_that_of_the_points():
    trained = model("grid")
    found = plane(trained, {}, {})
    expected = coverage(trained.distribution, trained.sample(2_500, seed=0))
    assert found["counts"] == expected.counts.tolist()
    assert (found["covered"], found["high_quality"]) == (expected.modes, expected.high_quality)


def test_arrows_are_the_gradient_of_the_logit():
    trained = model(spectral_norm=True)
    trained.discriminator.eval()
    arrows = torch.tensor(plane(trained, {}, {})["arrows"])
    assert arrows.shape == (ARROWS**2, 4)
    slopes = []
    with torch.no_grad():
        for axis in (0, 1):
            step = torch.zeros(2)
            step[axis] = 1e-2
            places = arrows[:, :2]
            slopes.append((trained.discriminator(places + step) - trained.discriminator(places - step)) / 2e-2)
    gradient = torch.stack(slopes, 1)
    gradient = gradient / gradient.norm(dim=1).max()
    assert (gradient - arrows[:, 2:]).abs().median() < 0.02
    assert arrows[:, 2:].norm(dim=1).max() == pytest.approx(1.0, abs=1e-3)


def test_a_count_out_of_bounds_is_refused():
    with pytest.raises(UserError, match="count must be a whole number from 1 to 2,500"):
        plane(model(), {"count": 0}, {})
