import copy
from dataclasses import replace

import pytest
import torch

from rlgen.core.errors import UserError
from rlgen.core.settings import Setup
from rlgen.generative.gan.losses import gradient_penalty
from rlgen.generative.gan.points import PointGAN
from rlgen.generative.quality.coverage import coverage
from rlgen.generative.settings import GAN

SMALL = GAN(architecture="dense", width=16, discriminator_width=16, latent=2, batch=64, spectral_norm=False)
LOSSES = {
    "non-saturating": {"r1_weight": 0.1, "r1_interval": 1},
    "lsgan": {"spectral_norm": True},
    "hinge": {"r1_weight": 0.1, "r1_interval": 2},
    "wgan": {"gradient_penalty_weight": 0.1, "critic_steps": 2},
}


def model(task="ring", seed=0, **settings):
    return PointGAN(task, replace(SMALL, **settings), Setup(seed=seed, device="cpu", threads=1))


@pytest.mark.parametrize("loss", LOSSES)
def test_a_step_trains_both_networks_and_a_copy_continues_alike(loss):
    one = model(loss=loss, **LOSSES[loss])
    before = copy.deepcopy([one.generator.state_dict(), one.discriminator.state_dict()])
    for _ in range(4):
        one.step()
    for network, old in zip((one.generator, one.discriminator), before, strict=True):
        assert any(not torch.equal(value, old[name]) for name, value in network.state_dict().items())
    other = model(loss=loss, seed=1, **LOSSES[loss])
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    other.data.seed = one.data.seed
    assert one.time == other.time == 4 * 64
    for _ in range(3):
        a, b = one.step(), other.step()
        assert {k: float(v) for k, v in a.items()} == {k: float(v) for k, v in b.items()}
    assert torch.equal(one.sample(50), other.sample(50))


def test_the_gradient_penalty_of_points_is_that_of_a_linear_critic():
    weight = torch.tensor([3.0, 4.0])
    real, fake, mix = torch.randn(6, 2), torch.randn(6, 2), torch.rand(6)
    assert gradient_penalty(lambda x, y: x @ weight, real, fake, None, mix).item() == pytest.approx(16.0)
    curved = gradient_penalty(lambda x, y: 0.5 * x.square().sum(1), real, fake, None, mix)
    norm = (mix[:, None] * real + (1 - mix[:, None]) * fake).norm(dim=1)  # of each point its own mixture
    assert curved.item() == pytest.approx((norm - 1).square().mean().item(), rel=1e-5)


def test_the_field_is_the_logit_at_each_place_of_the_square():
    trained = model()
    field, half = trained.field(9), trained.extent
    assert field.shape == (9, 9)
    corner = torch.tensor([[-half * 8 / 9, half * 8 / 9], [half * 8 / 9, -half * 8 / 9]])
    with torch.no_grad():
        logits = trained.discriminator(corner)
    torch.testing.assert_close(torch.stack([field[0, 0], field[8, 8]]), logits)
    assert trained.discriminator.training


def test_evaluations_hold_the_coverage_of_the_samples():
    trained = model()
    metrics = trained.evaluate()
    assert metrics["eval_modes"] in range(9)
    with torch.no_grad():
        trained.ema.layers[-1].weight.zero_()
        trained.ema.layers[-1].bias.copy_(trained.distribution.line[2])
    metrics = trained.evaluate()
    assert (metrics["eval_modes"], metrics["eval_high_quality"]) == (1, 1.0)
    report = trained.report(100, 0, lambda done: None)
    assert (report.values["modes"], report.values["high_quality"], report.values["samples"]) == (1, 1.0, 100)
    assert report.values["mode_counts"][2] == 100
    real = coverage(trained.distribution, trained.test_points[:100])
    assert report.values["real_data_reference"] == {"modes": real.modes, "high_quality": real.high_quality}
    assert "modes covered  1 of 8 (test points: 8)" in report.lines


def test_a_picture_of_samples_and_field():
    trained = model("spiral")
    (grid,) = trained.draw().values()
    assert grid.images.shape == (2, 3, 320, 320)
    assert grid.columns == 2
    assert 0 <= grid.images.min() <= grid.images.max() <= 1
    assert torch.equal(grid.images, trained.draw()["samples"].images)


def test_a_conditional_model_generates_a_chosen_mode():
    trained = model("grid", conditional=True)
    trained.step()
    assert trained.num_classes == 25
    assert trained.sample(labels=[3, 4]).shape == (2, 2)
    assert trained.label("24") == 24
    with torch.no_grad():
        trained.ema.layers[0].weight[:, 2 + 7] += 5.0
    z = trained.sample(10, labels=7) - trained.sample(10, labels=6)
    assert z.abs().sum() > 0.1
    with pytest.raises(UserError, match="--conditional: spiral has no labels"):
        model("spiral", conditional=True)


@pytest.mark.parametrize(
    ("settings", "option"),
    [
        ({"architecture": "dcgan"}, "--architecture dcgan"),
        ({"augment": "diffaugment"}, "--augment diffaugment"),
        ({"discriminator": "lenet5"}, "--discriminator lenet5"),
        ({"size": 32}, "--size 32"),
        ({"data": "folder"}, "--data folder"),
        ({"skip_bad": True}, "--skip-bad"),
    ],
)
def test_settings_of_images_are_refused(settings, option):
    with pytest.raises(UserError, match=f"{option}: ring holds points, and it is for images: leave it out"):
        model(**settings)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "task"),
    [
        pytest.param(algorithm, task, marks=[] if (algorithm, task) == ("wgan-gp", "ring") else pytest.mark.very_slow)
        for task in ("ring", "grid", "spiral")
        for algorithm in ("gan", "lsgan", "hinge", "wgan-gp")
    ],
)
def test_the_preset_covers_every_mode(algorithm, task, tmp_path):
    from rlgen import train

    result = train(algorithm, task, runs=tmp_path, progress=False, threads=1).result
    assert result["modes"] == result["modes_in_all"]
    assert result["high_quality"] > 0.7
