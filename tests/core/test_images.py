import torch

from rlgen.core.images import from_bytes, rows, to_bytes


def test_bytes_survive_the_way_to_numbers_and_back():
    levels = torch.arange(256, dtype=torch.uint8)
    x = from_bytes(levels)
    assert x.dtype == torch.float32
    assert (x[0], x[255]) == (0, 1)
    assert torch.equal(to_bytes(x), levels)


def test_numbers_are_rounded_and_clipped():
    x = torch.tensor([-0.5, 0.49 / 255, 0.51 / 255, 254.6 / 255, 1.5])
    assert to_bytes(x).tolist() == [0, 0, 1, 255, 255]


def test_rows_are_those_of_the_index_in_its_shape():
    images = torch.arange(5 * 2 * 3, dtype=torch.uint8).view(5, 2, 3)
    for index in (torch.tensor([3, 0, 3]), torch.tensor([[4, 1], [0, 2]])):
        assert torch.equal(rows(images, index), images[index])
