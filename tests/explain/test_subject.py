from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from rlgen import data, networks
from rlgen.core.errors import UserError
from rlgen.core.seeds import Seeds
from rlgen.explain.subjects import subject_of
from rlgen.networks.settings import NetworkSettings


def classifier(network="fast", count=1, size=8, **settings):
    """What an explanation reads of a classifier of digits."""
    images, shape = data.load("digits", "test", size=size), (1, size, size)
    config = NetworkSettings(network=network, **settings)
    copies = Seeds(lambda: networks.build(network, shape, 10, config), count).eval()
    return SimpleNamespace(
        config=config, ema=copies, ensemble=SimpleNamespace(networks=lambda: [copies]), shape=shape,
        classes=images.classes, test_set=images,
        mean=torch.tensor([0.3]), std=torch.tensor([0.4]),
    )  # fmt: skip


def test_the_network_is_that_of_the_classifier_in_evaluation_mode():
    trained = classifier()
    subject = subject_of(trained, "run")
    x = subject.normalize(subject.images[:4])
    assert torch.equal(subject.network(x), trained.ema(x[None])[0])
    assert not subject.network.training
    assert not any(weight.requires_grad for weight in subject.network.parameters())
    assert subject.network is not trained.ema.network


def test_a_member_is_one_of_several_networks():
    trained = classifier(count=3)
    x = subject_of(trained, "run").normalize(trained.test_set.images[:4])
    every = trained.ema(x.expand(3, *x.shape))
    for s in range(3):
        torch.testing.assert_close(subject_of(trained, "run", s).network(x), every[s])
    with pytest.raises(UserError, match="--member 3: this run has the members 0 to 2"):
        subject_of(trained, "run", 3)


def test_members_that_were_trained_one_after_the_other():
    trained, other = classifier(), classifier()
    trained.ensemble.networks = lambda: [trained.ema, other.ema]
    x = subject_of(trained, "run").normalize(trained.test_set.images[:4])
    assert torch.equal(subject_of(trained, "run", 1).network(x), other.ema(x[None])[0])


@pytest.mark.parametrize("network", ["linear", "fast", "mlp"])
def test_fresh_networks_have_random_weights_of_their_seed(network):
    subject = subject_of(classifier(network), "run")
    x = subject.normalize(subject.images[:4])
    a, b, c = (subject.fresh(seed)(x) for seed in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.allclose(a, c)
    assert a.std() > 1e-3  # also where the network itself starts from zeros


def test_settings_of_a_fresh_network_are_those_of_the_run():
    trained = classifier("mlp", width=0.25, depth=1)
    assert subject_of(trained, "run").fresh(0).head.in_features == 128
    assert trained.config == replace(trained.config)


def test_the_baseline_is_the_mean_colour():
    subject = subject_of(classifier(), "run")
    assert subject.baseline.tolist() == [0.0]
    assert torch.allclose(subject.pixels(subject.baseline.view(1, 1, 1, 1)), torch.tensor(0.3))
    x = subject.images[:3]
    assert torch.allclose(subject.pixels(subject.normalize(x)), x / 255, atol=1e-6)


def test_images_are_chosen_one_of_each_class_first():
    subject = subject_of(classifier(), "run")
    index = subject.choose(10, 0)
    assert sorted(subject.labels[index].tolist()) == list(range(10))
    assert subject.choose(25, 0)[:10].tolist() == index.tolist()
    assert len(set(subject.choose(25, 0).tolist())) == 25
    assert subject.choose(10, 1).tolist() != index.tolist()
    assert len(subject.choose(10**6, 0)) == len(subject.labels)


def test_classes_by_name_and_number():
    subject = subject_of(classifier(), "run")
    named = replace(subject, classes=("cat", "dog"))
    assert (subject.class_index("7"), named.class_index("dog"), named.class_index("0")) == (7, 1, 0)
    for text in ("bird", "2", "-1"):
        with pytest.raises(UserError, match=f"--class {text}: the classes of this run are cat, dog"):
            named.class_index(text)
