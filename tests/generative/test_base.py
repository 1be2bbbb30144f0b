import pytest
import torch
from torch import nn

from rlgen.core.errors import UserError
from rlgen.core.settings import Setup
from rlgen.generative.autoencoders.vae import VAE
from rlgen.generative.base import evaluating

SMALL = {"batch": 50, "width": 4, "depth": 1, "latent": 2}


def build(**settings):
    return VAE("digits", VAE.Config(**{**SMALL, **settings}), Setup(threads=1))


def ignore(done):
    pass


def test_evaluation_mode_leaves_no_trace():
    training, resting = nn.BatchNorm1d(2), nn.BatchNorm1d(2).eval()
    with evaluating(training, resting):
        assert not training(torch.randn(4, 2)).requires_grad
    assert training.training
    assert not resting.training
    assert training.num_batches_tracked == 0
    assert torch.is_grad_enabled()


def test_samples_by_labels():
    model = build(conditional=True)
    model.step()
    sevens = model.sample(4, seed=2, labels=7)
    assert torch.equal(sevens, model.sample(4, seed=2, labels=torch.full((4,), 7)))
    assert torch.equal(model.sample(labels=[1, 2]), model.sample(2, labels=torch.tensor([1, 2])))
    assert model.sample().shape == (10, 1, 8, 8)
    assert build().sample().shape == (1, 1, 8, 8)
    with pytest.raises(UserError, match="trained without --conditional"):
        build().sample(1, labels=0)


def test_the_task_is_described():
    assert build().describe_task() == {
        "images": "1,498 for training, 299 for tests (fixed random split)",
        "classes": "10: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9",
        "shape": "8x8 pixels, grey",
    }


def test_a_report_without_samples_holds_the_metrics_of_the_test_images():
    model = build()
    report = model.report(0, 0, ignore)
    assert report.values["eval_nats"] == pytest.approx(float(model.final()["eval_nats"]))
    assert report.values["protocol"] == "dynamic"
    assert len(report.lines) == 1
    assert report.lines[0].startswith(f"scores  eval_nats {report.values['eval_nats']:.4g}")
    assert report.lines[0].endswith("(dynamic)")


def test_a_report_with_samples_compares_them_with_real_images(monkeypatch):
    model, done = build(), []
    found = {
        "samples": 299, "classifier_accuracy": 0.98, "feature_classifier": "digits-8", "kid": 2.5,
        "real_data_reference": {"kid": 0.25}, "classes": {"cat": 0.75, "dog": 0.25},
        "left_out": {"distances": "too few"},
    }  # fmt: skip

    def evaluate(*given):
        done.append(given)
        return found

    monkeypatch.setattr("rlgen.generative.base.quality.evaluate", evaluate)
    report = model.report(5_000, 3, ignore)
    assert done == [(model, 299, 3, ignore)]  # at most as many samples as test images
    assert report.values.items() >= found.items()
    assert "eval_nats" in report.values
    text = "\n".join(report.lines)
    for part in (
        "299 samples",
        "98.0% of the test images right",
        "kid",
        "2.5",
        "0.25",
        "cat 75.0%",
        "too few",
        "dynamic",
    ):
        assert part in text


def test_labels_have_names_and_numbers():
    model = build(conditional=True)
    assert model.label("7") == 7
    with pytest.raises(UserError, match="digits has no class seven: there are 0, 1, 2"):
        model.label("seven")
    with pytest.raises(UserError, match="trained without --conditional"):
        build().label("7")
