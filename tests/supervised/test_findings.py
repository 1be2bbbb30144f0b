import pytest
import torch

from rlgen.core.config import resolve
from rlgen.core.findings import Record
from rlgen.core.settings import Setup
from rlgen.supervised import settings
from rlgen.supervised.classifier import Classifier
from rlgen.supervised.findings import findings


def found(classifier=None, result=None, **metrics):
    series = {name: [(100.0 * i, float(v)) for i, v in enumerate(values)] for name, values in metrics.items()}
    info = {"config": {"lr": 0.001}, "plan": {"budget": 1000}, "time": 500, "result": result}
    record = Record("runs/x", "mnist", "classify", info, series)
    return {finding.name: finding for finding in findings(record, classifier)}


@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [
        (
            "gap between training and validation",
            {"eval_train_accuracy": [0.1, 1.0], "eval_validation_accuracy": [0.1, 0.9]},
            {"eval_train_accuracy": [0.1, 1.0], "eval_validation_accuracy": [0.1, 0.97]},
        ),
        ("overfitting", {"eval_validation_loss": [2.3, 0.2, 0.3]}, {"eval_validation_loss": [2.3, 0.2, 0.22]}),
        (
            "initial weights too large",
            {"eval_initial_loss": [9.0], "eval_uniform_loss": [2.3]},
            {"eval_initial_loss": [2.4], "eval_uniform_loss": [2.3]},
        ),
        (
            "nothing learned",
            {"eval_train_loss": [2.4, 2.31], "eval_uniform_loss": [2.3]},
            {"eval_train_loss": [2.4, 1.0], "eval_uniform_loss": [2.3]},
        ),
        (
            "too few test images",
            {"result": {"ci95": [0.8, 0.9], "images": 100}},
            {"result": {"ci95": [0.98, 0.99], "images": 10_000}},
        ),
        (
            "badly calibrated",
            {"result": {"ece": 0.1, "temperature": 2.0, "tempered_ece": 0.01}},
            {"result": {"ece": 0.01, "temperature": 1.1, "tempered_ece": 0.01}},
        ),
    ],
)
def test_a_finding_and_its_absence(name, bad, good):
    assert name in found(**bad)
    assert found(**bad)[name].command.startswith("rlgen ")
    assert name not in found(**good)


@pytest.mark.parametrize(
    "options", [{"network": "lenet5", "size": 12, "activation": "relu"}, {"network": "mlp", "seeds": 2}]
)
def test_dead_units(options):
    classifier = Classifier("digits", resolve(settings.Classifier, {"batch": 16, **options}), Setup(threads=1))
    assert "dead ReLUs" not in found(classifier)
    first = next(m for m in classifier.network.modules() if isinstance(m, torch.nn.Linear | torch.nn.Conv2d))
    first.bias.data.fill_(-100.0)
    assert found(classifier)["dead ReLUs"].severity == "problem"
