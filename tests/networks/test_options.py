"""Every option changes what it names, on every network that takes it; on any other it is refused."""

import pytest
import torch
from torch import nn

from rlgen.core import layers
from rlgen.core.config import refuse_unused, resolve
from rlgen.core.errors import UserError
from rlgen.networks import NETWORKS, build
from rlgen.networks.base import ACTIVATIONS, ConvNet
from rlgen.networks.densenet import DenseLayer
from rlgen.networks.googlenet import Inception
from rlgen.networks.resnet import Residual, ZeroPadded
from rlgen.networks.settings import OPTIONS, NetworkSettings
from tests.networks.counting import CIFAR, multiply_adds, network, parameters, weights
from tests.networks.test_networks import FAMILIES
from tests.wiring import Effect, check_effect, every_field

KINDS = tuple(type(activation()) for activation in ACTIVATIONS.values())
NORMS = {
    "none": None, "batch": "BatchNorm", "layer": "GroupNorm", "group": "GroupNorm", "lrn": "LocalResponseNorm",
}  # fmt: skip


def made(**settings):
    return network(settings.pop("network", "resnet20"), CIFAR, 10, **settings)


def of(kinds):
    return lambda module: sorted({type(layer).__name__ for layer in module.modules() if isinstance(layer, kinds)})


def blocks(kind):
    return lambda module: sum(type(layer) is kind for layer in module.modules())


def first_block(module):
    return next(name for name, _ in module.body.named_children())


def first_weight_std(module):
    torch.manual_seed(0)
    real = ConvNet({"layer": nn.Linear(200, 200)}, nn.Identity())
    real.initialise(module.given)
    return real.body.layer.weight.std().item()


def initialised(**settings):
    module = made(network="mlp", **settings)
    module.given = NetworkSettings("mlp", **settings).own(activation="relu")
    return module


EFFECTS = {
    "network": Effect("lenet5", first_block, "C1"),
    "activation": Effect("tanh", of(KINDS), ["Tanh"]),
    "norm": Effect("group", of((nn.BatchNorm2d, nn.GroupNorm)), ["GroupNorm"]),
    "dropout": Effect(0.3, lambda m: [x.p for x in m.modules() if isinstance(x, layers.Dropout)], [0.3]),
    "pooling": Effect("max", lambda m: m.body.features[0].maximum, True),
    "width": Effect(0.5, lambda m: m.head.in_features, 32),
    "depth": Effect(4, lambda m: len(weights(m)), 5, {"network": "mlp"}),
    "shortcut": Effect("B", blocks(ZeroPadded), 0),
    "bottleneck_stride": Effect(
        "1x1", lambda m: m.body.conv3_1.residual[0].stride, (2, 2), {"network": "resnet50", "width": 0.25}
    ),
    "stem": Effect("image", lambda m: m.body.conv1[0].kernel_size, (7, 7), {"network": "resnet18"}),
    "groups": Effect(True, lambda m: m.body.conv2[0].groups, 2, {"network": "alexnet"}),
    "factorised": Effect(True, lambda m: len(weights(m.body.get_submodule("3a"))), 7, {"network": "googlenet"}),
    "auxiliary": Effect(True, lambda m: len(m.auxiliary_heads), 2, {"network": "googlenet"}),
}
INITIAL = {
    "init": Effect("xavier", first_weight_std, (6 / 400 / 3) ** 0.5),
    "init_std": Effect(0.5, first_weight_std, 0.5, {"init": "gaussian"}),
}


@pytest.mark.parametrize("name", every_field(NetworkSettings, EFFECTS, without=INITIAL))
def test_every_option_has_its_effect(name):
    check_effect(made, name, EFFECTS)


@pytest.mark.parametrize("name", INITIAL)
def test_options_of_the_initial_weights(name):
    effect = INITIAL[name]
    before = effect.observe(initialised(**effect.base))
    after = effect.observe(initialised(**{**effect.base, name: effect.value}))
    assert after == pytest.approx(effect.expected, rel=0.02) != pytest.approx(before, rel=0.02)


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("name", FAMILIES)
def test_an_option_is_refused_where_it_has_no_effect(name, option):
    settings = NetworkSettings(name)
    if option in NETWORKS[name].takes:
        refuse_unused(settings, [option])
        return
    with pytest.raises(UserError, match=rf"--{option.replace('_', '-')} has no effect: it belongs to .*not to {name}"):
        refuse_unused(settings, [option])


def takers(option):
    return [name for name in FAMILIES if option in NETWORKS[name].takes]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", takers("activation"))
def test_every_activation_of_a_network_is_the_chosen_one(name, activation):
    kind = type(ACTIVATIONS[activation]())
    assert of(KINDS)(made(network=name, activation=activation)) == [kind.__name__]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", takers("norm"))
def test_every_normalisation_of_a_network_is_the_chosen_one(name, norm):
    module = made(network=name, norm=norm)
    kinds = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, layers.LocalResponseNorm)
    found = {type(layer).__name__[:9] for layer in module.modules() if isinstance(layer, kinds)}
    expected = {NORMS[norm][:9]} if NORMS[norm] else set()
    if (name, norm) == ("mlp", "lrn"):
        with pytest.raises(UserError, match="mlp has none: take batch or layer"):
            NetworkSettings(name, norm=norm).check(["norm"])
        return
    assert found == expected
    for layer in module.modules():
        if isinstance(layer, nn.GroupNorm) and norm == "layer":
            assert layer.num_groups == 1
        if isinstance(layer, kinds[:2]):
            assert layer.eps == 1e-5


@pytest.mark.parametrize("norm", ["none", "lrn"])
@pytest.mark.parametrize("name", takers("norm"))
def test_no_layer_lacks_an_offset(name, norm):
    """Without a normalisation that has biases, a convolution has them."""
    module = made(network=name, norm=norm)
    assert all(layer.bias is not None for layer in module.body.modules() if isinstance(layer, nn.Conv2d))


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("name", takers("norm"))
def test_no_block_changes_its_input(name, norm):
    module = build(name, (1, 32, 32), 10, NetworkSettings(name, norm=norm, width=0.1))
    for layer in module.modules():
        if isinstance(layer, Inception | DenseLayer | Residual) or layer in list(module.body):
            layer.register_forward_pre_hook(lambda layer, x: found.append((layer, x[0], x[0].clone())))
    found = []
    with torch.no_grad():
        module(torch.randn(2, 1, 32, 32))
    assert found
    assert all(torch.equal(x, before) for _, x, before in found)


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("name", takers("pooling"))
def test_every_pooling_of_a_network_is_the_chosen_one(name, pooling):
    found = set()
    for layer in made(network=name, pooling=pooling).modules():
        if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
            found.add("max" if isinstance(layer, nn.MaxPool2d) else "average")
        elif isinstance(layer, layers.AdaptivePool2d):
            found.add("max" if layer.maximum else "average")
    assert found == {pooling}


@pytest.mark.parametrize("name", takers("dropout"))
def test_dropout_is_in_every_network_that_takes_it(name):
    found = [x.p for x in made(network=name, dropout=0.3).modules() if isinstance(x, layers.Dropout)]
    assert found
    assert set(found) == {0.3}


@pytest.mark.parametrize("name", takers("width"))
def test_half_the_width_has_about_a_quarter_of_the_parameters(name):
    whole, half = (parameters(made(network=name, width=width)) for width in (2.0, 1.0))
    assert 1.9 < whole / half < 4.1


@pytest.mark.parametrize("init", ["zeros", "gaussian", "xavier", "he", "orthogonal", "identity"])
@pytest.mark.parametrize("name", ["linear", "fast", "lenet5", "resnet20"])
def test_every_scheme_reaches_every_layer(name, init):
    torch.manual_seed(0)
    module = build_real(name, init)
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            weight = layer.weight.flatten(1)
            if init == "zeros":
                assert not weight.any()
            elif init == "gaussian":
                assert weight.std().item() == pytest.approx(0.01, rel=0.4)
            elif init == "identity":
                assert (weight.max(1).values == 1).sum() >= min(layer.weight.shape[:2])
            elif init == "orthogonal" and weight.shape[0] <= weight.shape[1]:
                gram = weight @ weight.T
                torch.testing.assert_close(gram, gram[0, 0] * torch.eye(len(gram)), atol=1e-4, rtol=1e-4)
            else:
                assert weight.std() > 0


def build_real(name, init):
    return build(name, (1, 28, 28), 10, NetworkSettings(name, init=init, width=0.5))


def test_a_last_gain_of_zero_in_each_block_leaves_the_shortcuts():
    torch.manual_seed(0)
    module = build("resnet20", CIFAR, 10).eval()
    blocks = [block for name, block in module.body.named_children() if name.startswith("stage")]
    for block in blocks:
        nn.init.zeros_(block.residual[-1].weight)
    x = module.body.conv1(torch.rand(2, *CIFAR))
    h = x
    for block in blocks:
        h = block(h)
    expected = torch.cat([torch.zeros(2, 24, 8, 8), x[..., ::4, ::4], torch.zeros(2, 24, 8, 8)], 1)
    torch.testing.assert_close(h, expected)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"activation": "swish"}, "--activation swish: input should be 'auto', 'relu'"),
        ({"dropout": 1.0}, "--dropout 1.0: input should be less than 1"),
        ({"width": 0.0}, "--width 0.0: input should be greater than 0"),
        ({"depth": 0}, "--depth 0: input should be greater than 0"),
    ],
)
def test_a_wrong_value_is_one_line(settings, line):
    with pytest.raises(UserError) as error:
        resolve(NetworkSettings, settings)
    assert str(error.value).startswith(line)


def test_the_way_out_is_named_where_images_are_too_small():
    with pytest.raises(UserError, match=r"alexnet needs images of at least 29x29 .*have 28x28: --size 32$"):
        made_for("alexnet", 28)
    with pytest.raises(
        UserError, match=r"alexnet needs images of at least 67x67 .*have 32x32: --size 68 or --stem small$"
    ):
        made_for("alexnet", 32, stem="image")


def made_for(name, side, **options):
    return network(name, (1, side, side), 10, **options)


def test_the_published_form_is_for_larger_images():
    assert multiply_adds(made_for("resnet18", 63), (1, 63, 63)) > multiply_adds(made_for("resnet18", 64), (1, 64, 64))
    assert [made_for("alexnet", side).body.conv1[0].padding for side in (66, 67)] == [(5, 5), (0, 0)]
