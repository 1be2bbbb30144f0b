import pytest
import torch
import torch.nn.functional as F

from rlgen.core import processes
from rlgen.core.layers import Dropout
from rlgen.core.processes import Group
from rlgen.core.synchronised import batch_norm


@pytest.fixture
def member(monkeypatch):
    """Makes this process a member of a group within a step."""

    def place(rank, count=3, split=True):
        monkeypatch.setattr(processes, "_group", Group(rank, count, None, stepping=True, split=split))
        return processes.present()

    return place


def test_a_process_alone_computes_everything():
    x = torch.arange(6)
    assert processes.share(x) is x
    assert processes.total(6) == 6
    assert processes.shares() == 1
    assert processes.rows(torch.ones, 3).shape == (3,)
    assert processes.mean(x) is x


def test_shares_are_a_minibatch_in_order(member):
    x, y = torch.arange(12).view(2, 6), torch.arange(6)[None]
    parts = []
    for rank in range(3):
        group = member(rank, split=False)
        found = processes.share((x, None, (y,)), 1)
        assert found[1] is None
        assert found[2][0].tolist() == y[:, 2 * rank : 2 * rank + 2].tolist()
        assert group.split
        assert processes.total(2) == 6
        parts.append(found[0])
    assert torch.cat(parts, 1).tolist() == x.tolist()


def test_what_does_not_divide_is_computed_by_all(member):
    group = member(1)
    assert processes.share(torch.arange(7)).tolist() == list(range(7))
    assert not group.split
    assert processes.total(7) == 7


@pytest.mark.parametrize("axis", [0, 1])
def test_draws_are_the_rows_of_those_of_one_process(member, axis):
    shape = [4, 4, 4]

    def drawn(count):
        stream = torch.Generator().manual_seed(1)
        shape[axis] = count
        return processes.rows(
            lambda n: torch.randn(*shape[:axis], n, *shape[axis + 1 :], generator=stream), count, axis
        )

    member(0, 1)
    whole = drawn(12)
    parts = []
    for rank in range(3):
        member(rank)
        parts.append(drawn(4))
    assert torch.equal(torch.cat(parts, axis), whole)


def test_dropout_masks_are_those_of_one_process(member):
    layer, x = Dropout(0.5), torch.ones(6, 2, 3, 3).to(memory_format=torch.channels_last)

    def masked(x):
        layer.stream = torch.Generator().manual_seed(2)
        return layer(x)

    member(0, 1)
    whole = masked(x)
    assert 0 < int((whole == 0).sum()) < whole.numel()
    parts = []
    for rank in range(3):
        member(rank)
        parts.append(masked(x[2 * rank : 2 * rank + 2]))
    assert torch.equal(torch.cat(parts), whole)


def test_batch_norm_over_shares_is_that_of_the_whole_minibatch(monkeypatch, member):
    """Three shares in one process: what they gather is known beforehand."""
    x = torch.randn(6, 2, 4, 4, dtype=torch.float64) * 3 + 5
    gain, bias = torch.randn(2, dtype=torch.float64), torch.randn(2, dtype=torch.float64)
    expected, mean, variance = None, torch.zeros(2), torch.ones(2)
    expected = F.batch_norm(x.float(), mean, variance, gain.float(), bias.float(), True, 0.1, 1e-5)
    shares = x.float().chunk(3)
    gathered = torch.stack([torch.stack(torch.var_mean(part, (0, 2, 3), correction=0)) for part in shares])
    for rank, part in enumerate(shares):
        member(rank)
        monkeypatch.setattr(processes, "gathered", lambda own, rank=rank: _same(own, gathered, rank))
        own_mean, own_variance = torch.zeros(2), torch.ones(2)
        found = batch_norm(part, own_mean, own_variance, gain.float(), bias.float(), 0.1, 1e-5)
        torch.testing.assert_close(found, expected[2 * rank : 2 * rank + 2])
        torch.testing.assert_close(own_mean, mean)
        torch.testing.assert_close(own_variance, variance)


def _same(own, gathered, rank):
    torch.testing.assert_close(own, gathered[rank])
    return gathered
