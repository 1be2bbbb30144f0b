"""Every kind of network in the classifier: a gradient step, two seeds, auxiliary classifiers."""

import copy

import pytest
import torch

from rlgen.core.config import resolve
from rlgen.core.settings import Setup
from rlgen.networks import NETWORKS
from rlgen.supervised import settings
from rlgen.supervised.classifier import Classifier
from tests.networks.test_networks import FAMILIES


def build(network, **options):
    size = 32 if network == "alexnet" else 12
    width = {"width": 0.1} if "width" in NETWORKS[network].takes else {}
    small = {"network": network, "batch": 8, "size": size, "train_images": 200, **width, **options}
    return Classifier("digits", resolve(settings.Classifier, small), Setup(threads=1))


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("network", FAMILIES)
def test_a_step_moves_every_weight(network, seeds):
    classifier = build(network, seeds=seeds, lr=0.01)
    before = {name: weight.clone() for name, weight in classifier.network.named_parameters()}
    metrics = classifier.step()
    assert metrics["loss"].shape == (seeds,)
    assert metrics["loss"].isfinite().all()
    still = {name for name, weight in classifier.network.named_parameters() if torch.equal(weight, before[name])}
    assert {name for name in still if name.endswith("weight")} == set()


@pytest.mark.parametrize("seeds", [1, 2])
def test_auxiliary_classifiers_are_part_of_the_loss(seeds):
    classifier = build("googlenet", auxiliary=True, seeds=seeds)
    classifier.step()
    heads = classifier.network.network.auxiliary_heads
    assert len(heads) == 2
    assert all(weight.grad.abs().sum() > 0 for weight in heads.parameters() if weight.dim() > seeds)


def test_a_network_can_be_copied_after_a_training_pass():
    classifier = build("googlenet", auxiliary=True)
    classifier.step()
    network = classifier.network.network
    assert len(network.auxiliary) == 2
    copied = copy.deepcopy(network)
    assert copied.auxiliary == ()
    assert len(network.auxiliary) == 2
