"""Ensembles and cross-validation on digits: the members, their votes, what a member is trained on."""

import math

import numpy as np
import pytest
import torch

from rlgen.core.config import resolve
from rlgen.core.errors import UserError
from rlgen.core.settings import Setup
from rlgen.supervised import settings
from rlgen.supervised.classifier import Classifier
from rlgen.supervised.ensembles import boost, mean_probability


def build(seed=0, **options):
    config = resolve(settings.Classifier, {"network": "linear", "batch": 100, "ema": 0.5, "lr": 0.01, **options})
    return Classifier("digits", config, Setup(seed=seed, threads=1))


def train(classifier, images):
    while classifier.time < images:
        classifier.step()
    return classifier


def trained(**options):
    return train(build(lr_steps=4_000, members=4, **options), 4_000)


def cross_entropy(log_p, labels):
    return -log_p.gather(1, labels.unsqueeze(1)).mean().item()


def test_the_loss_of_the_mean_probability_is_at_most_the_mean_loss():
    generator = torch.Generator().manual_seed(0)
    for spread in (0.1, 1.0, 10.0):
        scores = spread * torch.randn(5, 200, 7, generator=generator)
        labels = torch.randint(7, (200,), generator=generator)
        losses = [cross_entropy(each.log_softmax(1), labels) for each in scores]
        assert cross_entropy(mean_probability(scores), labels) < np.mean(losses)
    np.testing.assert_allclose(mean_probability(scores).exp().sum(1), 1, rtol=1e-5)


def test_after_a_round_of_boosting_the_error_of_the_member_is_that_of_chance():
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand(400, generator=generator, dtype=torch.float64)
    weights /= weights.sum()
    for classes, share in ((2, 0.3), (10, 0.05), (10, 0.6)):
        wrong = torch.rand(400, generator=generator) < share
        error = weights[wrong].sum().item()
        vote, grown = boost(weights, wrong, classes)
        assert vote == pytest.approx(math.log((1 - error) / error) + math.log(classes - 1))
        assert grown.sum().item() == pytest.approx(1)
        assert grown[wrong].sum().item() == pytest.approx(1 - 1 / classes)


def test_members_without_error_or_no_better_than_chance():
    weights = torch.full((100,), 0.01, dtype=torch.float64)
    vote, same = boost(weights, torch.zeros(100, dtype=torch.bool), 10)
    assert vote == pytest.approx(math.log(0.995 / 0.005) + math.log(9))
    assert torch.equal(same, weights)
    for wrong in (torch.arange(100) < 95, torch.ones(100, dtype=torch.bool)):
        vote, equal = boost(2 * weights, wrong, 10) if wrong.all() else boost(weights, wrong, 10)
        assert vote == 0
        assert torch.equal(equal, weights)


@pytest.mark.parametrize("ensemble", ["average", "bagging", "boosting", "snapshot"])
def test_members_differ_and_predict_together(ensemble):
    """Trap: members of one seed."""
    classifier = trained(ensemble=ensemble)
    images, labels = classifier.test_set.images, classifier.test_set.labels
    members, combined = classifier.member_logits(images), classifier.logits(images)
    assert members.shape == (4, len(images), 10)
    assert combined.shape == (1, len(images), 10)
    assert min((a - b).abs().max() for i, a in enumerate(members) for b in members[:i]) > 1e-3
    if ensemble == "boosting":
        votes = torch.nn.functional.one_hot(members.argmax(2), 10) * classifier.ensemble.votes.view(-1, 1, 1)
        assert torch.equal(combined[0].argmax(1), votes.sum(0).argmax(1))
    else:
        np.testing.assert_allclose(classifier.predict(images), members.softmax(2).mean(0), rtol=1e-4, atol=1e-6)
    found = classifier.report(0, 0)
    right = (members.argmax(2) == labels).double().mean(1)
    assert found.values["members"]["accuracy"] == pytest.approx(right.tolist())
    assert found.values["accuracy"] == pytest.approx((combined[0].argmax(1) == labels).double().mean().item())
    assert found.values["accuracy"] > (0.7 if ensemble == "boosting" else 0.9)  # its later members have hard images
    assert "members accuracy of each" in found.lines[1]
    assert classifier.evaluate()["eval_validation_accuracy"].shape == (1,)


def test_bootstrap_samples_hold_1_minus_1_over_e_of_the_images():
    lists = build(ensemble="bagging", members=8).ensemble.lists
    n = lists.shape[1]
    shares = torch.tensor([each.unique().numel() / n for each in lists])
    assert shares.mean().item() == pytest.approx(1 - 1 / math.e, abs=0.01)
    assert shares.unique().numel() > 1


def test_each_member_is_trained_on_its_own_list():
    classifier = build(ensemble="bagging", members=3)
    index = classifier.order.next_index()
    x, y, _ = classifier.minibatch(index)
    for k, (own, images) in enumerate(zip(classifier.ensemble.lists, index, strict=True)):
        assert torch.equal(y[k], classifier.labels[own[images]])
        torch.testing.assert_close(x[k], classifier.normalize(classifier.train_set.images[own[images]] / 255))
    assert not torch.equal(y[0], y[1])


def test_boosting_draws_the_images_the_members_before_had_wrong():
    classifier = build(ensemble="boosting", members=3, lr_steps=600, lr=1e-3, init="gaussian")
    first = classifier.network.network.state_dict()["head.weight"].clone()
    train(classifier, 200)
    ensemble = classifier.ensemble
    assert ensemble.done == 1
    wrong = ensemble.finished[0](classifier.normalize(classifier.train_set.images / 255)[None])[0].argmax(1)
    wrong = wrong != classifier.train_set.labels
    assert ensemble.weights[wrong].sum().item() == pytest.approx(0.9)
    assert wrong[ensemble.lists[0]].double().mean().item() == pytest.approx(0.9, abs=0.03)
    assert classifier.steps == 0
    assert classifier.optimization.steps == 0
    now = classifier.network.network.state_dict()["head.weight"]
    assert not torch.equal(now, first)  # new weights, not those of the member before
    assert now.abs().max() < 0.2


def test_the_rate_of_snapshots_falls_once_per_member():
    classifier = build(ensemble="snapshot", members=2, lr_steps=2_000)
    rates = []
    while classifier.time < 2_000:
        rates.append(classifier.step()["lr"])
    assert rates[0] == rates[10] == 0.01
    assert rates[:10] == sorted(rates[:10], reverse=True)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[9] < 0.001
    assert classifier.ensemble.done == 2


def test_before_the_first_member_is_finished_the_one_in_training_predicts():
    classifier = build(ensemble="boosting", members=2, lr_steps=2_000)
    train(classifier, 500)
    assert classifier.member_logits(classifier.test_set.images[:5]).shape == (1, 5, 10)
    assert classifier.predict(classifier.test_set.images[:5]).shape == (5, 10)


def test_a_network_of_cross_validation_is_trained_without_its_fold():
    classifier = build(folds=4)
    folds, lists = classifier.ensemble.folds, classifier.ensemble.lists
    for k, images in enumerate(lists):
        assert set(images.tolist()) == set((folds != k).nonzero().squeeze(1).tolist())
    assert len(classifier.validation_set) == 0
    assert not classifier.held_out.any()
    assert folds.bincount().min() > 250


def test_out_of_fold_scores_are_of_the_network_that_never_had_the_image():
    """Trap: stacking on training predictions."""
    classifier = train(build(folds=3, train_images=600), 3_000)
    index = classifier.unseen().nonzero().squeeze(1)
    assert len(index) == 600
    scores = classifier.unseen_scores(index)
    everything = torch.cat([classifier.train_set.images, classifier.test_set.images[:0]])
    members = classifier.member_logits(everything).log_softmax(2)
    order = classifier.train_index.argsort()  # of the training set, as in the dataset
    folds = classifier.ensemble.folds[order]
    expected = members[:, order][folds, torch.arange(600)]
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-5)
    report = classifier.report(0, 0)
    assert "interval over 3 folds" in report.lines[0]
    found = report.values["folds"]
    labels = classifier.train_set.labels[order]
    assert found["accuracy"] == pytest.approx((scores.argmax(1) == labels).double().mean().item())
    assert len(found["each"]) == 3
    np.testing.assert_allclose(
        classifier.predict(classifier.test_set.images),
        classifier.logits(classifier.test_set.images).softmax(2).mean(0),
        rtol=1e-4, atol=1e-6,
    )  # fmt: skip


def test_the_evaluation_of_folds_is_on_images_of_the_own_fold():
    classifier = train(build(folds=3), 3_000)
    found = classifier.evaluate()
    assert found["eval_validation_accuracy"].shape == (3,)
    folds, labels = classifier.ensemble.folds, classifier.train_set.labels
    for k, scores in enumerate(classifier.logits(classifier.train_set.images)):
        right = (scores.argmax(1) == labels).double()
        assert found["eval_validation_accuracy"][k].item() == pytest.approx(right[folds == k].mean().item())
        assert found["eval_train_accuracy"][k].item() == pytest.approx(right[folds != k].mean().item())
    assert classifier.score == "eval_validation_accuracy"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ensemble": "average", "seeds": 3}, "--ensemble average and --seeds 3: each trains several networks"),
        ({"folds": 3, "seeds": 3}, "--seeds 3 and --folds 3"),
        ({"folds": 3, "ensemble": "boosting"}, "--ensemble boosting and --folds 3"),
        ({"folds": 1}, "--folds 1: cross-validation needs at least 2 folds"),
    ],
)
def test_contradictions_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        resolve(settings.Classifier, options).check(options)


def test_options_without_effect_are_named():
    unused = {name: set(resolve(settings.Classifier, {"ensemble": name}).unused()) for name in ("bagging", "snapshot")}
    assert not {"members", "schedule"} & unused["bagging"]
    assert {"schedule"} <= unused["snapshot"]
    assert "lr_steps" in unused["bagging"]
    assert "lr_steps" not in unused["snapshot"]
    assert "members" in resolve(settings.Classifier, {}).unused()
    assert "validation" in resolve(settings.Classifier, {"folds": 4}).unused()


def test_more_folds_than_images_of_a_class_are_refused():
    with pytest.raises(UserError, match="too few for 200 folds"):
        build(folds=200)


def test_a_learning_rate_lowered_after_a_divergence_is_that_of_later_members_too():
    """A rollback halves the rate of a member of boosting; the next member begins with an optimiser of its own."""
    classifier = build(lr_steps=400, members=2, ensemble="boosting")
    first = classifier.optimization
    first.rate_factor = 0.5
    train(classifier, 300)
    assert classifier.optimization is not first
    assert classifier.optimization.rate_factor == 0.5
