"""The classifier on digits: data splits, training, evaluation, prediction. The traps of image classifiers."""

import math

import numpy as np
import pytest
import torch

from rlgen import data
from rlgen.core.config import resolve
from rlgen.core.errors import UserError
from rlgen.core.settings import Setup
from rlgen.supervised import settings
from rlgen.supervised.classifier import Classifier
from rlgen.supervised.losses import cross_entropy

SMALL = {"width": 0.25, "batch": 64}


def build(seed=0, **options):
    config = resolve(settings.Classifier, {**SMALL, **options})
    return Classifier("digits", config, Setup(seed=seed, threads=1))


def train(classifier, steps):
    for _ in range(steps):
        metrics = classifier.step()
    return metrics


@pytest.fixture(scope="module")
def trained():
    classifier = build(network="fast", lr=5e-3)
    train(classifier, 120)
    return classifier


def test_a_network_learns_digits(trained):
    assert trained.evaluate()["eval_validation_accuracy"].item() > 0.9
    assert trained.report(0, 0).values["accuracy"] > 0.9


def test_the_untrained_loss_is_that_of_equal_scores():
    classifier = build(network="linear", init="zeros")
    assert classifier.evaluate()["eval_train_loss"].item() == pytest.approx(math.log(10), rel=1e-5)


def test_training_and_validation_images_share_none_and_hold_every_class():
    classifier = build()
    whole = len(classifier.train_set) + len(classifier.validation_set)
    assert whole == len(data.load("digits", "train"))
    assert 0.05 * whole < len(classifier.validation_set) < 0.15 * whole
    rows = {images.numpy().tobytes() for images in classifier.train_set.images}
    assert not any(images.numpy().tobytes() in rows for images in classifier.validation_set.images)
    for split in (classifier.train_set, classifier.validation_set):
        assert split.labels.unique().numel() == 10


def test_without_a_validation_split_the_test_images_are_measured_and_choose_nothing():
    classifier = build(validation=0.0)
    assert classifier.score is None
    assert {name for name in classifier.evaluate() if name.startswith("eval_test")}
    assert build().score in build().evaluate()


def test_statistics_are_of_the_training_images_alone(monkeypatch):
    """Trap: mean and deviation of test images. Other test images leave them as they are."""
    before, load = build(), data.load

    def brighter(task, split, **options):
        found = load(task, split, **options)
        return found if split == "train" else type(found)(found.name, 255 - found.images, found.labels, found.classes)

    monkeypatch.setattr(data, "load", brighter)
    after = build()
    assert torch.equal(before.mean, after.mean)
    assert torch.equal(before.std, after.std)
    normal = after.normalize(after.train_set.images / 255)
    assert normal.mean().item() == pytest.approx(0, abs=1e-3)
    assert normal.std().item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("validation", [0.0, 0.1])
def test_the_test_labels_choose_nothing(monkeypatch, validation):
    """Trap: the test set picks the epoch. With permuted test labels weights and the score that ranks are the same."""

    def trained_weights():
        classifier = build(network="mlp", depth=1, validation=validation)
        train(classifier, 12)
        found = classifier.evaluate()
        return classifier, None if classifier.score is None else found[classifier.score]

    honest, score = trained_weights()
    load = data.load

    def permuted(task, split, **options):
        found = load(task, split, **options)
        if split == "train":
            return found
        return type(found)(found.name, found.images, found.labels.roll(1), found.classes)

    monkeypatch.setattr(data, "load", permuted)
    other, same = trained_weights()
    for a, b in zip(honest.ema.parameters(), other.ema.parameters(), strict=True):
        assert torch.equal(a, b)
    assert score == same


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_a_prediction_is_that_of_the_image_in_any_batch(norm):
    """Trap: batch normalisation left in training mode."""
    classifier = build(network="fast", norm=norm, dropout=0.3)
    train(classifier, 10)
    images = classifier.test_set.images[:20]
    together = classifier.predict(images)
    alone = np.concatenate([classifier.predict(images[i : i + 1]) for i in range(20)])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(together.sum(1), 1, rtol=1e-5)


def test_a_last_minibatch_of_one_image_can_be_trained_on(monkeypatch):
    load = data.load
    monkeypatch.setattr(data, "load", lambda *a, **k: load(*a, **k).take(slice(0, 129)))
    classifier = build(network="fast", batch=128, validation=0.0)
    train(classifier, 3)
    assert classifier.time == 3 * 129


def test_averaged_statistics_of_batch_normalisation_fit_the_averaged_weights(trained):
    """Trap: EMA without buffers. Statistics estimated anew for the averaged weights change little."""
    accuracy = trained.evaluate()["eval_validation_accuracy"].item()
    norms = [module for module in trained.ema.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    saved = [(module.running_mean.clone(), module.running_var.clone()) for module in norms]
    for module in norms:
        module.reset_running_stats()
        module.momentum = 1.0  # those of one batch, of all images
    trained.ema.train()
    with torch.no_grad():
        trained.ema(trained.normalize(trained.train_set.images / 255)[None])
    trained.ema.eval()
    anew = trained.evaluate()["eval_validation_accuracy"].item()
    for module, (mean, variance) in zip(norms, saved, strict=True):
        module.running_mean, module.running_var, module.momentum = mean, variance, 0.1
    assert abs(accuracy - anew) < 0.01 + 1 / len(trained.validation_set)


def test_evaluation_is_without_augmentation_smoothing_and_dropout():
    classifier = build(network="mlp", dropout=0.5, augment="shift,noise", label_smoothing=0.2)
    train(classifier, 5)
    first, second = classifier.evaluate(), classifier.evaluate()
    assert first == second
    scores, labels = classifier.logits(classifier.validation_set.images), classifier.validation_set.labels
    assert first["eval_validation_loss"].item() == pytest.approx(cross_entropy(scores[0], labels).mean().item())


def test_the_digits_of_the_presets_are_not_mirrored():
    from rlgen.catalog import find

    for task in ("mnist", "digits"):
        layers = find("classify").presets(task)
        assert not any("flip" in layer.get("augment", "") for layer in layers)


def test_evaluation_leaves_the_training_as_it_is():
    plain, watched = (build(network="mlp", dropout=0.2, augment="shift") for _ in range(2))
    for _ in range(6):
        plain.step()
        watched.evaluate()
        watched.step()
        watched.report(0, 0)
    for a, b in zip(plain.network.parameters(), watched.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_seeds_differ_and_the_first_is_that_of_one_alone():
    alone, several = (build(network="mlp", depth=1, seeds=s, ema=0.0, validation=0.0) for s in (1, 3))
    for _ in range(5):
        alone.step(), several.step()
    ones, stacks = dict(alone.network.named_parameters()), dict(several.network.named_parameters())
    for name, stack in stacks.items():
        torch.testing.assert_close(stack[0], ones[name], rtol=1e-4, atol=1e-6)
        assert not torch.equal(stack[0], stack[1])
    found = several.report(0, 0)
    assert len(found.values["per_seed"]) == 3
    assert found.values["accuracy"] == pytest.approx(np.mean(found.values["per_seed"]))


def test_gradient_descent_takes_all_images_in_parts():
    """One step of plain gradient descent equals a step with one minibatch of all images."""
    options = {"network": "linear", "lr": 0.1, "ema": 0.0, "validation": 0.0}
    whole = build(optimizer="gd", **options)
    batch = build(optimizer="sgd", **{**options, "batch": 10_000})
    whole.step(), batch.step()
    assert whole.time == batch.time == len(whole.train_set)
    for a, b in zip(whole.network.parameters(), batch.network.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_images_of_another_shape_are_refused(trained):
    with pytest.raises(UserError, match=r"images of shape \(2, 3, 8, 8\): this classifier takes"):
        trained.predict(np.zeros((2, 3, 8, 8), np.uint8))


def test_bytes_and_numbers_between_0_and_1_are_the_same_image(trained):
    images = trained.test_set.images[:5]
    expected = trained.predict(images)
    np.testing.assert_allclose(trained.predict(images.numpy() / 255), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(trained.predict(images[:, 0]), expected)


def test_a_few_test_images_are_drawn_by_the_seed(trained):
    found = [trained.report(50, seed).values for seed in (0, 0, 1)]
    assert [each["images"] for each in found] == [50] * 3
    assert found[0] == found[1] != found[2]


def test_lbfgs_ends_at_a_minimum_and_the_plateau_receives_scores():
    classifier = build(network="linear", optimizer="lbfgs", weight_decay=1.0, precision="float32")
    for _ in range(60):
        classifier.step()
        if classifier.finished:
            break
    assert classifier.finished
    classifier = build(network="linear", schedule="plateau", lr=0.1, lr_patience=1)
    for _ in range(2):
        classifier.scored(0.5)
    assert classifier.step()["lr"] == pytest.approx(0.01)


@pytest.mark.parametrize("random", [{"augment": "shift"}, {"dropout": 0.5}])
@pytest.mark.parametrize("optimizer", ["lbfgs", "newton"])
def test_rules_with_several_losses_per_step_take_no_random_draws(optimizer, random):
    config = resolve(settings.Classifier, {"network": "mlp", "optimizer": optimizer, **random})
    with pytest.raises(UserError, match=f"--optimizer {optimizer} computes one loss several times per step"):
        config.check(random)
    resolve(settings.Classifier, {"network": "mlp", "optimizer": optimizer}).check([])
