import pytest
import torch

from rlgen.core.config import resolve
from rlgen.core.findings import Record
from rlgen.core.settings import Setup
from rlgen.generative import settings
from rlgen.generative.autoencoders.vae import VAE
from rlgen.generative.autoencoders.vqvae import VQVAE
from rlgen.generative.findings import findings
from rlgen.generative.gan.gan import GAN


def found(model=None, config=(), result=None, **metrics):
    series = {name: [(100.0 * i, float(v)) for i, v in enumerate(values)] for name, values in metrics.items()}
    info = {"config": {"lr": 0.001, **dict(config)}, "plan": {"budget": 1000}, "time": 500, "result": result}
    return {finding.name: finding for finding in findings(Record("runs/x", "mnist", "vae", info, series), model)}


VAE_CONFIG = {"latent": 20, "beta": 1.0}


@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [
        ("the discriminator has won", {"eval_accuracy": [0.5, 0.99, 0.99]}, {"eval_accuracy": [0.99, 0.7, 0.99]}),
        (
            "posterior collapse",
            {"config": VAE_CONFIG, "eval_active_units": [1], "eval_kl": [3.0]},
            {"config": VAE_CONFIG, "eval_active_units": [15], "eval_kl": [20.0]},
        ),
        (
            "posterior collapse",
            {"config": VAE_CONFIG, "eval_active_units": [2], "eval_kl": [0.4]},
            {"config": VAE_CONFIG, "eval_active_units": [0], "eval_kl": [0.0], "beta": [0.0]},
        ),
        (
            "no better than uniform",
            {"eval_nats": [900, 600], "result": {"uniform_nats": 543.4}},
            {"eval_nats": [900, 100], "result": {"uniform_nats": 543.4}},
        ),
        ("overfitting", {"eval_nats": [500, 90, 95]}, {"eval_nats": [500, 90, 90.5]}),
        (
            "gap between training and test",
            {"eval_nats": [500, 90], "nats": [200, 80]},
            {"eval_nats": [500, 90], "nats": [200, 88]},
        ),
        (
            "no better than PCA",
            {"eval_mse": [0.1, 0.02], "eval_pca_mse": [0.01]},
            {"eval_mse": [0.1, 0.005], "eval_pca_mse": [0.01]},
        ),
    ],
)
def test_a_finding_and_its_absence(name, bad, good):
    assert name in found(**bad)
    assert found(**bad)[name].command.startswith("rlgen ")
    assert name not in found(**good)


def test_one_good_evaluation_of_a_discriminator_is_not_a_victory():
    assert not found(eval_accuracy=[0.99])  # before the training


def make(algorithm, config, **options):
    return algorithm("digits", resolve(config, {"size": 8, "batch": 16, **options}), Setup(threads=1))


def test_dead_codewords():
    model = make(VQVAE, settings.VQVAE, width=4, prior_width=8, prior_blocks=1, codebook_size=8)
    codes = model.ema.codebook
    (vectors,) = [value for value in codes.state_dict().values() if value.shape == (8, model.config.code_dim)][:1]
    torch.manual_seed(0)
    outputs = model.ema.encode(model.test_batch(slice(8))[0]).movedim(1, -1).flatten(0, -2)  # (positions, D)
    vectors.copy_(outputs[torch.randperm(len(outputs))[:8]])
    assert "dead codewords" not in found(model)
    vectors[2:] = 1e6
    finding = found(model)["dead codewords"]
    assert finding.number == 6 / 8
    assert finding.command.endswith("--codebook-size 2")


@pytest.mark.parametrize("conditional", [False, True])
def test_dead_units_of_a_generator(conditional):
    model = make(GAN, settings.GAN, width=4, discriminator_width=4, conditional=conditional)
    assert "dead ReLUs" not in found(model)
    for module in model.generator.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.zero_()
            module.bias.data.fill_(-1.0)
    assert found(model)["dead ReLUs"].severity == "problem"


def test_dead_units_of_an_encoder():
    model = make(VAE, settings.VAE, network="convolutional", width=8, latent=4)
    assert "dead ReLUs" not in found(model, config=VAE_CONFIG)
    next(module for module in model.network.modules() if isinstance(module, torch.nn.Conv2d)).bias.data.fill_(-100.0)
    assert "dead ReLUs" in found(model, config=VAE_CONFIG)
