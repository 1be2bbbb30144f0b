"""Every network of the table: outputs, the S axis, sizes, options."""

import pytest
import torch

from rlgen.core.config import options
from rlgen.core.errors import UserError
from rlgen.core.seeds import Seeds, initial_weights
from rlgen.networks import NETWORKS, build, find
from rlgen.networks.settings import OPTIONS, NetworkSettings

S, B, K = 2, 3, 7
FAMILIES = [  # a network of every kind of layer
    "linear", "mlp", "fast", "lenet5", "lenet5-1998", "alexnet", "vgg11", "googlenet", "resnet18", "resnet50",
    "resnet20", "plain20", "densenet-40-12", "densenet-bc-40-12",
]  # fmt: skip


def width(name):
    return {"width": 0.25} if "width" in NETWORKS[name].takes else {}


def test_an_unknown_network_is_refused_with_its_likeliest_name():
    with pytest.raises(UserError, match=r"no network .lenet.: did you mean lenet5\?"):
        find("lenet")
    with pytest.raises(UserError, match=r"no network .lenet.: did you mean lenet5\?"):
        NetworkSettings(network="lenet")


@pytest.mark.parametrize("name", NETWORKS)
def test_images_below_the_smallest_size_are_refused_and_those_of_it_are_taken(name):
    entry = NETWORKS[name]
    side = entry.smallest
    with torch.device("meta"):
        build(name, (1, side, side), K).eval()(torch.empty(B, 1, side, side))
        if side > 1:
            with pytest.raises(UserError, match=rf"--network {name} needs images of at least {side}x{side} pixels"):
                build(name, (1, side - 1, side), K)


@pytest.mark.parametrize("name", FAMILIES)
def test_blocks_lead_to_features_and_these_to_logits(name):
    side = max(NETWORKS[name].smallest, 16)
    network = build(name, (3, side, side), K, NetworkSettings(name, **width(name))).eval()
    x = torch.rand(B, 3, side, side)
    h = x
    for block in network.body:
        h = block(h)
    assert torch.equal(h, network.features(x))
    assert h.dim() == 2
    assert torch.equal(network(x), network.head(h))
    assert network(x).shape == (B, K)


def test_every_option_of_the_table_is_a_field():
    names = {option.name for option in options(NetworkSettings)}
    assert names == {"network", "init_std", *OPTIONS}
    for network in NETWORKS.values():
        assert set(network.own) | set(network.takes) <= set(OPTIONS)


def test_weights_come_from_the_seed():
    def weights(seed):
        with initial_weights(seed):
            return build("lenet5", (1, 28, 28), 10).head.weight

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


@pytest.mark.parametrize("name", FAMILIES)
def test_networks_side_by_side_equal_each_alone(name):
    """Outputs, gradients and running statistics."""
    side = max(NETWORKS[name].smallest, 16)
    shape, settings = (3, side, side), NetworkSettings(name, **width(name), dropout=0.0)
    torch.manual_seed(0)
    alone = [build(name, shape, K, settings).double() for _ in range(S)]
    torch.manual_seed(0)
    together = Seeds(lambda: build(name, shape, K, settings).double(), S)
    x = torch.rand(S, B, *shape, dtype=torch.double)
    out = together(x)
    out.square().sum().backward()
    for s, network in enumerate(alone):
        y = network(x[s])
        torch.testing.assert_close(out[s], y)
        y.square().sum().backward()
        stacked = dict(together.network.named_parameters())
        for key, weight in network.named_parameters():
            if weight.grad is None:
                assert stacked[key].grad is None
            else:
                torch.testing.assert_close(stacked[key].grad[s], weight.grad)
        for key, buffer in network.named_buffers():
            torch.testing.assert_close(together.network.get_buffer(key)[s], buffer)
    together.eval()
    torch.testing.assert_close(together(x)[1], alone[1].eval()(x[1]))
