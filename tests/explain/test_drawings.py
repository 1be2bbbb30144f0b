import pytest
import torch

from rlgen.explain.drawings import CONTRAST, _contrasted
from rlgen.explain.subjects import subject_of
from tests.explain.test_subject import classifier


def test_faint_images_are_drawn_with_the_contrast_that_is_noted():
    subject = subject_of(classifier(), "run")
    faint = subject.mean.view(1, 1, 1, 1) + 0.04 * torch.sign(torch.randn(1, 1, 8, 8))
    strong = torch.rand(1, 1, 8, 8).round()
    pixels, factors = _contrasted(subject, subject.normalize(torch.cat([faint, strong])))
    assert factors == pytest.approx([CONTRAST / 0.04, 1.0], rel=1e-3)
    assert torch.allclose(torch.from_numpy(pixels[1])[..., 0], strong[0, 0], atol=1e-6)
    assert pixels[0].max() == pytest.approx(0.3 + CONTRAST, rel=1e-3)
