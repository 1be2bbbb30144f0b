import math

import pytest
import torch

from rlgen import data
from rlgen.core.errors import UserError
from rlgen.data import points


@pytest.mark.parametrize("name", points.NAMES)
def test_a_split_is_the_same_each_time_and_another_one_than_the_other_split(name):
    distribution = points.load(name)
    (x, y), (again, labels) = distribution.draw("train"), points.load(name).draw("train")
    assert torch.equal(x, again)
    assert torch.equal(y, labels)
    assert (x.shape, x.dtype) == ((50_000, 2), torch.float32)
    assert distribution.draw("test")[0].shape == (10_000, 2)
    assert not torch.equal(y[:100], distribution.draw("test")[1][:100])
    assert y.unique().tolist() == list(range(distribution.modes))
    shares = y.bincount() / len(y)
    assert shares.max() < 1.3 * shares.min()
    assert x.std(0).mean().item() == pytest.approx(1.0, abs=0.1)


def test_the_ring_is_that_of_the_literature():
    ring = points.load("ring")
    x, y = ring.draw("train")
    for k in range(8):
        centre = torch.tensor([2 * math.cos(k * math.pi / 4), 2 * math.sin(k * math.pi / 4)]) / math.sqrt(2)
        assert torch.allclose(x[y == k].mean(0), centre, atol=1e-3)
        assert torch.allclose(x[y == k].std(0), torch.full((2,), 0.02 / math.sqrt(2)), rtol=0.05)


def test_the_grid_is_that_of_the_literature():
    x, y = points.load("grid").draw("train")
    centres = torch.stack([x[y == k].mean(0) for k in range(25)]) * 8**0.5
    assert sorted(map(tuple, centres.round().int().tolist())) == [
        (i, j) for i in range(-4, 5, 2) for j in range(-4, 5, 2)
    ]
    assert torch.allclose(x[y == 7].std(0) * 8**0.5, torch.tensor(0.05), rtol=0.1)


def test_the_spiral_is_the_swiss_roll_of_scikit_learn():
    from sklearn.datasets import make_swiss_roll

    spiral = points.load("spiral")
    roll = torch.tensor(make_swiss_roll(4_000, noise=0.25, random_state=0)[0][:, [0, 2]]).float() / 7.5
    ours = spiral.draw("test")[0][:4_000]
    for k in (1, 2):  # moments, and the distance to the line
        assert torch.allclose((roll**k).mean(0), (ours**k).mean(0), atol=0.06)
    assert spiral.nearest(roll)[1].mean().item() == pytest.approx(spiral.nearest(ours)[1].mean().item(), rel=0.05)


@pytest.mark.parametrize("name", points.NAMES)
def test_the_nearest_mode_is_that_of_a_search_one_by_one(name):
    distribution = points.load(name)
    x = 2 * torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    mode, distance = distribution.nearest(x)
    for point, found, away in zip(x, mode, distance, strict=True):
        every = [math.dist(point.tolist(), centre) for centre in distribution.line.tolist()]
        best = min(range(len(every)), key=every.__getitem__)
        assert found == distribution.mode[best]
        assert away.item() == pytest.approx(every[best] / distribution.std, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("name", points.NAMES)
def test_images_are_asked_of_points(name):
    with pytest.raises(UserError, match=f"{name} holds points in two dimensions, and no images: `rlgen gan {name}`"):
        data.load(name)
    assert (name, points.NAMES[name], "drawn") in list(data.listing())
