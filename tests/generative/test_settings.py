from dataclasses import fields

import pytest

from rlgen.core.config import options, refuse_unused, resolve
from rlgen.core.errors import UserError
from rlgen.generative import settings

KINDS = [
    settings.Autoencoder,
    settings.VAE,
    settings.VQVAE,
    settings.GAN,
    settings.PixelCNN,
    settings.PixelRNN,
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_has_a_help_and_a_panel(kind):
    described = options(kind)
    assert [option.name for option in described] == [field.name for field in fields(kind)]
    for option in described:
        assert option.help.strip()
        assert option.panel != "Options"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"size": 30}, "multiple of 4"),
        ({"size": 68}, "less than or equal to 64"),
        ({"first_kernel": 4}, "must be odd"),
        ({"kernel": 2}, "must be odd"),
        ({"ema": 1.0}, "less than 1"),
        ({"lr": 0.0}, "greater than 0"),
        ({"batch": 0}, "greater than 0"),
        ({"warmup": -1}, "greater than or equal to 0"),
        ({"optimizer": "lbfgs"}, "fresh noise at each step: take adam or sgd"),
        ({"optimizer": "gd"}, "fresh noise at each step: take adam or sgd"),
        ({"schedule": "plateau"}, "no score ranks generative models: take --schedule cosine"),
    ],
)
def test_bounds(given, message):
    (name,) = given
    with pytest.raises(UserError, match=rf"--{name.replace('_', '-')} .*{message}"):
        resolve(settings.PixelCNN, given)


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (settings.VAE, {"binarise": "static", "likelihood": "logistic"}, "--binarise static: --likelihood logistic"),
        (settings.VAE, {"components": 5}, "--components 5: only --likelihood mixture"),
        (settings.Autoencoder, {"latent": 10, "k_sparse": 11}, "--k-sparse 11: --latent 10 has fewer"),
        (settings.GAN, {"accumulate": 2}, "--accumulate 2: the two networks take turns: raise --batch"),
        (settings.GAN, {"loss": "wgan", "spectral_norm": False}, "nothing bounds the critic"),
        (settings.PixelCNN, {"gated": True, "bottleneck": True}, "--bottleneck: gated blocks have none"),
        (settings.PixelCNN, {"components": 5}, "--components 5"),
    ],
)
def test_contradictions(kind, given, message):
    with pytest.raises(UserError, match=message):
        kind(**given).check(given)


@pytest.mark.parametrize("kind", KINDS)
def test_defaults_do_not_contradict_each_other(kind):
    if hasattr(kind, "check"):
        kind().check({})


def test_annealing_and_warm_up_scale_with_the_budget():
    assert {option.name for option in options(settings.VAE) if option.scaled} == {"lr_steps", "kl_warmup"}
    assert {option.name for option in options(settings.GAN) if option.scaled} == {"lr_steps"}


def test_a_linear_autoencoder_has_no_width_and_a_vae_without_divergence_no_warm_up():
    for kind, given, name in (
        (settings.Autoencoder, {"depth": 0, "width": 64}, "width"),
        (settings.VAE, {"depth": 0, "width": 64}, "width"),
        (settings.VAE, {"beta": 0.0, "kl_warmup": 100}, "kl-warmup"),
    ):
        with pytest.raises(UserError, match=f"--{name}"):
            refuse_unused(kind(**given), given)
    refuse_unused(settings.VAE(depth=1, width=64, kl_warmup=100), ["depth", "width", "kl_warmup"])
