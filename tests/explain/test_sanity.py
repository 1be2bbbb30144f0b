import pytest
import torch
from scipy.stats import spearmanr

from rlgen.explain.gradients import saliency
from rlgen.explain.sanity import cascade, rank_correlation, ranks
from tests.explain.by_hand import convolutional


def test_ranks_of_equal_values_are_their_mean():
    assert ranks(torch.tensor([3.0, 1.0, 3.0, 0.0])).tolist() == [3.5, 2.0, 3.5, 1.0]


def test_rank_correlation_is_that_of_scipy_with_ties():
    a, b = torch.randn(3, 8, 8), torch.randint(0, 4, (3, 8, 8)).double()
    expected = [spearmanr(x.abs().flatten(), y.abs().flatten()).statistic for x, y in zip(a, b, strict=True)]
    assert rank_correlation(a, b).tolist() == pytest.approx(expected)


def test_rank_correlation_of_a_map_with_itself_its_negative_and_a_constant():
    a = torch.randn(1, 8, 8)
    assert rank_correlation(a, -2 * a).item() == pytest.approx(1.0)
    assert rank_correlation(a, torch.zeros(1, 8, 8)).isnan().all()


def test_a_cascade_keeps_the_first_blocks():
    trained, fresh, x = convolutional(), convolutional(), torch.randn(2, 1, 8, 8)
    assert torch.equal(cascade(trained, fresh, 0)(x), fresh(x))
    mixed = cascade(trained, fresh, 2)
    assert torch.equal(mixed.body.conv1[0].weight, trained.body.conv1[0].weight)
    assert torch.equal(mixed.body.conv2[0].weight, fresh.body.conv2[0].weight)
    assert torch.equal(mixed.head.weight, fresh.head.weight)
    assert torch.equal(cascade(trained, fresh, 1)(x), mixed(x))  # the second block is pooling, without weights
    assert torch.equal(mixed(x), fresh.head(fresh.body[2:](trained.body[:2](x))))
    assert not torch.equal(fresh.body.conv1[0].weight, trained.body.conv1[0].weight)


def test_random_weights_change_the_saliency():
    x, target = torch.randn(8, 1, 8, 8), torch.arange(8) % 3
    a, b = (saliency(convolutional(), x, target) for _ in "ab")
    assert rank_correlation(a, b).abs().mean() < 0.5
