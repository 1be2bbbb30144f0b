import torch

from rlgen import data
from rlgen.data import digits


def test_the_split_is_always_the_same():
    train, test = data.load("digits"), data.load("digits", "test")
    assert train.images.shape == (1498, 1, 8, 8)
    assert (len(test), len(train) + len(test)) == (299, 1797)
    assert torch.equal(train.images, data.load("digits").images)
    assert train.images.max() == 255
    assert test.labels.bincount(minlength=10).min() >= 20
    seen = {image.numpy().tobytes() for image in train.images}
    assert not any(image.numpy().tobytes() in seen for image in test.images)


def test_the_file_is_read_as_scikit_learn_reads_it():
    from sklearn.datasets import load_digits

    images, labels = digits._bundled()
    assert (images == load_digits().images).all()
    assert (labels == load_digits().target).all()


def test_a_file_elsewhere_is_found_by_scikit_learn(monkeypatch):
    expected = digits._bundled()
    monkeypatch.setattr(digits, "find_spec", lambda name: None)
    found = digits._bundled.__wrapped__()
    assert all((a == b).all() for a, b in zip(found, expected, strict=True))


def test_scaling_keeps_positions():
    small, large = data.load("digits", "test").images, data.load("digits", "test", size=28).images
    assert large.shape == (299, 1, 28, 28)
    back = torch.nn.functional.interpolate(large.float(), size=8, mode="area")
    assert (back - small).abs().mean() < 16
