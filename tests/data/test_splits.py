import pytest
import torch

from rlgen import data
from rlgen.core.errors import UserError
from rlgen.data import cifar, idx, splits


def images(count, seed=0, shape=(1, 4, 4)):
    return torch.randint(0, 256, (count, *shape), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def labelled(*counts):
    """Hashes of different images, and labels: `counts` images of each class."""
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    return labels, splits.hashes(images(len(labels)))


def test_hashes_follow_the_pixels_alone():
    pictures = images(50)
    found = splits.hashes(pictures)
    assert (found.shape, found.dtype) == ((50,), torch.int64)
    assert len(found.unique()) == 50
    order = torch.randperm(50)
    assert torch.equal(splits.hashes(pictures[order]), found[order])
    changed = pictures.clone()
    changed[7, 0, 3, 3] ^= 1
    assert (splits.hashes(changed) != found).nonzero().tolist() == [[7]]
    assert torch.equal(splits.hashes(pictures.to(memory_format=torch.channels_last)), found)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_validation_split_is_stratified(share):
    labels, found = labelled(3_000, 500, 1_500)
    chosen = splits.validation(labels, found, share)
    for label, count in enumerate((3_000, 500, 1_500)):
        assert chosen[labels == label].float().mean() == pytest.approx(share, abs=4 * (share / count) ** 0.5)


def test_one_more_image_moves_no_other_across_the_validation_split():
    labels, found = labelled(400, 60)
    chosen = splits.validation(labels, found, 0.1)
    order = torch.randperm(460)
    assert torch.equal(splits.validation(labels[order], found[order], 0.1), chosen[order])
    for seed in range(1, 30):
        more = splits.hashes(images(1, seed))
        for label in (0, 1, 2):
            if label == 2:  # a class of two further images
                more = splits.hashes(images(2, seed))
            after = splits.validation(torch.cat([labels, torch.full_like(more, label)]), torch.cat([found, more]), 0.1)
            assert torch.equal(after[:460], chosen)


@pytest.mark.parametrize("count", range(2, 12))
@pytest.mark.parametrize("share", [0.01, 0.1, 0.99])
def test_every_class_is_in_both_halves(count, share):
    labels, found = labelled(*[count] * 20)
    chosen = splits.validation(labels, found, share)
    for label in range(20):
        assert 0 < chosen[labels == label].sum() < count


def test_equal_images_are_in_one_half_and_one_fold():
    labels, found = labelled(40, 7)
    labels, found = labels.repeat(3), found.repeat(3)
    for parts in (splits.validation(labels, found, 0.3).long(), splits.folds(labels, found, 5)):
        first, second, third = parts.chunk(3)
        assert torch.equal(first, second)
        assert torch.equal(first, third)


def test_a_class_of_one_image_has_no_validation_split():
    labels, found = labelled(9, 1)
    with pytest.raises(UserError, match=r"class 1 has 1 image, .*: a validation split needs 2, so add images"):
        splits.validation(labels, found, 0.1)
    with pytest.raises(UserError, match="class cat has 1 image"):
        splits.validation(labels, found, 0.1, ("dog", "cat"))
    with pytest.raises(UserError, match="class cat has 1 image, copies of it aside"):
        splits.validation(torch.ones(4, dtype=torch.int64), found[:1].repeat(4), 0.1, ("dog", "cat"))


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5])
def test_a_share_is_between_0_and_1(share):
    with pytest.raises(UserError, match="a share between 0 and 1"):
        splits.validation(*labelled(9), share)


@pytest.mark.parametrize("k", [2, 3, 5, 10])
@pytest.mark.parametrize("count", [10, 11, 30])
def test_every_class_is_in_every_fold(k, count):
    labels, found = labelled(*[count] * 20)
    fold = splits.folds(labels, found, k)
    for label in range(20):
        assert sorted(set(fold[labels == label].tolist())) == list(range(k))


def test_folds_are_of_equal_size_with_and_without_a_validation_split():
    """Were both cut from one hash, the first fold of what a validation split leaves would be empty."""
    labels, found = labelled(5_000, 5_000)
    rest = ~splits.validation(labels, found, 0.2)
    for keep in (torch.ones_like(rest), rest):
        count = splits.folds(labels[keep], found[keep], 5).bincount(minlength=5)
        assert count.float() / keep.sum() == pytest.approx(torch.full((5,), 0.2), abs=0.02)


def test_one_more_image_moves_no_other_across_folds():
    labels, found = labelled(300, 200)
    fold = splits.folds(labels, found, 5)
    more = splits.hashes(images(20, seed=1))
    after = splits.folds(torch.cat([labels, more % 2]), torch.cat([found, more]), 5)
    assert torch.equal(after[:500], fold)


def test_more_folds_than_images_of_a_class_are_refused():
    labels, found = labelled(20, 4)
    with pytest.raises(UserError, match="class cat has 4 different images, too few for 5 folds: take --folds 4 or"):
        splits.folds(labels, found, 5, ("dog", "cat"))
    assert splits.folds(labels, found, 4)[20:].sort().values.tolist() == [0, 1, 2, 3]
    found[23] = found[22]
    with pytest.raises(UserError, match="class 1 has 3 different images"):
        splits.folds(labels, found, 4)
    found[20:] = found[20]
    with pytest.raises(UserError, match="class 1 has 1 image, copies of it aside, and cross-validation needs 2"):
        splits.folds(labels, found, 4)
    with pytest.raises(UserError, match="at least 2 folds, not 1"):
        splits.folds(labels, found, 1)


def test_duplicates_across_splits_are_counted():
    train, test = images(40, 1), images(20, 2)
    assert splits.duplicates(splits.hashes(train), splits.hashes(test)) == 0
    test[[3, 8, 9]] = train[[0, 5, 0]]
    assert splits.duplicates(splits.hashes(train), splits.hashes(test)) == 3  # test images, however often in training
    test[9, 0, 0, 0] ^= 1
    assert splits.duplicates(splits.hashes(train), splits.hashes(test)) == 2


def test_statistics_are_those_of_all_pixels():
    pictures = images(5_000, shape=(3, 6, 5))
    pictures = (pictures.float() * torch.rand(5_000, 3, 1, 1)).to(torch.uint8)  # of unlike brightness
    mean, deviation = splits.statistics(pictures)
    scaled = pictures.double() / 255
    normalised = (scaled - mean[:, None, None]) / deviation[:, None, None]
    assert normalised.mean((0, 2, 3)) == pytest.approx(torch.zeros(3), abs=1e-4)
    assert normalised.std((0, 2, 3)) == pytest.approx(torch.ones(3), abs=1e-3)
    within = scaled.std((2, 3)).mean(0)  # the mean over images, which many lists print for CIFAR-10
    assert (deviation - within > 0.02).all()
    for expected, found in zip((mean, deviation), splits.statistics(scaled.float()), strict=True):
        assert found == pytest.approx(expected, abs=1e-6)


def test_a_constant_channel_has_the_deviation_1():
    pictures = images(30, shape=(3, 4, 4))
    pictures[:, 1] = 77
    mean, deviation = splits.statistics(pictures)
    assert (mean[1], deviation[1]) == (pytest.approx(77 / 255), 1)
    assert (deviation[[0, 2]] < 0.5).all()


def test_statistics_of_cifar10():
    """Facts of the full training set: torchvision's tutorials print other deviations."""
    if idx.find(data.SOURCES["cifar10"], cifar.ARCHIVE) is None:
        pytest.skip("CIFAR-10 is not on this machine")
    mean, deviation = splits.statistics(data.load("cifar10").images)
    assert mean == pytest.approx(torch.tensor([0.4914, 0.4822, 0.4465]), abs=1e-4)
    assert deviation == pytest.approx(torch.tensor([0.2470, 0.2435, 0.2616]), abs=1e-4)


def test_classes_without_images():
    assert splits.absent(torch.tensor([0, 2, 2]), ("a", "b", "c", "d")) == ["b", "d"]
    assert splits.absent(torch.tensor([1, 0]), ("a", "b")) == []


def test_a_sample_is_random_and_has_every_class_in_its_share():
    labels, _ = labelled(3_000, 500, 1_500)
    draw = [splits.sample(labels, 200, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert draw[0].tolist() == draw[1].tolist() == sorted(set(draw[0].tolist()))
    assert draw[0].tolist() != draw[2].tolist()
    for label, count in enumerate((120, 20, 60)):
        assert abs((labels[draw[0]] == label).sum().item() - count) <= 1
    few = splits.sample(labels, 3, torch.Generator().manual_seed(0))
    assert labels[few].tolist() == [0, 1, 2]
    assert splits.sample(labels, 5_000, torch.Generator()).tolist() == list(range(5_000))
    for count in (2, 5_001):
        with pytest.raises(UserError, match="--train-images"):
            splits.sample(labels, count, torch.Generator())
