import torch
import torch.nn.functional as F
from torch import nn

from rlgen.explain.layers import Unit
from rlgen.explain.units import first_filters, strongest
from tests.explain.by_hand import Net, convolutional, linear


def test_the_strongest_images_by_search():
    network, images = convolutional(), torch.randn(300, 1, 8, 8)
    found = strongest(network, images, [Unit("conv1", 0), Unit("conv1", 2)], 5)[1]
    assert found.field == (3, 3)
    maps = F.relu(network.body.conv1[0](images))[:, 2]
    values, order = maps.flatten(1).max(1).values.sort(descending=True)
    assert found.index.tolist() == order[:5].tolist()
    assert torch.equal(found.value, values[:5])
    for image, (top, bottom, left, right) in zip(found.index.tolist(), found.box.tolist(), strict=True):
        y, x = divmod(maps[image].argmax().item(), 8)
        assert (top, bottom) == (max(0, y - 1), min(8, y + 2))
        assert (left, right) == (max(0, x - 1), min(8, x + 2))


def test_only_the_receptive_field_moves_the_unit():
    network, images = convolutional(), torch.randn(20, 1, 8, 8)
    found = strongest(network, images, [Unit("pool1", 1)], 1)[0]
    top, bottom, left, right = found.box[0].tolist()
    covered = torch.randn(1, 1, 8, 8)
    covered[..., top:bottom, left:right] = images[found.index[0], :, top:bottom, left:right]
    assert network.body[:2](covered)[0, 1].flatten().tolist().count(found.value.item()) == 1


def test_features_have_no_position():
    network, images = convolutional(), torch.randn(20, 1, 8, 8)
    found = strongest(network, images, [Unit("flatten", 3)], 2)[0]
    assert found.box is None
    assert found.index[0] == network.features(images)[:, 3].argmax()


def test_first_filters_are_the_weights():
    network = convolutional(3)
    assert torch.equal(first_filters(network, (3, 8, 8)), network.body.conv1[0].weight)
    network = linear((2, 6, 6))
    assert torch.equal(first_filters(network, (2, 6, 6)).flatten(1), network.head.weight)
    assert first_filters(Net(nn.Identity(), flatten=nn.Flatten()), (1, 4, 4)) is None
    assert first_filters(Net(nn.Identity(), conv=nn.Conv2d(2, 4, 3, groups=2)), (2, 4, 4)) is None
