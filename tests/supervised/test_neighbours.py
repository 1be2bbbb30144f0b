import pytest
import torch

from rlgen.supervised.neighbours import Memory


def vectors(count, dimensions=12, seed=0):
    return torch.rand(count, dimensions, generator=torch.Generator().manual_seed(seed))


def brute(queries, memory, k, metric):
    distances = torch.stack(
        [(q - memory).abs().sum(1) if metric == "l1" else (q - memory).norm(dim=1) for q in queries]
    )
    order = distances.argsort(dim=1, stable=True)[:, :k]
    return distances.gather(1, order), order


@pytest.mark.parametrize("metric", ["l1", "l2"])
@pytest.mark.parametrize("scale", [1.0, 255.0])
def test_neighbours_are_those_of_a_full_search(metric, scale):
    memory, queries = scale * vectors(500), scale * vectors(40, seed=1)
    found = Memory(memory).nearest(queries, 7, metric)
    distance, index = brute(queries, memory, 7, metric)
    assert torch.equal(found.place, index)
    torch.testing.assert_close(found.distance, distance)


@pytest.mark.parametrize("metric", ["l1", "l2"])
def test_nearly_binary_vectors_as_images_have_them(metric):
    memory, queries = vectors(400, 60).round(), vectors(30, 60, seed=1).round()  # many equal distances
    found = Memory(memory).nearest(queries, 5, metric)
    distance, index = brute(queries, memory, 5, metric)
    torch.testing.assert_close(found.distance, distance)
    assert torch.equal(found.distance, found.distance.sort(1).values)
    if metric == "l1":
        assert torch.equal(found.place, index)


@pytest.mark.parametrize("metric", ["l1", "l2"])
def test_the_nearest_to_a_remembered_vector_is_itself(metric):
    memory = vectors(300)
    memory[1::2] = memory[::2] + 1e-5 * vectors(150, seed=1)  # |q|² + |m|² - 2 q·m is mostly rounding
    found = Memory(memory).nearest(memory, 1, metric)
    assert torch.equal(found.place[:, 0], torch.arange(300))
    assert found.distance.max() == 0


@pytest.mark.parametrize("metric", ["l1", "l2"])
def test_neighbours_are_in_other_folds(metric):
    memory, folds = vectors(200), torch.arange(200) % 4
    found = Memory(memory, folds).nearest(memory, 9, metric, folds)
    assert (folds[found.place] != folds.unsqueeze(1)).all()
    for fold in range(4):
        others = (folds != fold).nonzero().squeeze(1)
        _, index = brute(memory[folds == fold], memory[others], 9, metric)
        assert torch.equal(found.place[folds == fold], others[index])


def test_a_rotation_keeps_neighbours_by_l2_and_not_by_l1():
    memory, queries = vectors(300), vectors(60, seed=1)
    rotation = torch.linalg.qr(torch.randn(12, 12, generator=torch.Generator().manual_seed(2))).Q
    kept = {
        metric: torch.equal(
            Memory(memory).nearest(queries, 3, metric).place,
            Memory(memory @ rotation).nearest(queries @ rotation, 3, metric).place,
        )
        for metric in ("l1", "l2")
    }
    assert kept == {"l1": False, "l2": True}
