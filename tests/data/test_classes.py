"""The images of some classes alone."""

import pytest
import torch

from rlgen.core.errors import UserError
from rlgen.data import Dataset
from rlgen.data.classes import only_classes


@pytest.fixture
def dataset():
    images = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1)
    return Dataset("pets", images, torch.tensor([0, 1, 2, 0, 1, 2]), ("cat", "dog", "7"))


def test_classes_by_name_and_number_get_new_numbers_in_order(dataset):
    kept = only_classes(dataset, "dog, 0")
    assert kept.classes == ("dog", "cat")
    assert kept.images.flatten().tolist() == [0, 1, 3, 4]
    assert kept.labels.tolist() == [1, 0, 1, 0]
    assert only_classes(dataset, "7,cat").classes == ("7", "cat")  # a name before a number


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("cat,bird", "pets has no class 'bird': there are cat, dog, 7"),
        ("cat,dogs", "did you mean dog"),
        ("cat", "at least two classes"),
        ("cat,0", "each once"),
        ("cat,9", "no class '9'"),
        ("cat,", "no class ''"),
    ],
)
def test_mistakes(dataset, names, message):
    with pytest.raises(UserError, match=message):
        only_classes(dataset, names)


def test_images_without_labels(dataset):
    with pytest.raises(UserError, match="pets has no labels"):
        only_classes(Dataset("pets", dataset.images, None), "0,1")
