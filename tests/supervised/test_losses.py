"""Losses against sums written out, and at scores where their value is known."""

import math

import numpy as np
import pytest
import torch

from rlgen.supervised import losses

STREAM = torch.Generator().manual_seed(0)
LOGITS = torch.randn(2, 5, 4, generator=STREAM, dtype=torch.float64)  # (S, B, K)
LABELS = torch.randint(4, (2, 5), generator=STREAM)


def each(of):
    """`of(scores, label)` of every image, (S, B)."""
    return torch.tensor(
        [
            [of(s.tolist(), y) for s, y in zip(rows, ys.tolist(), strict=True)]
            for rows, ys in zip(LOGITS, LABELS, strict=True)
        ]
    ).double()


def test_the_hinge_of_weston_and_watkins():
    slow = each(lambda s, y: sum(max(0.0, s[k] - s[y] + 1) for k in range(4) if k != y))
    torch.testing.assert_close(losses.hinge(LOGITS, LABELS).double(), slow)


def test_the_hinge_of_three_scores_with_margin_10():
    scores = torch.tensor([[13.0, -7.0, 11.0]])
    assert losses.hinge(scores, torch.tensor([0]), margin=10.0).item() == 8


def test_one_against_the_rest():
    slow = each(lambda s, y: sum(max(0.0, 1 - (1 if k == y else -1) * s[k]) ** 2 for k in range(4)))
    torch.testing.assert_close(losses.one_against_rest(LOGITS, LABELS).double(), slow)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_with_smoothed_labels(smoothing):
    def slow(s, y):
        log_z = math.log(sum(map(math.exp, s)))
        share = [smoothing / 4 + (1 - smoothing) * (k == y) for k in range(4)]
        return -sum(q * (x - log_z) for q, x in zip(share, s, strict=True))

    found = losses.cross_entropy(LOGITS, LABELS, smoothing)
    torch.testing.assert_close(found.double(), each(slow), rtol=1e-5, atol=1e-6)


def test_equal_scores_have_a_known_loss():
    found = [losses.untrained(name, 10) for name in ("softmax", "svm", "ova")]
    assert found == pytest.approx([math.log(10), 9, 10])


def test_a_certain_right_answer_costs_nothing():
    """The loss takes logits: after a second softmax it could not fall below 1.4612."""
    certain = torch.zeros(1, 10)
    certain[0, 3] = 30
    assert losses.cross_entropy(certain, torch.tensor([3])).item() < 1e-3


def test_smoothing_has_a_floor():
    """The entropy of the smoothed label: 0.5003 nats for 0.1 of ten classes."""
    share = torch.full((10,), 0.01)
    share[0] = 0.91
    smoothed = losses.loss("softmax", 0.1)(share.log().view(1, 10), torch.tensor([0])).item()
    assert smoothed == pytest.approx(0.5003, abs=1e-4)


@pytest.mark.parametrize(("name", "error"), [("softmax", 1e-7), ("svm", 1e-4), ("ova", 1e-4)])
def test_gradients_equal_centred_differences(name, error):
    loss, logits, step = losses.loss(name), LOGITS[0].clone().requires_grad_(), 1e-5
    (gradient,) = torch.autograd.grad(loss(logits, LABELS[0]).sum(), logits)
    for i, k in np.ndindex(5, 4):
        moved = [LOGITS[0].clone() for _ in range(2)]
        moved[0][i, k] += step
        moved[1][i, k] -= step
        up, down = (loss(x, LABELS[0]).sum() for x in moved)
        assert gradient[i, k].item() == pytest.approx(((up - down) / (2 * step)).item(), rel=error, abs=1e-9)
