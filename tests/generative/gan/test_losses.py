import math

import pytest
import torch

from rlgen.generative.gan.losses import GAMES, gradient_penalty, r1_penalty

REAL, FAKE = torch.tensor([0.3, -1.0, 2.0]), torch.tensor([2.0, -0.5, -3.0])


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def by_hand(name):
    """What discriminator and generator lose on REAL and FAKE, one logit at a time."""
    log_sigmoid = [lambda t: math.log(1 / (1 + math.exp(-t))), lambda t: math.log(1 - 1 / (1 + math.exp(-t)))]
    real, fake, made = {
        "non-saturating": (lambda t: -log_sigmoid[0](t), lambda t: -log_sigmoid[1](t), lambda t: -log_sigmoid[0](t)),
        "lsgan": (lambda t: (t - 1) ** 2 / 2, lambda t: t**2 / 2, lambda t: (t - 1) ** 2 / 2),
        "hinge": (lambda t: max(0, 1 - t), lambda t: max(0, 1 + t), lambda t: -t),
        "wgan": (lambda t: -t, lambda t: t, lambda t: -t),
    }[name]
    a, b = REAL.tolist(), FAKE.tolist()
    return sum(map(real, a)) / 3, sum(map(fake, b)) / 3, sum(map(made, b)) / 3


@pytest.mark.parametrize("name", GAMES)
def test_games_are_those_of_the_papers(name):
    game = GAMES[name]
    assert (game.real(REAL).item(), game.fake(FAKE).item(), game.made(FAKE).item()) == pytest.approx(by_hand(name))


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("logit", [-100.0, 100.0])
def test_games_push_however_wrong_the_discriminator_is(name, logit):
    def slope(loss):
        value = torch.tensor([logit], dtype=torch.float64, requires_grad=True)
        loss(value).backward()
        assert value.grad.isfinite()
        return value.grad.item()

    game = GAMES[name]
    if logit < 0:  # a real image taken for a fake, and a fake that convinces nobody, get the full slope
        assert slope(game.real) <= -1
        assert slope(game.made) <= -1
    else:
        assert slope(game.fake) >= 1


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 5, 2), (2, 1, 1)])
def test_penalties_of_a_linear_critic(shape):
    """D(x) = w·x has the gradient w everywhere: (‖w‖ - 1)² and ½ ‖w‖², whatever the batch and the shape."""
    w = torch.randn(shape, dtype=torch.float64)
    real, fake = torch.randn(2, 7, *shape, dtype=torch.float64)
    critic = lambda x, y: (w * x).sum((1, 2, 3))  # noqa: E731
    norm = w.norm().item()
    mix = torch.rand(7, dtype=torch.float64)
    assert gradient_penalty(critic, real, fake, None, mix).item() == pytest.approx((norm - 1) ** 2)
    assert r1_penalty(critic, real, None).item() == pytest.approx(norm**2 / 2)


def test_penalties_look_where_they_should():
    """D(x) = ½ ‖x‖² has the gradient x: the point itself is seen, one `mix` for all numbers of an image."""
    real, fake, mix = torch.randn(5, 2, 3, 3), torch.randn(5, 2, 3, 3), torch.rand(5)
    critic = lambda x, y: 0.5 * x.square().sum((1, 2, 3))  # noqa: E731
    between = torch.stack([m * r + (1 - m) * f for m, r, f in zip(mix, real, fake, strict=True)])
    expected = (between.flatten(1).norm(dim=1) - 1).square().mean()
    torch.testing.assert_close(gradient_penalty(critic, real, fake, None, mix), expected)
    torch.testing.assert_close(r1_penalty(critic, real, None), 0.5 * real.flatten(1).square().sum(1).mean())


@pytest.mark.parametrize("penalty", ["gradient", "r1"])
def test_penalties_teach_the_critic_and_nobody_else(penalty):
    """For D(x) = w·x the slopes are 2 (‖w‖ - 1) w / ‖w‖ and w; the images get none."""
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


def test_labels_reach_the_critic():
    w = torch.tensor([1.0, 5.0])
    critic = lambda x, y: w[y] * x.flatten(1).sum(1)  # noqa: E731
    x, y = torch.randn(2, 1, 1, 1), torch.tensor([0, 1])
    assert r1_penalty(critic, x, y).item() == pytest.approx((1 + 25) / 4)
