import torch

from rlgen import data


def test_the_split_is_always_the_same():
    train, test = data.load("digits"), data.load("digits", "test")
    assert train.images.shape == (1498, 1, 8, 8)
    assert (len(test), len(train) + len(test)) == (299, 1797)
    assert torch.equal(train.images, data.load("digits").images)
    assert train.images.max() == 255
    assert test.labels.bincount(minlength=10).min() >= 20
    seen = {image.numpy().tobytes() for image in train.images}
    assert not any(image.numpy().tobytes() in seen for image in test.images)


def test_scaling_keeps_positions():
    small, large = data.load("digits", "test").images, data.load("digits", "test", size=28).images
    assert large.shape == (299, 1, 28, 28)
    back = torch.nn.functional.interpolate(large.float(), size=8, mode="area")
    assert (back - small).abs().mean() < 16
