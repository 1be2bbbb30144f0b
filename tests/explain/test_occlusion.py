import pytest
import torch

from rlgen.explain.occlusion import occlusion, windows
from tests.explain.by_hand import convolutional, linear


def test_a_linear_model_falls_by_the_weights_times_the_distance_to_the_baseline():
    network, x, target = linear((2, 6, 6)), torch.randn(3, 2, 6, 6), torch.tensor([2, 0, 1])
    baseline = torch.tensor([0.3, -0.7])
    share = network.head.weight[target].view(3, 2, 6, 6) * (x - baseline.view(2, 1, 1))
    expected = share.sum(1)  # of each pixel
    torch.testing.assert_close(occlusion(network, x, target, baseline, window=1, stride=1), expected.detach())
    blocks = expected.unfold(1, 3, 3).unfold(2, 3, 3).sum((-2, -1))  # of each window of 3x3
    blocks = blocks.repeat_interleave(3, 1).repeat_interleave(3, 2)
    torch.testing.assert_close(occlusion(network, x, target, baseline, window=3, stride=3), blocks.detach())


def test_an_image_of_the_baseline_has_no_fall():
    network, baseline = convolutional(), torch.tensor([0.4])
    x = baseline.view(1, 1, 1, 1).expand(1, 1, 8, 8)
    assert occlusion(network, x, torch.tensor([0]), baseline).abs().max() < 1e-6


def test_windows_reach_the_border():
    masks = windows(7, 5, window=4, stride=2)
    assert masks.sum((1, 2)).tolist() == [16] * 6
    assert masks.any(0).all()
    assert masks[:, -1, -1].any()
    assert windows(3, 3, window=5, stride=2).all()


def test_captum_agrees():
    attr = pytest.importorskip("captum.attr", reason="captum is not installed: pip install 'rlgen[explain]'")
    network, x, target = convolutional(3), torch.randn(2, 3, 8, 8), torch.tensor([1, 2])
    baseline = torch.tensor([0.1, -0.2, 0.3])
    start = baseline.view(1, 3, 1, 1).expand_as(x)
    other = attr.Occlusion(network).attribute(x, (3, 4, 4), (3, 2, 2), start, target)
    torch.testing.assert_close(occlusion(network, x, target, baseline, 4, 2), other[:, 0])
