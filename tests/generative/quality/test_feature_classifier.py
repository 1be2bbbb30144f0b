from dataclasses import replace

import pytest
import torch

from rlgen import data
from rlgen.data import idx
from rlgen.generative.quality import feature_classifier
from rlgen.generative.quality.feature_classifier import FeatureClassifier

TRAIN, TEST = data.load("digits"), data.load("digits", "test")


@pytest.fixture(scope="module", autouse=True)
def _elsewhere(tmp_path_factory):
    """A cache of its own, and a training of a second."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setattr(idx, "cache", lambda: folder)
        patch.setattr(feature_classifier, "STEPS", 150)
        yield


def test_training_is_the_same_to_the_bit_for_any_number_of_threads():
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = FeatureClassifier.fit("one", TRAIN, TEST)
        torch.set_num_threads(2)
        torch.manual_seed(5)
        other = FeatureClassifier.fit("other", TRAIN, TEST)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(value, other.network[name]) for name, value in one.network.items())


def test_the_cache_is_read_and_a_damaged_entry_replaced(monkeypatch):
    kept = FeatureClassifier.cached(TRAIN, TEST)
    learn = FeatureClassifier.fit
    monkeypatch.setattr(FeatureClassifier, "fit", None)  # not needed again
    again = FeatureClassifier.cached(TRAIN, TEST)
    assert torch.equal(again.covariance, kept.covariance)
    assert torch.equal(again.features(TEST.images[:9])[1], kept.features(TEST.images[:9])[1])
    file = idx.cache() / "feature-classifiers" / kept.name / "tensors.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    monkeypatch.setattr(FeatureClassifier, "fit", learn)
    assert torch.equal(FeatureClassifier.cached(TRAIN, TEST).mean, kept.mean)
    monkeypatch.setattr(FeatureClassifier, "fit", None)
    assert torch.equal(FeatureClassifier.cached(TRAIN, TEST).mean, kept.mean)


def test_other_images_have_another_entry():
    fewer = replace(TRAIN, images=TRAIN.images[:-1], labels=TRAIN.labels[:-1])
    names = {feature_classifier._digest(train, TEST) for train in (TRAIN, fewer)}
    assert len(names) == 2


def test_classification_leaves_the_weights_as_they_are():
    kept = FeatureClassifier.cached(TRAIN, TEST)
    before = {name: value.clone() for name, value in kept.network.items()}
    features, logits = kept.features(TEST.images)
    assert features.shape == (299, 128)
    assert not logits.requires_grad
    torch.testing.assert_close(kept.classify(features), logits)
    assert all(torch.equal(value, before[name]) for name, value in kept.network.items())


def test_logits_are_of_each_image_by_itself():
    """The logits of an image are the same alone and among others, in the order of the images."""
    kept = FeatureClassifier.cached(TRAIN, TEST)
    features, logits = kept.features(TEST.images[:40])
    for i in (0, 17, 39):
        alone = kept.features(TEST.images[i : i + 1])
        torch.testing.assert_close((features[i : i + 1], logits[i : i + 1]), alone, atol=1e-4, rtol=1e-4)
    assert (logits.argmax(1) == TEST.labels[:40]).double().mean() > 0.85


def test_statistics_are_those_of_the_features():
    kept = FeatureClassifier.cached(TRAIN, TEST)
    features, _ = kept.features(TRAIN.images)
    torch.testing.assert_close(kept.mean, features.double().mean(0))
    torch.testing.assert_close(kept.covariance, features.double().T.cov())
    torch.testing.assert_close(kept.shares, TRAIN.labels.bincount(minlength=10).double() / len(TRAIN))
    order = feature_classifier.shuffled(len(TRAIN))
    torch.testing.assert_close(kept.reference, features[order][:10_000], atol=1e-4, rtol=1e-4)
