import math

import pytest
import torch

from rlgen.core.errors import UserError
from rlgen.core.settings import Setup
from rlgen.generative import settings
from rlgen.generative.autoregressive.pixelcnn import PixelCNN
from rlgen.lessons import library
from rlgen.lessons.counts import convolutions, network
from rlgen.lessons.signals import signals
from rlgen.lessons.trained import receptive_field
from rlgen.lessons.valley import descend


def test_gradient_descent_in_the_valley_is_its_formula():
    """Each coordinate is multiplied by 1 - lr · curvature at every step."""
    found = descend(0, "gd", lr=0.05, steps=40, a=1.0, b=30.0, x=-3.0, y=2.0)
    t = torch.arange(41, dtype=torch.float64)
    torch.testing.assert_close(found["x"], -3 * (1 - 0.05) ** t)
    torch.testing.assert_close(found["y"], 2 * torch.tensor(1 - 0.05 * 30, dtype=torch.float64) ** t)
    torch.testing.assert_close(found["loss"], (found["x"] ** 2 + 30 * found["y"] ** 2) / 2)


def test_steps_count_until_the_loss_stays_small():
    found = descend(0, "gd", lr=0.1, steps=200, a=1.0, b=1.0)
    assert found["steps"] == math.ceil(math.log(1000) / (-2 * math.log(0.9)))
    assert descend(0, "gd", lr=0.1, steps=5, a=1.0, b=1.0)["steps"] == math.inf
    assert descend(0, "gd", lr=2.1, steps=500, a=1.0, b=1.0)["steps"] == math.inf


@pytest.mark.parametrize(
    ("activation", "init", "factor"),
    [("relu", "he", 1), ("relu", "xavier", 1 / 2), ("identity", "xavier", 1), ("relu", "torch", 1 / 6)],
)
def test_variance_through_relu_layers_follows_the_formula(activation, init, factor):
    """He et al. 2015: the second moment changes by gain · width · variance of a weight at every layer."""
    ratios = [signals(seed, activation, init, depth=8, width=512)["variance"][1] for seed in range(6)]
    per_layer = torch.stack([(v[-1] / v[0]) ** (1 / 7) for v in ratios]).mean().item()
    assert per_layer == pytest.approx(factor, rel=0.12)


def test_signals_of_sigmoids_and_dead_units():
    sigmoid = {name: y for name, (_, y) in signals(0, "sigmoid", "xavier", depth=6).items()}
    assert sigmoid["gradient"][0] < 4.0**-5
    assert sigmoid["same_sign"][1:].tolist() == pytest.approx([1] * 5)  # all inputs are positive
    assert sigmoid["same_sign"][0] < 0.1
    dying = {name: y for name, (_, y) in signals(0, "relu", "he", depth=6, bias=-30.0).items()}
    assert dying["dead"][-1] == 1
    assert signals(0, "leaky", "he", depth=6, bias=-30.0)["dead"][1][-1] == 0
    normed = signals(0, "tanh", "small", depth=6, norm=True)["variance"][1]
    assert normed.tolist() == pytest.approx([1] * 6, rel=0.2)


def test_the_gradient_is_that_of_autograd_in_a_linear_network():
    """Of two identity layers the gradient at the first is the one at the second times the second weight matrix."""
    found = signals(3, "identity", "he", depth=2, width=64, images=32)
    assert found["gradient"][1].shape == (2,)
    assert found["gradient"][1][1] == 1
    assert found["gradient"][1][0] == pytest.approx(math.sqrt(2), rel=0.1)


def test_the_blind_spot_of_masked_convolutions_and_none_of_gated_stacks():
    small = {"width": 6, "levels": 1, "blocks": 7, "first_kernel": 3}
    masked = receptive_field(PixelCNN("digits", settings.PixelCNN(**small), Setup(threads=1)))
    blind = sum(m - 4 > 6 - k for k in range(6) for m in range(8))  # right of the diagonal through (6, 4)
    assert masked["missed"] == pytest.approx(blind / (6 * 8 + 4))
    assert masked["later"] == 0
    assert masked["field"][6, 4] == 3
    assert masked["field"][7].tolist() == [0] * 8
    gated = receptive_field(PixelCNN("digits", settings.PixelCNN(**small, gated=True), Setup(threads=1)))
    assert (gated["missed"], gated["later"]) == (0, 0)


def test_an_unknown_measurement_or_option():
    with pytest.raises(UserError, match="did you mean valley"):
        library.find("valey", trained=False)
    with pytest.raises(UserError, match="no measurement 'samples' without a run"):
        library.find("samples", trained=False)
    with pytest.raises(UserError, match="did you mean steps"):
        library.find("valley", trained=False).check({"step": 1}, "valley")


@pytest.mark.parametrize(
    ("name", "size", "parameters", "gmac"),
    [("vgg16", 224, 138_357_544, 15.470), ("alexnet", 227, 60_965_224, 0.724), ("resnet18", 224, 11_689_512, 1.814)],
)
def test_counts_are_the_published_ones(name, size, parameters, gmac):
    found = network(0, name, size)
    assert found["parameters"] == parameters
    assert found["gmac"] == pytest.approx(gmac, abs=5e-4)


def test_counts_of_a_small_network_by_hand():
    found = network(0, "mlp", size=4, channels=1, classes=3, depth=1, width=5 / 512)
    assert found["parameters"] == 16 * 5 + 5 + 5 * 3 + 3
    assert found["million"] == pytest.approx((16 * 5 + 5 * 3) / 1e6)
    assert (found["linear_layers"], found["activations"]) == (2, 16 + 5 + 3)


def test_densenets_channels_grow_by_the_same_number():
    channels = network(0, "densenet121")["channels"]
    assert channels[:6] == [64, 96, 128, 160, 192, 224]


def test_counts_of_layers():
    """Three 3x3 layers see 7x7 pixels with 27 C² weights, one 7x7 layer has 49 C²."""
    three, one = (convolutions(0, [layers]) for layers in ([[8, 8, 3]] * 3, [[8, 8, 7]]))
    assert (three["field"], one["field"]) == (7, 7)
    assert (three["parameters"], one["parameters"]) == (27 * 64, 49 * 64)
    assert three["mmac"] == pytest.approx(27 * 64 * 28**2 / 1e6)
    both = convolutions(0, [[[8, 8, 3]], [[8, 4, 1]]], bias=True)
    assert both["parameters"] == 9 * 64 + 8 + 32 + 4


def test_gradient_descent_does_not_depend_on_the_direction_of_the_valley_and_adagrad_does():
    straight, turned = (descend(0, "gd", lr=0.05, steps=30, angle=angle)["loss"] for angle in (0, 33))
    torch.testing.assert_close(straight, turned)
    straight, turned = (descend(0, "adagrad", lr=0.5, steps=30, angle=angle)["loss"] for angle in (0, 33))
    assert (straight[0] - turned[0]).abs() < 1e-9
    assert (straight[-1] / turned[-1]).log().abs() > 0.1
