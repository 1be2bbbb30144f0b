"""Models learn MNIST: the first tenth of the presets' training."""

import pytest

from rlgen import evaluation
from rlgen.catalog import find
from rlgen.core.config import resolve
from rlgen.core.errors import DataError
from rlgen.core.settings import Setup

pytestmark = pytest.mark.slow
SEEDS = pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.very_slow)])


def learned(name, seed, images):
    entry = find(name)
    course = {"schedule": "cosine", "lr_steps": images} if name != "gan" else {}
    config = resolve(entry.config, *entry.presets("mnist"), course)
    try:
        model = entry.algorithm("mnist", config, Setup(seed=seed))
    except DataError as error:
        pytest.skip(str(error))
    while model.time < images:
        model.step()
    return model


@SEEDS
def test_an_autoencoder_beats_principal_components(seed):
    reported = learned("ae", seed, 300_000).measure()
    assert reported["eval_mse"] < 0.7 * reported["eval_pca_mse"]


@SEEDS
def test_a_vae_tightens_its_bound(seed):
    reported = learned("vae", seed, 400_000).bounds(50, 100)
    assert reported["eval_nats"] < 115
    assert reported["eval_iwae_50"] < reported["eval_nats"] - 1
    assert reported["eval_active_units"] >= 10


@SEEDS
def test_a_pixelcnn_needs_few_images(seed):
    nats = learned("pixelcnn", seed, 15_000).measure()["eval_nats"]
    assert 75 < nats < 100  # no published model is below 75: less would be a leak of future pixels


@SEEDS
def test_a_gan_makes_all_ten_digits(seed):
    found = evaluation.score(learned("gan", seed, 50_000), 2_000)
    assert found["classes_found"] == 10
    assert found["lenet_fid"] < 100
