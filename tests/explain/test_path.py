import sys

import pytest
import torch

from rlgen.core.errors import UserError
from rlgen.explain.gradients import logit, saliency
from rlgen.explain.path import integrated_gradients, smooth_gradient
from tests.explain.by_hand import convolutional, linear


def images(n=3):
    return torch.randn(n, 1, 8, 8)


def captum():
    pytest.importorskip("captum.attr", reason="captum is not installed: pip install 'rlgen[explain]'")


def test_integrated_gradients_add_up_to_the_rise_of_the_logit():
    captum()
    network, x, target, baseline = convolutional(), images(), torch.tensor([0, 1, 2]), torch.tensor([0.3])
    start = baseline.view(1, 1, 1, 1).expand_as(x)
    rise = logit(network, x, target) - logit(network, start, target)
    total = integrated_gradients(network, x, target, baseline).sum((1, 2, 3))
    torch.testing.assert_close(total, rise.detach(), rtol=0, atol=2e-3)


def test_integrated_gradients_of_a_linear_model():
    captum()
    network, x, target = linear(), torch.randn(2, 1, 6, 6), torch.tensor([0, 1])
    expected = network.head.weight[target].view(2, 1, 6, 6) * (x - 0.3)
    torch.testing.assert_close(integrated_gradients(network, x, target, torch.tensor([0.3])), expected.detach())


def test_the_smooth_gradient_of_a_linear_model_is_its_gradient():
    captum()
    network, x, target = linear(), torch.randn(2, 1, 6, 6), torch.tensor([0, 1])
    torch.testing.assert_close(smooth_gradient(network, x, target, 0), saliency(network, x, target))


def test_the_smooth_gradient_repeats_and_leaves_the_global_stream_alone():
    captum()
    network, x, target = convolutional(), images(), torch.tensor([0, 1, 2])
    before = torch.random.get_rng_state()
    a, b, c = (smooth_gradient(network, x, target, seed) for seed in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_without_captum_the_message_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(UserError, match=r"pip install 'rlgen\[explain\]'"):
        integrated_gradients(linear(), torch.randn(1, 1, 6, 6), torch.tensor([0]), torch.tensor([0.0]))
