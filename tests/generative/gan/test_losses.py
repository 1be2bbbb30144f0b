import math

import pytest
import torch

from rlgen.core.settings import Setup
from rlgen.generative.gan.gan import GAN
from rlgen.generative.gan.losses import LOSSES, gradient_penalty, r1_penalty

REAL, FAKE = torch.tensor([0.3, -1.0, 2.0]), torch.tensor([2.0, -0.5, -3.0])


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def log_sigmoid(t):
    return math.log(1 / (1 + math.exp(-t)))


EQUATIONS = {  # discriminator on real images, on generated ones; generator: each of one logit
    "non-saturating": (lambda t: -log_sigmoid(t), lambda t: -log_sigmoid(-t), lambda t: -log_sigmoid(t)),
    "lsgan": (lambda t: (t - 1) ** 2 / 2, lambda t: t**2 / 2, lambda t: (t - 1) ** 2 / 2),
    "hinge": (lambda t: max(0, 1 - t), lambda t: max(0, 1 + t), lambda t: -t),
    "wgan": (lambda t: -t, lambda t: t, lambda t: -t),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_means_of_the_equations_of_the_papers(name):
    loss, (real, fake, generator) = LOSSES[name], EQUATIONS[name]
    assert loss.real_loss(REAL).item() == pytest.approx(sum(map(real, REAL.tolist())) / 3)
    assert loss.fake_loss(FAKE).item() == pytest.approx(sum(map(fake, FAKE.tolist())) / 3)
    assert loss.generator_loss(FAKE).item() == pytest.approx(sum(map(generator, FAKE.tolist())) / 3)


def test_the_decision_threshold_lies_halfway_between_the_targets():
    """LSGAN's targets are 0 and 1, a sigmoid and a hinge are symmetric about 0; a Wasserstein critic has no target."""
    thresholds = {name: loss.decision_threshold for name, loss in LOSSES.items()}
    assert thresholds == {"non-saturating": 0.0, "lsgan": 0.5, "hinge": 0.0, "wgan": None}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("logit", [-100.0, 100.0])
def test_losses_have_a_full_gradient_where_the_discriminator_is_wrong(name, logit):
    def slope(loss):
        value = torch.tensor([logit], dtype=torch.float64, requires_grad=True)
        loss(value).backward()
        assert value.grad.isfinite()
        return value.grad.item()

    loss = LOSSES[name]
    if logit < 0:  # a real image classified as generated, or a generated one
        assert slope(loss.real_loss) <= -1
        assert slope(loss.generator_loss) <= -1
    else:
        assert slope(loss.fake_loss) >= 1


@pytest.mark.parametrize("norm", [0.25, 3.0])
@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 5, 2), (2, 1, 1)])
def test_penalties_of_a_linear_critic(shape, norm):
    """D(x) = w·x has the gradient w everywhere: (‖w‖ - 1)² below and above 1, and ½ ‖w‖²."""
    w = torch.randn(shape, dtype=torch.float64)
    w *= norm / w.norm()
    real, fake = torch.randn(2, 7, *shape, dtype=torch.float64)
    critic = lambda x, y: (w * x).sum((1, 2, 3))  # noqa: E731
    mix = torch.rand(7, dtype=torch.float64)
    assert gradient_penalty(critic, real, fake, None, mix).item() == pytest.approx((norm - 1) ** 2)
    assert r1_penalty(critic, real, None).item() == pytest.approx(norm**2 / 2)


def test_penalties_are_evaluated_at_the_points_of_the_papers():
    """D(x) = ½ ‖x‖² has the gradient x, which is the point itself; `mix` is one weight per image."""
    real, fake, mix = torch.randn(5, 2, 3, 3), torch.randn(5, 2, 3, 3), torch.rand(5)
    critic = lambda x, y: 0.5 * x.square().sum((1, 2, 3))  # noqa: E731
    between = torch.stack([m * r + (1 - m) * f for m, r, f in zip(mix, real, fake, strict=True)])
    expected = (between.flatten(1).norm(dim=1) - 1).square().mean()
    torch.testing.assert_close(gradient_penalty(critic, real, fake, None, mix), expected)
    torch.testing.assert_close(r1_penalty(critic, real, None), 0.5 * real.flatten(1).square().sum(1).mean())


@pytest.mark.parametrize("penalty", ["gradient", "r1"])
def test_penalties_have_gradients_in_the_critic_alone(penalty):
    """For D(x) = w·x they are 2 (‖w‖ - 1) w / ‖w‖ and w."""
    w = torch.randn(1, 2, 2, requires_grad=True)
    x = torch.randn(4, 1, 2, 2, requires_grad=True)
    critic = lambda x, y: (w * x).sum((1, 2, 3))  # noqa: E731
    value = (
        gradient_penalty(critic, x, x, None, torch.rand(4)) if penalty == "gradient" else r1_penalty(critic, x, None)
    )
    value.backward()
    norm = w.detach().norm()
    expected = 2 * (norm - 1) * w.detach() / norm if penalty == "gradient" else w.detach()
    torch.testing.assert_close(w.grad, expected)
    assert x.grad is None


def test_penalties_are_of_the_logit_of_the_label():
    w = torch.tensor([1.0, 5.0])
    critic = lambda x, y: w[y] * x.flatten(1).sum(1)  # noqa: E731
    x, y = torch.randn(2, 1, 1, 1), torch.tensor([0, 1])
    assert r1_penalty(critic, x, y).item() == pytest.approx((1 + 25) / 4)
    assert gradient_penalty(critic, x, x, y, torch.rand(2)).item() == pytest.approx((0 + 16) / 2)


@pytest.mark.parametrize(
    ("loss", "discriminator", "generator"),
    [("non-saturating", 2 * math.log(2), math.log(2)), ("lsgan", 0.25, 0.125), ("hinge", 2, 0)],
)
def test_baselines_are_the_losses_of_a_discriminator_at_chance(loss, discriminator, generator):
    gan = GAN("digits", GAN.Config(batch=8, width=4, discriminator_width=4, size=8, loss=loss), Setup(threads=1))
    found = gan.baselines()
    assert found["discriminator_loss_at_chance"] == pytest.approx(discriminator)
    assert found["generator_loss_at_chance"] == pytest.approx(generator)
    assert (found["logit_at_chance"], found["accuracy_at_chance"]) == (0.5 if loss == "lsgan" else 0, 0.5)


def test_a_critic_has_no_baselines():
    config = GAN.Config(batch=8, width=4, discriminator_width=4, size=8, loss="wgan")
    assert GAN("digits", config, Setup(threads=1)).baselines() == {}
