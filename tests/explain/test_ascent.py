import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rlgen.core.seeds import torch_stream
from rlgen.explain.ascent import Prior, ascend, blurred, class_scores, total_variation, unit_mean
from rlgen.explain.layers import Unit
from tests.explain.by_hand import convolutional, linear


def stream():
    return torch_stream(0, "ascent")


def test_ascent_of_a_linear_function_with_weight_decay_ends_at_half_its_weights_over_the_decay():
    network = linear((2, 6, 6))
    classes = torch.tensor([0, 2])
    prior = Prior(decay=0.25, lr=0.1, steps=200)
    found = ascend(class_scores(network, classes), torch.zeros(2, 2, 6, 6), prior, stream())
    expected = (network.head.weight - 0.0)[classes].view(2, 2, 6, 6) / (2 * 0.25)
    torch.testing.assert_close(found, expected.detach(), rtol=0, atol=1e-4)


def test_small_steps_are_not_rounded_to_bytes():
    prior = Prior(decay=0.0, lr=1e-4, steps=10)
    found = ascend(lambda x: x.sum((1, 2, 3)), torch.zeros(1, 1, 2, 2), prior, stream())
    assert 1e-4 < found.min() < 1 / 255


def test_pixels_stay_between_black_and_white():
    low, high = torch.tensor([-0.5]).view(1, 1, 1), torch.tensor([0.7]).view(1, 1, 1)
    weights = torch.randn(1, 1, 4, 4)
    prior = Prior(decay=0.0, steps=100)
    found = ascend(lambda x: (x * weights).sum((1, 2, 3)), torch.zeros(1, 1, 4, 4), prior, stream(), low, high)
    assert torch.equal(found, torch.where(weights > 0, 0.7, -0.5))


def test_total_variation_smooths():
    weights = torch.randn(1, 1, 8, 8)
    rough, smooth = (
        ascend(lambda x: (x * weights).sum((1, 2, 3)), torch.zeros(1, 1, 8, 8), Prior(decay=0.5, variation=v), stream())
        for v in (0.0, 1.0)
    )
    assert total_variation(smooth) < 0.2 * total_variation(rough)
    x = torch.tensor([[[[1.0, 3.0], [0.0, 0.0]]]])
    assert total_variation(x).tolist() == [4.0 + 0.0 + 1.0 + 9.0]


def test_jitter_moves_the_objective_not_the_penalty():
    """The gradient of one pixel's weight is spread over the shifts."""
    weights = torch.zeros(1, 1, 7, 7)
    weights[..., 3, 3] = 1.0
    prior = Prior(decay=0.5, jitter=1, steps=300)
    found = ascend(lambda x: (x * weights).sum((1, 2, 3)), torch.zeros(1, 1, 7, 7), prior, stream())
    inner = found[0, 0, 2:5, 2:5]
    assert inner.min() > 0.01
    assert found.abs().sum() - inner.abs().sum() < 1e-3


def test_blur_keeps_a_constant_and_the_mean():
    assert torch.allclose(blurred(torch.full((2, 3, 6, 6), 0.7), 1.0), torch.tensor(0.7))
    point = torch.zeros(1, 1, 15, 15)
    point[..., 7, 7] = 1.0
    found = blurred(point, 1.0)
    assert found.sum().item() == pytest.approx(1.0)
    at = torch.arange(15.0) - 7
    assert (found.sum((0, 1, 2)) * at.square()).sum().item() == pytest.approx(1.0, rel=0.05)  # variance


def test_ascent_raises_the_logit_and_the_unit():
    network, start = convolutional(), 0.3 * torch.randn(1, 1, 8, 8)
    for objective in (class_scores(network, torch.tensor([1])), unit_mean(network, Unit("conv1", 2))):
        found = ascend(objective, start, Prior(decay=0.0, lr=0.2, steps=100), stream())
        assert objective(found).item() > objective(start).item() + 0.01


def test_a_unit_is_the_mean_over_its_map():
    network, x = convolutional(), torch.randn(2, 1, 8, 8)
    maps = F.relu(network.body.conv1[0](x))
    assert torch.allclose(unit_mean(network, Unit("conv1", 2))(x), maps[:, 2].mean((1, 2)))
    assert torch.equal(unit_mean(network, Unit("flatten", 4))(x), network.features(x)[:, 4])


def test_the_same_stream_gives_the_same_image():
    network, prior = convolutional(), Prior(steps=20, jitter=2, blur=0.5)
    a, b = (ascend(class_scores(network, torch.tensor([1])), torch.zeros(1, 1, 8, 8), prior, stream()) for _ in "ab")
    assert torch.equal(a, b)
    assert all(weight.grad is None for weight in network.parameters())
    assert isinstance(network.head, nn.Linear)
