from dataclasses import replace

import numpy as np
import pytest
import torch

from rlgen import catalog, preparation
from rlgen.core.config import resolve
from rlgen.core.errors import UserError
from rlgen.core.images import from_bytes
from rlgen.core.settings import Setup
from rlgen.explain import explanation
from rlgen.explain.gradients import saliency
from rlgen.explain.occlusion import occlusion
from rlgen.explain.sanity import cascade
from rlgen.explain.subjects import subject_of

SETUP = Setup(device="cpu", threads=1)


def made(name, task, **settings):
    entry = catalog.find(name)
    given = {"learning_starts": 50, **settings} if entry.kind.name == "agent" and name != "qlearning" else settings
    config = resolve(entry.config, entry.preset, given)
    return preparation.make(entry, entry.kind.tasks.resolve(task), config, SETUP)


def pixel_agent(name="dqn", task="Catch", **settings):
    return made(name, task, width=16, num_envs=1, buffer_size=500, eval_episodes=2, **settings)


def gan(task="digits", **settings):
    return made("gan", task, size=16, width=4, discriminator_width=4, latent=4, **settings)


VARIANTS = {
    "plain": {},
    "dueling": {"dueling": True},
    "C51": {"atoms": 5},
    "quantiles": {"quantiles": 3},
    "noisy": {"noisy": True},
    "encoder": {"encoder": "fast"},
    "seeds": {"seeds": 2},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_scores_of_an_agent_are_its_q_values(variant):
    agent = pixel_agent(**VARIANTS[variant])
    subject = subject_of(agent, "run")
    observations = subject.images[:5].numpy()
    q = subject.network(subject.normalize(subject.images[:5]))
    np.testing.assert_allclose(q.numpy(), agent.values(observations).q, rtol=1e-4, atol=1e-5)
    assert subject.classes == ("left", "stay", "right")
    assert subject.labels[:5].tolist() == q.argmax(1).tolist()
    assert not any(weight.requires_grad for weight in subject.network.parameters())


def test_the_second_seed_of_an_agent():
    agent = pixel_agent(seeds=2)
    one, two = (subject_of(agent, "run", s) for s in (0, 1))
    x = one.normalize(one.images[:3])
    with torch.no_grad():
        both = agent.value.mean(agent.q(torch.stack([x, x])))
    torch.testing.assert_close(one.network(x), both[0])
    torch.testing.assert_close(two.network(x), both[1])
    with pytest.raises(UserError, match="--member 2: this run has the members 0 to 1"):
        subject_of(agent, "run", 2)


def test_the_gradient_of_a_q_value_is_that_of_finite_differences():
    agent = pixel_agent()
    subject = subject_of(agent, "run")
    network, x = subject.network.double(), subject.normalize(subject.images[:1]).double()
    x = x + 0.3 * torch.rand(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)  # off the kinks
    target, step = torch.tensor([2]), 1e-6
    gradient = saliency(network, x, target)
    for place in ((0, 0, 9, 4), (0, 1, 3, 3), (0, 2, 5, 8)):
        moved = x.clone()
        moved[place] += step
        expected = (network(moved) - network(x))[0, 2] / step
        assert gradient[place].item() == pytest.approx(expected.item(), rel=1e-3, abs=1e-6)


def test_occlusion_of_an_agent_is_the_fall_of_its_q_value():
    subject = subject_of(pixel_agent(), "run")
    x = subject.normalize(subject.images[:1])
    found = occlusion(subject.network, x, torch.tensor([1]), subject.baseline, 2, 2)
    covered = x.clone()
    covered[:, :, 2:4, 6:8] = subject.baseline.view(-1, 1, 1)
    fall = subject.network(x)[0, 1] - subject.network(covered)[0, 1]
    assert found[0, 2, 7].item() == pytest.approx(fall.item(), abs=1e-6)


def test_random_networks_of_an_agent_are_new_and_share_the_blocks_kept():
    subject = subject_of(pixel_agent(depth=2), "run")
    x = subject.normalize(subject.images[:4])
    a, again, b = (subject.fresh(seed)(x) for seed in (0, 0, 1))
    assert torch.equal(a, again)
    assert not torch.allclose(a, b)
    assert list(dict(subject.network.body.named_children())) == ["conv1", "flatten", "linear1"]
    kept = cascade(subject.network, subject.fresh(0), 3)
    torch.testing.assert_close(kept.features(x), subject.network.features(x))
    assert not torch.allclose(kept(x), subject.network(x))


@pytest.mark.parametrize("settings", [{}, {"spectral_norm": False}, {"architecture": "residual"}, {"loss": "lsgan"}])
def test_scores_of_a_discriminator_are_its_logit_either_way(settings):
    model = gan(**settings)
    subject = subject_of(model, "run")
    assert subject.classes == ("generated", "real")
    x = subject.images[[0, 1, -1]]
    model.discriminator.eval()
    with torch.no_grad():
        logit = model.discriminator(from_bytes(x)) - model.adversarial_loss.decision_threshold
    torch.testing.assert_close(subject.network(subject.normalize(x)), torch.stack([-logit, logit], 1))
    assert subject.labels[[0, -1]].tolist() == [1, 0]
    assert torch.equal(subject.images[0], model.test_set.images[0])
    fresh = subject.fresh(0)(subject.normalize(x))
    assert not torch.allclose(fresh, subject.network(subject.normalize(x)))
    assert torch.equal(fresh, subject.fresh(0)(subject.normalize(x)))


def test_scores_of_a_conditional_discriminator_are_the_logits_of_every_label():
    model = gan(conditional=True)
    subject = subject_of(model, "run")
    scores = subject.network(subject.normalize(subject.images[:3]))
    model.discriminator.eval()
    with torch.no_grad():
        logits = [model.discriminator(from_bytes(subject.images[:3]), torch.full((3,), k)) for k in range(10)]
    torch.testing.assert_close(scores, torch.stack(logits, 1))
    assert subject.classes == model.classes


def test_the_feature_classifier_is_that_of_the_quality_of_samples(monkeypatch):
    from rlgen.generative.quality import feature_classifier

    monkeypatch.setattr(feature_classifier, "STEPS", 3)
    monkeypatch.setattr(feature_classifier, "EPOCHS", 0)
    model = gan()
    cached = feature_classifier.FeatureClassifier.fit("tiny", model.real("train"), model.real("test"))
    monkeypatch.setattr(feature_classifier.FeatureClassifier, "cached", lambda train, test: cached)
    subject = subject_of(model, "run", network="features")
    features, logits = cached.features(subject.images[:4])
    x = subject.normalize(subject.images[:4])
    torch.testing.assert_close(subject.network(x), logits)
    torch.testing.assert_close(subject.network.features(x), features)
    monkeypatch.setattr(feature_classifier.FeatureClassifier, "cached", lambda *_: replace(cached, accuracy=None))
    with pytest.raises(UserError, match="feature classifier is untrained"):
        subject_of(model, "run", network="features")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: made("dqn", "CartPole"), "numbers, not pixels: `rlgen ui`"),
        (lambda: made("qlearning", "FrozenLake"), "run has no network to explain"),
        (lambda: made("drqn", "Catch", width=16), "recurrent agent depend on all observations before"),
        (lambda: made("gan", "ring", architecture="dense", latent=2), "run holds points, and maps are of images"),
    ],
)
def test_what_has_no_map_is_refused(build, message):
    with pytest.raises(UserError, match=message):
        subject_of(build(), "run")


def test_an_unknown_network_is_refused():
    with pytest.raises(UserError, match="--network judge: the networks of run are discriminator, features"):
        subject_of(gan(), "run", network="judge")
    with pytest.raises(UserError, match="--network features: the networks of run are Q-network"):
        subject_of(pixel_agent(), "run", network="features")


@pytest.mark.parametrize("build", [pytest.param(pixel_agent, marks=pytest.mark.slow), gan])
def test_every_picture_of_a_new_subject(build, tmp_path):
    methods = ("saliency", "occlusion", "gradcam", "filters", "strongest")
    request = explanation.request(build(), "run", images=3, out=tmp_path)
    found = list(explanation.explain(request, methods, False, lambda done: None))
    assert all(result.file.is_file() for result in found)
    assert all(result.verdict for result in found[:3])


def test_planes_have_colours_and_stacks_show_the_last_frame():
    from rlgen.explain.subject import plane_colours

    assert plane_colours(1, 1, False) is plane_colours(3, 1, True) is None
    assert plane_colours(4, 4, False).tolist() == [[0, 0, 0]] * 3 + [[1, 1, 1]]
    assert plane_colours(6, 2, True).tolist() == [[0, 0, 0]] * 3 + torch.eye(3).tolist()
    colours = torch.cat([plane_colours(5, 1, False), plane_colours(3, 1, False)])
    assert len({tuple(row) for row in colours.tolist()}) == 5
    assert (colours.max(1).values > 0.5).all()
