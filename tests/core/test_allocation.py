import pytest
import torch
from torch import nn

from rlgen.core import allocation
from rlgen.core.allocation import TooLarge, bounded


def test_weights_and_buffers_are_counted():
    with bounded(4 * 101_000):
        nn.Linear(100, 1_000)
    with (
        pytest.raises(TooLarge, match=r"more than 0 MB of weights, of a test: choose smaller"),
        bounded(403_999, "of a test"),
    ):
        nn.Linear(100, 1_000)
    with pytest.raises(TooLarge), bounded(1_000):
        nn.BatchNorm1d(200, affine=False)
    assert nn.Linear(1_000, 1_000).weight.numel() == 10**6  # nothing is counted any more


def test_what_takes_no_memory_is_not_counted():
    with bounded(100):
        nn.Linear(1_000, 1_000, device="meta")


def test_the_default_is_a_share_of_the_memory(monkeypatch):
    monkeypatch.setattr(allocation, "_memory", lambda: 10**6)
    with pytest.raises(TooLarge, match="more than 50% of the memory of this machine"), bounded():
        nn.Linear(1_000, 200)
    assert TooLarge.code == 6
    assert allocation.SHARE * 10**6 < 4 * 1_000 * 200


def test_a_network_within_the_memory_is_built():
    with bounded():
        layer = nn.Linear(3, 2)
    assert torch.isfinite(layer.weight).all()
