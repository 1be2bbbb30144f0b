"""What initial weights do to the signals: variance through the layers, identity, published schemes."""

import math

import pytest
import torch
from torch import nn

from rlgen.core.seeds import initial_weights
from rlgen.networks import build, initial
from rlgen.networks.settings import NetworkSettings

WIDTH = 1024


def inputs_of_activations(**options):
    """Second moments of the inputs of the activations of 20 layers, for inputs of variance 1."""
    with initial_weights(0):
        network = build("mlp", (1, 32, 32), 10, NetworkSettings("mlp", depth=20, width=WIDTH / 512, **options))
    found = []
    for layer in network.body.modules():
        if isinstance(layer, nn.Linear):
            layer.register_forward_hook(lambda layer, x, y: found.append(y.square().mean().item()))
    with torch.no_grad():
        network(torch.randn(256, 1, 32, 32, generator=torch.Generator().manual_seed(0)))
    return found


@pytest.mark.parametrize(("activation", "gain"), [("relu", 2), ("leaky", 2)])
def test_hes_scheme_keeps_the_variance_through_twenty_layers(activation, gain):
    moments = inputs_of_activations(activation=activation)
    assert len(moments) == 20
    assert all(gain / 2 < moment < gain * 2 for moment in moments)


def test_torchs_own_scheme_loses_a_factor_of_six_per_layer():
    """1 / (3 fan_in) in place of 2 / fan_in."""
    layer = nn.Linear(WIDTH, WIDTH)
    assert layer.weight.var().item() * WIDTH == pytest.approx(1 / 3, rel=0.02)
    initial.fill(layer, "he")
    assert layer.weight.var().item() * WIDTH == pytest.approx(2, rel=0.02)


def test_small_weights_let_the_signal_vanish():
    moments = inputs_of_activations(init="gaussian", init_std=0.01)
    assert moments[-1] < 1e-20


def test_xaviers_scheme_keeps_the_variance_without_activation():
    x = torch.randn(256, WIDTH)
    for _ in range(20):
        layer = nn.Linear(WIDTH, WIDTH)
        initial.fill(layer, "xavier")
        x = layer(x).detach()
    assert 0.5 < x.var().item() < 2


def test_relu_halves_the_second_moment_and_a_leak_keeps_more():
    x = torch.randn(1_000_000)
    assert x.relu().square().mean().item() == pytest.approx(0.5, rel=0.01)
    leak = nn.functional.leaky_relu(x, initial.LEAK).square().mean().item()
    assert leak == pytest.approx((1 + initial.LEAK**2) / 2, rel=0.01)
    assert initial.gain("leaky") ** 2 == pytest.approx(1 / leak, rel=0.01)


def test_gradients_through_sigmoids_vanish():
    """At most 4^-d times the product of the norms of the weights."""
    torch.manual_seed(0)
    linear = [nn.Linear(16, 16) for _ in range(6)]
    x = torch.randn(1, 16, requires_grad=True)
    h = x
    for layer in linear:
        h = layer(h).sigmoid()
    bound = math.prod(torch.linalg.matrix_norm(layer.weight, 2).item() for layer in linear) / 4**6
    for i in range(16):
        (gradient,) = torch.autograd.grad(h[0, i], x, retain_graph=True)
        assert gradient.norm().item() <= bound


@pytest.mark.parametrize("layer", [nn.Linear(6, 6), nn.Conv2d(6, 6, 3, padding=1)])
def test_identity_copies_the_inputs(layer):
    initial.fill(layer, "identity")
    x = torch.randn(2, 6, 5, 5) if isinstance(layer, nn.Conv2d) else torch.randn(2, 6)
    torch.testing.assert_close(layer(x), x)


def test_identity_leaves_no_output_without_a_gradient():
    layer = nn.Conv2d(3, 8, 3)
    initial.fill(layer, "identity")
    assert layer.weight.flatten(1).abs().sum(1).min() > 0


def test_orthogonal_weights_keep_norms_times_the_gain():
    layer = nn.Linear(32, 32, bias=False)
    initial.fill(layer, "orthogonal", "tanh")
    x = torch.randn(5, 32)
    torch.testing.assert_close(layer(x).norm(dim=1), x.norm(dim=1))
    initial.fill(layer, "orthogonal", "relu")
    torch.testing.assert_close(layer(x).norm(dim=1), math.sqrt(2) * x.norm(dim=1))


def test_alexnet_begins_with_biases_of_one_where_the_paper_says_so():
    network = build("alexnet", (3, 67, 67), 10, NetworkSettings("alexnet", width=1 / 16))
    biases = [layer.bias.unique().tolist() for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert biases == [[0.0], [1.0], [0.0], [1.0], [1.0], [1.0], [1.0], [0.0]]
    weights = torch.cat([layer.weight.flatten() for layer in network.body.modules() if isinstance(layer, nn.Conv2d)])
    assert weights.std().item() == pytest.approx(0.01, rel=0.05)


def test_relu_networks_without_biases_are_linear_along_a_ray():
    """Σ x · ∂f/∂x = f"""
    network = build("lenet5", (1, 28, 28), 10).double()  # its biases are 0 at first
    x = torch.rand(2, 1, 28, 28, dtype=torch.double, requires_grad=True)
    f = network(x)[:, 3]
    (gradient,) = torch.autograd.grad(f.sum(), x)
    torch.testing.assert_close((x * gradient).sum((1, 2, 3)), f)


def test_the_loss_at_zero_weights_is_ln_10():
    for name in ("linear", "mlp"):
        network = build(name, (1, 8, 8), 10, NetworkSettings(name, init="zeros"))
        loss = nn.functional.cross_entropy(network(torch.rand(5, 1, 8, 8)), torch.arange(5))
        assert loss.item() == pytest.approx(2.302585, abs=1e-6)
