"""The order of images: each once per epoch, per seed its own, resumed from a position; no minibatch is too small."""

import pytest
import torch

from rlgen.data.order import Order

CPU = torch.device("cpu")


def epochs(order, count, smallest=1):
    """The minibatches of so many epochs, as lists of lists."""
    found = [[]]
    while len(found) <= count:
        index = order.next_index(smallest)
        if order.epoch == len(found):
            found.append([])
        found[order.epoch].append(index)
    return found[:count]


def test_each_seed_takes_every_image_once_per_epoch_in_its_own_order():
    orders = [torch.cat(batches, 1) for batches in epochs(Order(23, 10, 0, CPU, seeds=3), 2)]
    for order in orders:
        assert order.shape == (3, 23)
        assert torch.equal(order.sort(1).values, torch.arange(23).expand(3, 23))
        assert len({tuple(row.tolist()) for row in order}) == 3
    assert not torch.equal(*orders)


def test_the_first_seed_of_several_has_the_order_of_one_alone():
    several, alone = (torch.cat(epochs(Order(23, 10, 5, CPU, seeds=s), 1)[0], 1) for s in (3, 1))
    assert torch.equal(several[:1], alone)


@pytest.mark.parametrize(("count", "sizes"), [(129, [129]), (130, [128, 2]), (257, [128, 129]), (256, [128, 128])])
def test_a_last_minibatch_of_one_image_joins_the_one_before_it(count, sizes):
    order = Order(count, 128, 0, CPU)
    for batches in epochs(order, 2, smallest=2):
        assert [index.shape[1] for index in batches] == sizes
        assert torch.cat(batches, 1).unique().numel() == count


@pytest.mark.parametrize("before", range(1, 8))
def test_the_order_of_several_seeds_is_resumed(before):
    whole, part, rest = (Order(23, 10, 0, CPU, seeds=2) for _ in range(3))
    expected = [whole.next_index() for _ in range(10)]
    for _ in range(before):
        part.next_index()
    rest.load_state_dict(part.state_dict())
    for index in expected[before:]:
        assert torch.equal(rest.next_index(), index)
