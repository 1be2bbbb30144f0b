import logging

import pytest
import torch

from rlgen.data import Dataset
from rlgen.generative.minibatches import Minibatches

CPU = torch.device("cpu")


def numbered(count=23):
    """Images whose pixels hold the index of the image, which is its label as well."""
    images = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 2, 4, 4)
    return Dataset("numbered", images, torch.arange(count))


def labels_of(data, batches):
    return [data.next()[1].tolist() for _ in range(batches)]


def test_every_image_once_per_epoch_in_an_order_of_its_own():
    data = Minibatches(numbered(), 10, seed=0, device=CPU)
    first, second = (labels_of(data, 3) for _ in range(2))
    for epoch in (first, second):
        assert [len(batch) for batch in epoch] == [10, 10, 3]
        assert sorted(number for batch in epoch for number in batch) == list(range(23))
    assert first != second
    assert first == labels_of(Minibatches(numbered(), 10, seed=0, device=CPU), 3)
    assert first != labels_of(Minibatches(numbered(), 10, seed=1, device=CPU), 3)


@pytest.mark.parametrize("before", range(8))
def test_the_order_is_resumed_from_epoch_and_position(before):
    whole, part, rest = (Minibatches(numbered(), 10, seed=0, device=CPU) for _ in range(3))
    expected = labels_of(whole, 12)
    labels_of(part, before)
    rest.load_state_dict(part.state_dict())
    assert labels_of(rest, 12 - before) == expected[before:]


def test_images_are_between_0_and_1_and_keep_their_labels():
    images = torch.randint(256, (9, 3, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images[0, 0, 0, 0], images[1, 0, 0, 0] = 0, 255
    x, y = Minibatches(Dataset("random", images, torch.arange(9)), 9, seed=0, device=CPU).next()
    assert x.shape == (9, 3, 4, 5)
    assert (x.min(), x.max()) == (0, 1)
    assert torch.equal((x * 255).round().byte(), images[y])


def test_a_batch_larger_than_the_data_is_announced_once_where_the_training_begins(caplog):
    data = Minibatches(numbered(), 1_000_000, seed=0, device=CPU)
    assert not caplog.records  # only made, as for `rlgen sample`
    count = len(data.images)
    assert [len(data.next()[0]) for _ in range(3)] == [count] * 3
    message = f"--batch 1,000,000 is more than the {count} training images: each step takes all"
    assert [record.getMessage() for record in caplog.records] == [message]
    Minibatches(numbered(), count, seed=0, device=CPU).next()
    assert len(caplog.records) == 1


def test_labels_are_optional():
    dataset = Dataset("plain", numbered().images, None)
    assert Minibatches(dataset, 4, seed=0, device=CPU).next()[1] is None


def test_a_batch_cut_to_the_data_is_announced_once(caplog):
    data = Minibatches(numbered(), 999_999_999, seed=0, device=CPU)
    with caplog.at_level(logging.WARNING, "rlgen"):
        assert [len(batch) for batch in labels_of(data, 3)] == [23, 23, 23]
    assert [record.getMessage() for record in caplog.records] == [
        "--batch 999,999,999 is more than the 23 training images: each step takes all"
    ]
