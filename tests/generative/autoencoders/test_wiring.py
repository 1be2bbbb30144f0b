"""Every setting of an autoencoder, a VAE and a VQ-VAE has its effect on the model."""

from dataclasses import fields
from functools import partial

import pytest
import torch

from rlgen.core.settings import Setup
from rlgen.generative.autoencoders.ae import Autoencoder
from rlgen.generative.autoencoders.vae import VAE
from rlgen.generative.autoencoders.vqvae import VQVAE
from rlgen.generative.settings import Coder, Likely, Model
from tests.generative.wiring import (
    Wire,
    check_every_field_has_a_wire,
    check_wire,
    ema_wires,
    likelihood_wires,
    replace_functions,
)


@pytest.fixture(autouse=True)
def _observed(monkeypatch):
    replace_functions(monkeypatch)


def build(kind, **settings):
    small = {"batch": 50, "width": 8, "depth": 1}
    return kind("digits", kind.Config(**{**small, **settings}), Setup(threads=1))


build_ae, build_vae = partial(build, Autoencoder, latent=6), partial(build, VAE, latent=6)


def build_vqvae(**settings):
    small = {"codebook_size": 4, "code_dim": 3, "prior_width": 6, "prior_blocks": 1, "lr": 1e-3}
    return build(VQVAE, **{**small, **settings})


def convolutions(layers):
    return sum(isinstance(layer, torch.nn.Conv2d) and layer.kernel_size == (3, 3) for layer in layers)


def hidden_layers(model):
    return tuple(len(part.layers) // 2 for part in (model.network.encoder, model.network.decoder))


def noise_of(model):
    """Standard deviation of the noise on encoded images, and the share of their pixels that become black."""
    x = torch.full((200, 1, 8, 8), 0.5)
    corrupted = model.corrupt(x, torch.Generator().manual_seed(0))
    masked = corrupted == 0
    return round((corrupted - x)[~masked].std().item(), 1), round(masked.float().mean().item(), 1)


def loss_parts(model):
    """Weights of the reconstruction and the KL divergence in the loss, by two losses of different divergence."""
    loss, metrics = model.loss(model.data.next()[0], None)
    return round(((loss.detach() - metrics["nats"] + metrics["kl"]) / metrics["kl"]).item(), 2)


def commitment_weight(model):
    loss, metrics = model.loss(model.data.next()[0], None)
    return round(((loss.detach() - metrics["nats"]) / metrics["commitment"]).item(), 2)


def free_bits(model):
    """KL divergence per dimension in the loss of a model whose posterior is the prior."""
    torch.nn.init.zeros_(model.network.encoder.layers[-1].weight)
    torch.nn.init.zeros_(model.network.encoder.layers[-1].bias)
    loss, metrics = model.loss(model.data.next()[0], None)
    return round(((loss.detach() - metrics["nats"]) / model.config.latent).item(), 3)


def betas(model):
    weights = []
    for model.time in (0, 250, 500):
        weights.append(model.beta())
    return weights


LATENT = {
    **ema_wires(lambda network: network.decoder),
    "network": Wire({"network": "convolutional"}, lambda model: type(model.network.decoder).__name__, "ConvDecoder"),
    "latent": Wire({"latent": 5}, lambda model: model.network.decoder.layers[0].in_features, 5),
    "width": Wire({"width": 9}, lambda model: model.network.encoder.layers[0].out_features, 9),
    "depth": Wire(
        {"depth": 3}, lambda model: [len(model.network.encoder.layers), len(model.network.decoder.layers)], [7, 7]
    ),
}
AE = {
    **LATENT,
    "noise_std": Wire({"noise_std": 0.3}, noise_of, (0.3, 0.0)),
    "mask_fraction": Wire({"mask_fraction": 0.4}, noise_of, (0.0, 0.4)),
    "k_sparse": Wire(
        {"k_sparse": 2}, lambda model: (model.encode(model.test_batch(slice(9))[0]) != 0).sum(1).tolist(), [2] * 9
    ),
}
LIKELIHOOD = likelihood_wires(lambda model: model.network.decoder(torch.zeros(1, 6)).shape[-1])

VARIATIONAL = {
    **LATENT,
    **LIKELIHOOD,
    "beta": Wire({"beta": 4.0}, loss_parts, 4.0),
    "kl_warmup": Wire({"kl_warmup": 500}, betas, [0.0, 0.5, 1.0]),
    "free_bits": Wire({"free_bits": 0.125}, free_bits, 0.125),
}
QUANTIZED = {
    **ema_wires(lambda network: network.decoder[-1]),
    **likelihood_wires(lambda model: model.network.decode(torch.zeros(1, 3, 2, 2)).shape[-1]),
    "commitment": Wire({"commitment": 0.75}, commitment_weight, 0.75),
    "width": Wire({"width": 5}, lambda model: model.network.encoder[0].out_channels, 5),
    "depth": Wire({"depth": 3}, lambda model: convolutions(model.network.encoder), 3),
    "codebook_size": Wire(
        {"codebook_size": 7}, lambda model: (len(model.network.codebook.codes), model.code_likelihood.levels), (7, 7)
    ),
    "code_dim": Wire({"code_dim": 5}, lambda model: model.network.codebook.codes.shape[1], 5),
    "codebook_decay": Wire({"codebook_decay": 0.5}, lambda model: model.network.codebook.decay, 0.5),
    "prior_width": Wire({"prior_width": 9}, lambda model: model.network.prior.input_conv.weight.shape[0], 9),
    "prior_blocks": Wire({"prior_blocks": 2}, lambda model: len(model.network.prior.body.before), 2),
}


def test_every_setting_is_listed():
    check_every_field_has_a_wire(AE, Autoencoder.Config)
    check_every_field_has_a_wire(VARIATIONAL, VAE.Config)
    check_every_field_has_a_wire(QUANTIZED, VQVAE.Config)
    shared = {field.name for settings in (Model, Coder) for field in fields(settings)}
    assert shared == set(LATENT)
    assert {field.name for field in fields(Likely)} <= {*LATENT, *LIKELIHOOD}


@pytest.mark.parametrize("field", AE)
def test_a_setting_of_an_autoencoder_has_its_effect(field):
    check_wire(AE[field], build_ae)


@pytest.mark.parametrize("field", VARIATIONAL)
def test_a_setting_of_a_vae_has_its_effect(field):
    check_wire(VARIATIONAL[field], build_vae)


@pytest.mark.parametrize("field", QUANTIZED)
def test_a_setting_of_a_vqvae_has_its_effect(field):
    check_wire(QUANTIZED[field], build_vqvae)


@pytest.mark.parametrize("field", ["width", "depth"])
def test_a_setting_of_a_convolutional_network_has_its_effect(field):
    """Of 32 channels unless given, and of one 3x3 convolution."""
    model = Autoencoder("digits", Autoencoder.Config(network="convolutional", **{field: 3}), Setup(threads=1))
    encoder, decoder = model.network.encoder.shrink, model.network.decoder.grow
    assert encoder[0].out_channels == decoder[-1].in_channels == (3 if field == "width" else 32)
    assert convolutions(encoder) == convolutions(decoder) == (3 if field == "depth" else 2)
