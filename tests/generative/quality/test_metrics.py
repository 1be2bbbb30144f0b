"""Quality metrics with the bundled digits: of real images as samples, one image repeated, copies and noise."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from rlgen import data
from rlgen.core.images import from_bytes, to_bytes
from rlgen.data import idx
from rlgen.generative.likelihoods import binarise, binarised
from rlgen.generative.quality import feature_classifier, metrics
from rlgen.generative.quality.feature_classifier import FeatureClassifier


@pytest.fixture(scope="module", autouse=True)
def _elsewhere(tmp_path_factory):
    """A cache of its own, and a feature classifier trained in a second."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setattr(idx, "cache", lambda: folder)
        patch.setattr(feature_classifier, "STEPS", 150)
        yield


TRAIN, TEST = data.load("digits"), data.load("digits", "test")


def model(images, conditional=False, train=TRAIN, test=TEST):
    """A model whose samples are `images`."""
    sampler = SimpleNamespace(conditional=conditional, num_classes=len(train.classes) * conditional, labels=[])

    def sample(count, *, seed=0, labels=None):
        sampler.labels.append(labels)
        return images[:count].float() / 255

    sampler.sample = sample
    sampler.real = sampler.load = lambda split: train if split == "train" else test
    return sampler


ORDER = feature_classifier.shuffled(len(TEST))


def test_real_images_score_as_real_images():
    result = metrics.evaluate(model(TEST.images[ORDER]))
    assert result["samples"] == len(TEST)
    assert result["classifier_accuracy"] > 0.9
    assert result["left_out"] == {}
    for name, value in result["real_data_reference"].items():
        assert result[name] == pytest.approx(value, abs=1e-6), name
    assert result["classes_found"] == 10
    assert sum(result["classes"].values()) == pytest.approx(1)
    assert result["memorization_rate"] == pytest.approx(0.01, abs=0.005)
    assert set(result["real_data_reference"]) <= set(metrics.MEANING)


def test_one_image_repeated():
    sevens = TEST.images[TEST.labels == 7][:1].expand(299, -1, -1, -1)
    result = metrics.evaluate(model(sevens))
    assert result["classes_found"] == 1
    assert result["classes"]["7"] == 1
    assert result["class_kl"] == pytest.approx(2.3, abs=0.1)  # ln 10
    assert result["lenet_fid"] > 10 * result["real_data_reference"]["lenet_fid"]
    assert result["kid"] > result["real_data_reference"]["kid"]
    assert result["coverage"] < 0.2
    assert result["recall"] < 0.1


def test_copies_of_training_images_are_found():
    result = metrics.evaluate(model(TRAIN.images[:299]))
    assert result["memorization_rate"] == 1
    assert result["nearest_distance"] == 0 < result["real_data_reference"]["nearest_distance"]
    assert result["precision"] > 0.8  # alone it would suggest quality


def sharpened(dataset):
    """The digits with 28x28 pixels, most of them black or white as in MNIST."""
    return replace(dataset, images=to_bytes((from_bytes(dataset.images) - 0.5) * 4 + 0.5))


@pytest.mark.slow
def test_copies_are_found_under_dynamic_binarisation():
    """Freshly binarised training images are found; freshly binarised test images are not."""
    train, test = (sharpened(data.load("digits", split, size=28)) for split in ("train", "test"))
    stream = torch.Generator().manual_seed(0)
    copies, fresh = (to_bytes(binarise(from_bytes(images[:299]), stream)) for images in (train.images, test.images))
    rates = []
    for images in (copies, fresh):
        sampler = model(images, train=train, test=test)
        sampler.real = lambda split: binarised(train if split == "train" else test, split)
        result = metrics.evaluate(sampler)
        rates.append(result["memorization_rate"])
    assert rates[0] >= 0.9
    assert rates[1] == pytest.approx(0.01, abs=0.015)
    assert result["real_data_reference"]["memorization_rate"] == pytest.approx(0.01, abs=0.005)


def test_duplicates_among_the_training_images_do_not_hide_copies():
    train = replace(TRAIN, images=torch.cat([TRAIN.images] * 2), labels=torch.cat([TRAIN.labels] * 2))
    assert metrics.evaluate(model(TRAIN.images[:299], train=train))["memorization_rate"] == 1


def test_noise_scores_far_below_real_images():
    noise = torch.randint(256, (299, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    result = metrics.evaluate(model(noise))
    assert result["lenet_fid"] > 5 * result["real_data_reference"]["lenet_fid"]
    assert result["recall"] < 0.2
    assert result["nearest_distance"] > result["real_data_reference"]["nearest_distance"]


def test_a_conditional_model_is_sampled_with_the_labels_of_the_test_images():
    sampler = model(TEST.images[ORDER], conditional=True)
    result = metrics.evaluate(sampler)
    assert torch.equal(torch.cat(sampler.labels), TEST.labels[ORDER])
    assert result["label_accuracy"] == pytest.approx(result["classifier_accuracy"])
    wrong = metrics.evaluate(model(TEST.images[ORDER].flip(0), conditional=True))
    assert wrong["label_accuracy"] < 0.3
    assert wrong["lenet_fid"] == pytest.approx(result["lenet_fid"], rel=1e-4)  # the same images


def test_without_labels_the_metrics_of_classes_are_left_out():
    train, test = (replace(part, labels=None, classes=()) for part in (TRAIN, TEST))
    result = metrics.evaluate(model(TEST.images[ORDER], train=train, test=test))
    assert "no two classes" in result["left_out"]["classes"]
    assert "lenet_fid" not in result
    assert result["random_fid"] == pytest.approx(result["real_data_reference"]["random_fid"], abs=1e-6)
    assert result["classes"] == {}
    assert "confidence" not in result


def test_too_few_samples_for_a_covariance():
    result = metrics.evaluate(model(TEST.images[ORDER]), samples=100)
    assert result["samples"] == 100
    assert "256 are needed" in result["left_out"]["distances"]
    assert "lenet_fid" not in result
    assert "lenet_fid" not in result["real_data_reference"]
    assert result["classes_found"] == 10


def test_a_dataset_of_two_images(recwarn):
    """One for training, one for the test: distances are left out, and nothing advises a smaller step size."""
    one = [replace(part, images=part.images[:1], labels=None, classes=()) for part in (TRAIN, TEST)]
    result = metrics.evaluate(model(TEST.images[:1], train=one[0], test=one[1]))
    assert result["samples"] == 1
    assert "256 are needed" in result["left_out"]["distances"]
    assert result["nearest_distance"] == result["real_data_reference"]["nearest_distance"]
    assert not recwarn.list


def test_the_reference_is_of_as_many_images():
    few, many = (metrics.evaluate(model(TEST.images[ORDER]), count) for count in (260, 299))
    assert few["lenet_fid"] == pytest.approx(few["real_data_reference"]["lenet_fid"], abs=1e-6)
    assert few["real_data_reference"]["lenet_fid"] != pytest.approx(many["real_data_reference"]["lenet_fid"], rel=1e-3)


def test_brightness_changes_the_scores():
    kept = FeatureClassifier.cached(TRAIN, TEST)
    assert not torch.allclose(kept.features(TEST.images // 2)[0], kept.features(TEST.images)[0], atol=0.1)
    result = metrics.evaluate(model(TEST.images[ORDER] // 2))
    assert result["lenet_fid"] > 2 * result["real_data_reference"]["lenet_fid"]


def test_covariances_are_summed_in_double_precision():
    """Features a thousand away from zero, whose squares float32 does not distinguish."""
    kept = FeatureClassifier.cached(TRAIN, TEST)
    assert kept.mean.dtype == kept.covariance.dtype == torch.float64
    far = replace(kept, mean=kept.mean + 1_000)
    expected = metrics.distances_of(kept, kept.test_features)["lenet_fid"]
    shifted = (kept.test_features.double() + 1_000).float()
    assert metrics.distances_of(far, shifted)["lenet_fid"] == pytest.approx(expected, rel=1e-3)


def test_a_class_without_training_images_is_not_expected():
    train = replace(TRAIN, images=TRAIN.images[TRAIN.labels != 3], labels=TRAIN.labels[TRAIN.labels != 3])
    result = metrics.evaluate(model(TEST.images[ORDER], train=train))
    assert result["classes_found"] == result["real_data_reference"]["classes_found"] == 9
    assert 0 <= result["class_kl"] < 0.5


def test_progress_counts_samples():
    reported = []
    metrics.evaluate(model(TEST.images[ORDER]), progress=reported.append)
    assert sum(reported) == len(TEST)
