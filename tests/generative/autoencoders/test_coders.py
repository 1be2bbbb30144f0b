import pytest
import torch
from torch import nn

from rlgen.core.errors import DataError
from rlgen.generative.autoencoders.coders import EncoderDecoder, halvable


def build(network, shape=(3, 8, 12), outputs=2, classes=0, depth=1):
    torch.manual_seed(0)
    return EncoderDecoder(network, shape, 7, 5, outputs, 6, depth, classes)


@pytest.mark.parametrize("network", ["dense", "convolutional"])
@pytest.mark.parametrize("classes", [0, 4])
def test_shapes(network, classes):
    coder = build(network, classes=classes)
    y = torch.tensor([0, 3]) if classes else None
    assert coder.encode(torch.rand(2, 3, 8, 12), y).shape == (2, 7)
    assert coder.decode(torch.rand(2, 5), y).shape == (2, 3, 8, 12, 2)


@pytest.mark.parametrize("network", ["dense", "convolutional"])
def test_codes_are_float32_under_autocast(network):
    with torch.autocast("cpu", torch.bfloat16):
        assert build(network).encode(torch.rand(2, 3, 8, 12)).dtype == torch.float32


@pytest.mark.parametrize("network", ["dense", "convolutional"])
def test_a_label_adds_its_own_column_of_weights(network):
    """The one-hot label selects a column of the first layer of a decoder and of the layer after an encoder's images."""
    coder = build(network, classes=4)
    with torch.no_grad():
        first = coder.decoder.layers[0] if network == "dense" else coder.decoder.project
        assert first.in_features == 5 + 4
        first.weight[:, 5:] = 0
        z = torch.rand(1, 5)
        same = [coder.decode(z, torch.tensor([y])) for y in range(4)]
        assert all(torch.equal(same[0], other) for other in same)
        first.weight[:, 5 + 2] = 1
        changed = [not torch.equal(coder.decode(z, torch.tensor([y])), same[0]) for y in range(4)]
    assert changed == [False, False, True, False]


def test_without_hidden_layers_a_dense_network_is_linear():
    coder = build("dense", depth=0)
    x, y = torch.rand(2, 1, 3, 8, 12)
    middle = coder.encode((x + y) / 2)
    torch.testing.assert_close(middle, (coder.encode(x) + coder.encode(y)) / 2)


@pytest.mark.parametrize("depth", [0, 2])
def test_hidden_layers_are_counted(depth):
    linear = [layer for layer in build("dense", depth=depth).encoder.layers if isinstance(layer, nn.Linear)]
    assert len(linear) == depth + 1
    assert [layer.out_features for layer in linear] == [*[6] * depth, 7]


def test_sides_are_multiples_of_four():
    assert halvable((3, 8, 12)) == (3, 8, 12)
    for shape in ((1, 8, 10), (1, 6, 8)):
        with pytest.raises(DataError, match=f"images of {shape[2]}x{shape[1]} pixels cannot be halved twice"):
            halvable(shape)
