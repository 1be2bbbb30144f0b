import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rlgen.core.errors import UserError
from rlgen.explain.gradients import guided_backpropagation, logit, saliency
from tests.explain.by_hand import FunctionalReLU, Net, Shortcut, convolutional, linear


def images(n=4, channels=1, side=8):
    return torch.randn(n, channels, side, side)


def test_saliency_of_a_linear_model_is_its_weights():
    network, x, target = linear(), images(3, side=6), torch.tensor([2, 0, 1])
    assert torch.equal(saliency(network, x, target).flatten(1), network.head.weight[target])


def test_saliency_does_not_vanish_where_the_probability_is_one():
    network = linear()
    network.head.weight.data *= 1e3
    x = network.head.weight.data[[1]].view(1, 1, 6, 6)
    assert logit(network, x, torch.tensor([1])).item() > 1e4
    assert saliency(network, x, torch.tensor([1])).abs().max() > 10


def test_inputs_times_gradients_of_a_relu_network_without_biases_add_up_to_the_logit():
    network, x, target = convolutional(bias=False), images(), torch.tensor([0, 1, 2, 0])
    total = (x * saliency(network, x, target)).sum((1, 2, 3))
    torch.testing.assert_close(total, logit(network, x, target).detach())


def test_saliency_equals_finite_differences():
    network, x, target = convolutional().double(), images(1).double(), torch.tensor([1])
    step = torch.zeros_like(x)
    step[0, 0, 3, 4] = 1e-6
    slope = (logit(network, x + step, target) - logit(network, x - step, target)).item() / 2e-6
    assert saliency(network, x, target)[0, 0, 3, 4].item() == pytest.approx(slope, rel=1e-4)


def test_guided_backpropagation_with_positive_weights_is_the_gradient():
    network, x, target = convolutional(), images().abs(), torch.tensor([0, 1, 2, 0])
    for weight in network.parameters():
        weight.data.abs_()
    torch.testing.assert_close(guided_backpropagation(network, x, target), saliency(network, x, target))


class InPlaceOnView(nn.Module):
    def forward(self, x):
        x = x.view(len(x), 3, -1)
        F.relu(x, True)  # the result is left in x
        return x.flatten(1)


@pytest.mark.parametrize("relu", [nn.ReLU, lambda: nn.ReLU(inplace=True), FunctionalReLU, InPlaceOnView])
def test_guided_backpropagation_by_hand(relu):
    first, second, last = nn.Linear(16, 12), nn.Linear(12, 9), nn.Linear(9, 3)
    network = Net(last, flatten=nn.Flatten(), one=nn.Sequential(first, relu()), two=nn.Sequential(second, relu()))
    x, target = images(5, side=4), torch.tensor([0, 1, 2, 0, 1])
    h = first(x.flatten(1))
    k = second(h.clamp(min=0))
    back = last.weight[target].clamp(min=0) * (k > 0)
    back = (back @ second.weight).clamp(min=0) * (h > 0)
    expected = back @ first.weight
    torch.testing.assert_close(guided_backpropagation(network, x, target).flatten(1), expected)
    assert not torch.allclose(saliency(network, x, target).flatten(1), expected)


@pytest.mark.parametrize("relu", [nn.ReLU, FunctionalReLU])
def test_guided_backpropagation_leaves_the_gradient_of_a_shortcut_alone(relu):
    layer, last = nn.Linear(16, 16), nn.Linear(16, 3)
    network = Net(last, flatten=nn.Flatten(), block=Shortcut(layer, relu()))
    x, target = images(5, side=4), torch.tensor([0, 1, 2, 0, 1])
    back = last.weight[target]
    expected = back + (back @ layer.weight).clamp(min=0) * (x.flatten(1) > 0)
    torch.testing.assert_close(guided_backpropagation(network, x, target).flatten(1), expected)


def test_guided_backpropagation_leaves_no_hook_and_no_gradient():
    network, x, target = convolutional(), images(), torch.tensor([0, 1, 2, 0])
    before = saliency(network, x, target)
    guided_backpropagation(network, x, target)
    for module in network.modules():
        for name, hooks in vars(module).items():
            assert "hook" not in name or not hooks, name
    assert all(weight.grad is None for weight in network.parameters())
    assert not x.requires_grad
    assert torch.equal(saliency(network, x, target), before)


@pytest.mark.parametrize("name", ["relu", "relu_"])
def test_methods_of_tensors_are_guided(name):
    class Method(nn.Module):
        def forward(self, x):
            return getattr(x, name)()

    network = convolutional(relu=Method)
    other = convolutional()
    other.load_state_dict(network.state_dict())
    x, target = images(), torch.tensor([0, 1, 2, 0])
    assert torch.equal(guided_backpropagation(network, x, target), guided_backpropagation(other, x, target))


def test_guided_backpropagation_needs_a_relu():
    with pytest.raises(UserError, match="defined for ReLU, and this network has none: try --method saliency"):
        guided_backpropagation(convolutional(relu=nn.Tanh), images(1), torch.tensor([0]))


def test_captum_agrees():
    attr = pytest.importorskip("captum.attr", reason="captum is not installed: pip install 'rlgen[explain]'")
    network, x, target = convolutional(), images(), torch.tensor([0, 1, 2, 0])
    other = attr.Saliency(network).attribute(x.clone().requires_grad_(), target, abs=False)
    torch.testing.assert_close(saliency(network, x, target), other)
    with pytest.warns(UserWarning, match="backward hooks"):
        other = attr.GuidedBackprop(network).attribute(x.clone().requires_grad_(), target)
    torch.testing.assert_close(guided_backpropagation(network, x, target), other)
