import itertools
from types import SimpleNamespace

import pytest
import torch

from rlgen.core.errors import UserError
from rlgen.core.seeds import derive
from rlgen.generative import sampling
from rlgen.generative.sampling import label_tensor, sample_batches


def labels_of(*given, **named):
    count, labels = label_tensor(*given, **named)
    assert labels is None or len(labels) == count
    return labels.tolist() if labels is not None else count


def test_labels_may_be_a_tensor_a_list_or_one_number():
    assert labels_of(10, 3, torch.tensor([4, 0, 9])) == [4, 0, 9]
    assert labels_of(10, 3, [4, 0, 9]) == [4, 0, 9]
    assert labels_of(10, 3, 7) == [7, 7, 7]
    assert labels_of(10, 1, [7]) == [7]


def test_without_labels_the_classes_take_turns():
    assert labels_of(3, 7, None) == [0, 1, 2, 0, 1, 2, 0]
    assert labels_of(3, 4, None, start=7) == [1, 2, 0, 1]


def test_without_a_count_there_is_one_sample_per_label():
    assert labels_of(10, None, [1, 2]) == [1, 2]
    assert labels_of(10, None, 3) == [3]
    assert labels_of(4, None, None) == [0, 1, 2, 3]
    assert labels_of(0, None, None) == 1


def test_without_classes_there_are_no_labels():
    assert labels_of(0, 5, None) == 5
    with pytest.raises(UserError, match="trained without --conditional"):
        label_tensor(0, 5, 3)


@pytest.mark.parametrize("labels", [[1], [0, 1, 2, 10], [-1, 0, 0, 0], 10, torch.tensor([[0, 1], [2, 3]]), [0.5] * 4])
def test_labels_that_do_not_fit_are_refused(labels):
    with pytest.raises(UserError, match=r"4 samples take 4 labels from 0 to 9|labels are whole numbers"):
        label_tensor(10, 4, labels)


def recorder(num_classes):
    """A model that notes the number, seed and labels of the samples and returns blank images."""
    calls = []

    def sample(count, *, seed, labels):
        calls.append((count, seed, labels))
        return torch.zeros(count, 1, 2, 2)

    return SimpleNamespace(sample=sample, num_classes=num_classes, calls=calls)


def test_samples_come_in_chunks_with_seeds_of_their_own(monkeypatch):
    monkeypatch.setattr(sampling, "CHUNK_SIZE", 4)
    model = recorder(0)
    assert [len(chunk) for chunk in sample_batches(model, 10, seed=5)] == [4, 4, 2]
    seeds = [5, derive(5, "samples from 4"), derive(5, "samples from 8")]
    assert model.calls == [(4, seeds[0], None), (4, seeds[1], None), (2, seeds[2], None)]


def test_each_chunk_has_its_own_labels(monkeypatch):
    monkeypatch.setattr(sampling, "CHUNK_SIZE", 4)
    model = recorder(3)
    list(sample_batches(model, 6, labels=[2, 2, 1, 1, 0, 0]))
    assert [labels for _, _, labels in model.calls] == [[2, 2, 1, 1], [0, 0]]
    model.calls.clear()
    list(sample_batches(model, 6))
    assert [labels.tolist() for _, _, labels in model.calls] == [[0, 1, 2, 0], [1, 2]]


def test_two_billion_samples_of_a_class_have_no_tensor_of_all_labels():
    model = recorder(10)
    chunks = itertools.islice(sample_batches(model, 2_000_000_000, labels=3), 2)
    assert [len(chunk) for chunk in chunks] == [1_000, 1_000]
    assert [labels for _, _, labels in model.calls] == [3, 3]
