import copy
import json
from pathlib import Path

import pytest

import rlgen
from rlgen.core.settings import Setup
from rlgen.generative import ema
from rlgen.generative.autoencoders.ae import Autoencoder
from rlgen.generative.autoencoders.vae import VAE
from rlgen.generative.autoregressive.pixelcnn import PixelCNN

FORMER = Path(__file__).parents[1] / "fixtures" / "former"


def vae(**settings):
    small = {"batch": 50, "width": 4, "depth": 1, "latent": 2}
    return VAE("digits", VAE.Config(**{**small, **settings}), Setup(threads=1))


def pixelcnn(**settings):
    small = {"width": 4, "head_width": 4, "levels": 1, "blocks": 1, "first_kernel": 3}
    return PixelCNN("digits", PixelCNN.Config(**{**small, **settings}), Setup(threads=1))


@pytest.mark.parametrize("batch", [500, 2_000])
def test_the_decay_counts_steps_where_batches_are_smaller_than_the_setting(batch, monkeypatch):
    """Of 1,498 images: the third batch of 500 has 498, and a batch of 2,000 has 1,498."""
    decays = []
    monkeypatch.setattr(ema, "update_ema", lambda average, network, decay: decays.append(decay))
    model = vae(batch=batch, ema=0.2)
    for _ in range(4):
        model.step()
    assert decays == pytest.approx([1 / 11, 2 / 12, 0.2, 0.2])


def test_the_warm_up_counts_steps_where_a_batch_is_larger_than_the_data():
    model, rates = pixelcnn(batch=2_000, lr=1e-2), []
    model.loss = lambda x, y: (sum(p.sum() for p in model.network.parameters()), {})
    for _ in range(3):
        model.step()
        rates.append(model.optimizer.rule.param_groups[0]["lr"])
    assert rates == pytest.approx([1e-2 * n / 200 for n in (2, 3, 4)])
    model.optimizer.steps = 500
    assert model.optimizer.learning_rate(0) == 1e-2


def test_the_learning_rate_falls_along_half_a_cosine():
    model = vae(lr=1e-2, schedule="cosine", lr_steps=1_000)
    rates = [model.optimizer.learning_rate(time) for time in (0, 500, 1_000, 5_000)]
    assert rates == pytest.approx([1e-2, (1e-2 + 1e-4) / 2, 1e-4, 1e-4])


def test_the_count_of_steps_is_in_checkpoints_and_found_in_former_ones():
    model = vae()
    for _ in range(3):
        model.step()
    resumed = vae()
    resumed.load_state_dict(copy.deepcopy(model.state_dict()))
    assert resumed.steps == 3
    for name in ("vae", "pixelcnn"):
        former = json.loads((FORMER / name / "run.json").read_text())
        assert rlgen.load(FORMER / name).steps == former["time"] // former["config"]["batch"] > 1


def test_the_protocol_of_a_conditional_model_names_the_condition():
    assert vae().protocol == "dynamic"
    condition = ", conditional on the class: -log p(x given y)"
    assert vae(conditional=True).protocol == f"dynamic{condition}"
    assert vae(conditional=True, likelihood="logistic").protocol == f"8-bit{condition}"
    model = pixelcnn(conditional=True, binarise="static")
    assert model.protocol == f"static{condition}"
    assert set(model.real("test").images.unique().tolist()) == {0, 255}
    assert model.report(0, 0, lambda done: None).values["protocol"] == model.protocol


def test_chunks_of_images_fit_in_memory(monkeypatch):
    model = vae(likelihood="softmax")  # 256 outputs for each of 64 pixels
    monkeypatch.setattr(ema, "MAX_OUTPUTS", 5 * 64 * 256)
    assert [model.chunk_size(largest) for largest in (3, 9)] == [3, 5]
    monkeypatch.setattr(ema, "MAX_OUTPUTS", 1)
    assert model.chunk_size(9) == 1


def test_the_uniform_baseline_is_one_bit_per_binary_pixel():
    assert vae().uniform_baseline() == {"uniform_nats": pytest.approx(64 * 0.6931472), "uniform_bits": 1.0}


def test_baselines_are_known_before_the_training():
    assert vae().baselines() == {"uniform_nats": pytest.approx(64 * 0.6931472), "uniform_bits": 1.0}
    mixture = pixelcnn(likelihood="mixture").baselines()
    assert mixture == {"uniform_nats": pytest.approx(64 * 8 * 0.6931472), "uniform_bits": pytest.approx(8)}
    small = Autoencoder.Config(width=4, depth=1, latent=2)
    assert Autoencoder("digits", small, Setup(threads=1)).baselines() == {}
