import pytest
import torch
from torch import nn

from rlgen.core.errors import UserError
from rlgen.explain.gradcam import grad_cam
from rlgen.explain.layers import split_at_map
from tests.explain.by_hand import Net, convolutional, linear


def test_behind_global_pooling_and_a_linear_head_it_is_proportional_to_the_class_activation_map():
    network, x, target = convolutional(), torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 0])
    maps = network.body.conv2[:2](network.body[:2](x))  # (N, 6, 4, 4)
    class_activation = torch.einsum("nk,nkhw->nhw", network.head.weight[target], maps).clamp(min=0)
    torch.testing.assert_close(grad_cam(network, x, target), class_activation.detach() / 16)
    assert class_activation.max() > 0


def test_a_map_is_taken_before_pooling():
    layers, rest = split_at_map(convolutional(), torch.randn(1, 1, 8, 8))
    assert layers(torch.randn(1, 1, 8, 8)).shape == (1, 6, 4, 4)
    assert isinstance(rest[0], nn.AdaptiveAvgPool2d)
    body = {"conv": nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2)), "flatten": nn.Flatten()}
    layers, _ = split_at_map(Net(nn.Linear(18, 2), **body), torch.randn(1, 1, 8, 8))
    assert layers(torch.randn(1, 1, 8, 8)).shape == (1, 2, 6, 6)


def test_the_two_parts_are_the_network():
    network, x = convolutional(), torch.randn(4, 1, 8, 8)
    layers, rest = split_at_map(network, x)
    assert torch.equal(rest(layers(x)), network(x))


def test_a_layer_in_place_after_the_map_is_no_obstacle():
    network = Net(
        nn.Linear(2, 2),
        conv=nn.Conv2d(1, 2, 3),
        rest=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.ReLU(inplace=True), nn.Flatten()),
    )
    plain = Net(
        network.head, conv=network.body.conv, rest=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.ReLU(), nn.Flatten())
    )
    x, target = torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 1, 0])
    assert torch.equal(grad_cam(network, x, target), grad_cam(plain, x, target))


def test_random_weights_change_it():
    x, target = torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 0])
    assert not torch.allclose(grad_cam(convolutional(), x, target), grad_cam(convolutional(), x, target), rtol=0.1)


def test_a_network_without_convolution_is_refused():
    with pytest.raises(UserError, match="maps of a convolution, and this network has none: try --method saliency"):
        grad_cam(linear(), torch.randn(1, 1, 6, 6), torch.tensor([0]))


def test_captum_agrees():
    attr = pytest.importorskip("captum.attr", reason="captum is not installed: pip install 'rlgen[explain]'")
    network, x, target = convolutional(), torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 0])
    method = attr.LayerGradCam(network, network.body.conv2[1])
    other = method.attribute(x, target, relu_attributions=True)
    torch.testing.assert_close(grad_cam(network, x, target), other[:, 0].detach())
