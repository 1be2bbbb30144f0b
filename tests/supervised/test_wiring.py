"""Every setting of a classifier configures what it names; those of networks and optimisers have tests of their own."""

from dataclasses import fields

import pytest
import torch

from rlgen import data
from rlgen.core.config import resolve
from rlgen.core.optim.settings import OptimizerSettings
from rlgen.core.settings import Setup
from rlgen.networks.settings import NetworkSettings
from rlgen.supervised import settings
from rlgen.supervised.classifier import Classifier
from tests.wiring import Effect, check_effect, every_field

SMALL = {"network": "mlp", "depth": 1, "width": 0.1, "batch": 64, "precision": "float32"}
LOADED = []  # arguments of the functions that load images


@pytest.fixture(autouse=True)
def loading(monkeypatch):
    """Record how images are loaded."""
    load = data.load

    def spy(task, split, **given):
        LOADED.append(given)
        return load(task, split, **{**given, "data": None})

    monkeypatch.setattr(data, "load", spy)


def build(**options):
    return Classifier("digits", resolve(settings.Classifier, {**SMALL, **options}), Setup(threads=1))


def loaded(name):
    return lambda classifier: LOADED[-1][name]


def brightest(classifier):
    """The largest pixel of a minibatch in units of its deviation, and whether images were mixed."""
    x, _, mixed = classifier.minibatch(classifier.order.next_index())
    return round(x.max().item(), 3), mixed is not None


def loss_of_zeros(classifier):
    return classifier.training_loss(torch.zeros(1, 10), torch.tensor([0])).item()


def loss_of_certainty(classifier):
    """The training loss of a logit of 10 for the label."""
    return classifier.training_loss(10 * torch.eye(10)[:1], torch.tensor([0])).item()


def lag(classifier):
    """The share of the last step in the averaged weights, after many steps."""
    classifier.steps = 10**6
    before = [weight.clone() for weight in classifier.ema.parameters()]
    classifier.step()
    moved = [(a - b).abs().sum() for a, b in zip(classifier.ema.parameters(), before, strict=True)]
    whole = [(a - b).abs().sum() for a, b in zip(classifier.network.parameters(), before, strict=True)]
    return round((sum(moved) / sum(whole)).item(), 3)


def output_type(classifier):
    found = []
    classifier.network.network.head.register_forward_hook(lambda module, inputs, output: found.append(output.dtype))
    classifier.step()
    return found[0]


EFFECTS = {
    "data": Effect("elsewhere", loaded("data"), "elsewhere"),
    "size": Effect(12, lambda classifier: classifier.shape, (1, 12, 12)),
    "skip_bad": Effect(True, loaded("skip_bad"), True),
    "train_images": Effect(200, lambda c: len(c.train_set), 200),
    "only_classes": Effect("3,5", lambda c: (c.classes, sorted(c.labels.unique().tolist())), (("3", "5"), [0, 1])),
    "validation": Effect(0.5, lambda classifier: round(len(classifier.validation_set) / 1498, 1), 0.5),
    "batch": Effect(32, lambda classifier: classifier.order.next_index().shape[1], 32),
    "loss": Effect("svm", loss_of_zeros, 9.0),
    "label_smoothing": Effect(0.2, loss_of_certainty, 1.8004539),
    "ema": Effect(0.9, lag, 0.1),
    "precision": Effect("bfloat16", output_type, torch.bfloat16),
    "augment": Effect("mixup", lambda classifier: brightest(classifier)[1], True),
    "init_from": Effect("five", lambda c: c.describe_task().get("weights"), "those of five"),
    "freeze": Effect("1", lambda c: c.network.network.body.hidden1[0].weight.requires_grad, False),
    "seeds": Effect(3, lambda classifier: classifier.logits(classifier.test_set.images[:2]).shape[0], 3),
    "ensemble": Effect("average", lambda classifier: classifier.network.count, 8),
    "members": Effect(3, lambda classifier: classifier.network.count, 3, {"ensemble": "average"}),
    "folds": Effect(4, lambda classifier: classifier.network.count, 4),
}
ELSEWHERE = [f.name for group in (NetworkSettings, OptimizerSettings) for f in fields(group)]


@pytest.mark.parametrize("name", every_field(settings.Classifier, EFFECTS, without=ELSEWHERE))
def test_the_option_has_its_effect(name):
    check_effect(build, name, EFFECTS)


def test_the_settings_of_the_optimiser_arrive_as_they_are():
    classifier = build(lr=0.25, optimizer="momentum")
    assert classifier.optimization.settings is classifier.config
    assert classifier.step()["lr"] == 0.25


def test_the_settings_of_the_network_arrive():
    assert build(width=0.5).parameter_count() > build(width=0.1).parameter_count()
    assert type(build(network="linear", depth=None, width=1.0).network.network).__name__ == "LinearClassifier"
