import math
from dataclasses import replace

import pytest
import torch

from rlgen.generative.autoregressive.base import nll
from rlgen.generative.autoregressive.prediction import (
    blind_spot,
    earlier,
    level_probabilities,
    pixel_nats,
    receptive_field,
)
from rlgen.generative.likelihoods import Bernoulli, Categorical, Logistic, LogisticMixture
from tests.generative.autoregressive import cases
from tests.generative.autoregressive.cases import CASES, binary_images, build_network, dependencies

SHAPE = (1, 5, 6)


@pytest.mark.parametrize("case", CASES)
def test_the_receptive_field_is_the_gradient_of_the_output_by_every_input(case):
    network, x = build_network(CASES[case], SHAPE), binary_images(1, SHAPE)
    every = dependencies(network, SHAPE).abs()
    for row, column in ((0, 0), (2, 3), (4, 5)):
        field = receptive_field(network, x, None, row, column)
        torch.testing.assert_close(field, every[row * 6 + column].view(5, 6))
        assert not field[~earlier(5, 6, row, column)].any()


def test_the_receptive_field_is_the_slope_of_finite_differences():
    """The mean over the outputs of two channels, of gradients by three channels, in two images."""
    shape = (2, 3, 4)
    network, x = build_network(cases.GATED, shape, outputs=2, classes=2), torch.rand(2, *shape, dtype=torch.float64)
    y, found = torch.tensor([1, 0]), torch.zeros(3, 4, dtype=torch.float64)
    for c in range(2):
        for i in range(3):
            for j in range(4):
                step = torch.zeros_like(x)
                step[:, c, i, j] = 1e-6
                with torch.no_grad():
                    slope = (network(x + step, y) - network(x - step, y))[:, :, 1, 2] / 2e-6
                found[i, j] += slope.abs().mean()
    torch.testing.assert_close(receptive_field(network, x, y, 1, 2), found, rtol=1e-5, atol=1e-8)
    assert all(p.grad is None for p in network.parameters())


def test_the_field_of_many_outputs_is_measured_by_some_of_them(monkeypatch):
    from rlgen.generative.autoregressive import prediction

    monkeypatch.setattr(prediction, "GRADIENTS", 5)
    network, x = build_network(cases.CNN, SHAPE, outputs=9), binary_images(2, SHAPE)
    field = receptive_field(network, x, None, 3, 3)
    inputs = x.clone().requires_grad_()
    out = network(inputs)[:, :, 3, 3]
    rows = [torch.autograd.grad(out[n, k], inputs, retain_graph=True)[0] for n in range(2) for k in (0, 2, 4, 6, 8)]
    torch.testing.assert_close(field, torch.stack(rows).abs().mean(0).sum((0, 1)))


def test_one_stack_has_a_blind_spot_which_two_gated_stacks_do_not_have():
    shape, pixel = (1, 6, 9), (5, 4)
    blind = {}
    for name, case in (("masked", cases.CNN), ("gated", cases.GATED)):
        config = replace(case, first_kernel=3, blocks=5)
        field = receptive_field(build_network(config, shape), binary_images(16, shape), None, *pixel)
        blind[name] = blind_spot(field, *pixel)
        assert torch.equal(blind[name], earlier(6, 9, *pixel) & (field == 0))  # the field spans all earlier pixels
    assert not blind["gated"].any()
    assert blind["masked"].sum() > 5
    assert blind["masked"].nonzero()[:, 1].min() > pixel[1]  # to the right of the pixel


def test_pixels_beyond_the_reach_of_a_network_are_not_a_blind_spot():
    field = torch.zeros(4, 5)
    field[1, 1:4] = field[2, 0] = field[2, 3] = 1
    expected = torch.zeros(4, 5, dtype=torch.bool)
    expected[1, 0] = expected[2, 1] = expected[2, 2] = True
    assert torch.equal(blind_spot(field, 2, 4), expected)
    assert not blind_spot(torch.zeros(4, 5), 0, 0).any()


@pytest.mark.parametrize("likelihood", [Bernoulli(), Categorical(5), Logistic(7), LogisticMixture(2, 6)])
def test_nats_of_pixels_add_up_to_those_of_the_image(likelihood):
    shape = (2, 3, 4)
    network = build_network(CASES["masked"], shape, likelihood.width)
    levels = likelihood.levels - 1
    x = (torch.rand(3, *shape, dtype=torch.float64) * levels).round() / levels
    nats = pixel_nats(network, likelihood, x, None)
    assert nats.shape == x.shape
    with torch.no_grad():
        torch.testing.assert_close(nats.sum((1, 2, 3)), nll(likelihood, network(x), x))
    p = level_probabilities(network, likelihood, x[1:2], None, 2, 1)
    torch.testing.assert_close(p.sum(1), torch.ones(2, dtype=torch.float64))
    for c in range(2):
        level = round(x[1, c, 2, 1].item() * levels)
        assert -math.log(p[c, level]) == pytest.approx(nats[1, c, 2, 1].item(), rel=1e-6)


def test_distributions_depend_on_the_class():
    network = build_network(cases.CNN, SHAPE, classes=2)
    x = binary_images(1, SHAPE)
    one, other = (level_probabilities(network, Bernoulli(), x, torch.tensor([y]), 2, 2) for y in (0, 1))
    assert (one - other).abs().max() > 1e-3
