"""Networks for images as encoders of Q-networks."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from rlgen.agents.networks import QNetwork, RecurrentQNetwork
from rlgen.core.errors import UserError
from rlgen.core.seeds import Seeds
from rlgen.networks import NETWORKS

SIDE = {"alexnet": 32}  # of the observations in pixels; 16 for all others
ENCODERS = ["lenet5", "fast", "mlp", "alexnet", "resnet20", "plain20", "densenet-bc-40-12"]


def shape(encoder, depth=1):
    return SimpleNamespace(width=8, depth=depth, dueling=False, noisy=False, layer_norm=False, encoder=encoder)


def observations(encoder, *leading):
    side = SIDE.get(encoder, 16)
    return torch.randint(256, (*leading, 2, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def network(encoder, depth=1):
    torch.manual_seed(0)
    return QNetwork(observations(encoder).shape, 3, 1, shape(encoder, depth), 255.0)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_values_of_an_observation_depend_on_no_other(encoder):
    """No batch norm and no dropout: acting on one observation equals learning from many."""
    q, x = network(encoder), observations(encoder, 4)
    torch.testing.assert_close(q(x)[1:2], q(x[1:2]), rtol=1e-4, atol=1e-5)
    assert torch.equal(q(x), q(x))
    assert not torch.allclose(q(x)[0], q(x)[1], rtol=1e-3)


@pytest.mark.parametrize("encoder", ["fast", "resnet20"])
def test_seeds_with_an_encoder_equal_each_alone(encoder):
    x = observations(encoder, 2, 4)
    torch.manual_seed(0)
    alone = [QNetwork(x.shape[2:], 3, 1, shape(encoder), 255.0) for _ in range(2)]
    torch.manual_seed(0)
    together = Seeds(lambda: QNetwork(x.shape[2:], 3, 1, shape(encoder), 255.0), 2)
    for s, q in enumerate(alone):
        torch.testing.assert_close(together(x)[s], q(x[s]), rtol=1e-4, atol=1e-5)


def test_sequences_of_observations_are_encoded_one_by_one():
    x = observations("fast", 2, 5)
    q = RecurrentQNetwork(x.shape[2:], 3, 1, shape("fast"), 255.0)
    out, _ = q(x, torch.zeros(2, 16), torch.zeros(2, 5, dtype=torch.bool))
    assert out.shape == (2, 5, 3, 1)
    torch.testing.assert_close(q.torso(x / 255)[1, 3], q.torso(x[1:2, 3] / 255)[0], rtol=1e-4, atol=1e-5)


def test_hidden_layers_follow_the_encoder():
    q = network("lenet5", depth=3)
    assert [layer.out_features for layer in q.torso if isinstance(layer, nn.Linear)] == [8, 8]
    assert [name for name, _ in q.torso[0].named_children()] == ["C1", "S2", "C3", "S4", "flatten", "C5", "F6"]


@pytest.mark.parametrize(
    ("obs", "line"),
    [
        ((4,), "--encoder lenet5 takes images, the observations here are of shape 4: leave it out"),
        ((3, 10, 10), "--encoder lenet5 needs images of at least 12x12 pixels, these have 10x10: a smaller network"),
    ],
)
def test_other_observations_are_refused(obs, line):
    with pytest.raises(UserError) as error:
        QNetwork(obs, 3, 1, shape("lenet5"))
    assert str(error.value).startswith(line)


def test_the_network_named_as_the_way_out_takes_every_image():
    assert NETWORKS["fast"].smallest == 1
