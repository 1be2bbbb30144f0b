import threading

import pytest
import torch

from rlgen.core.workers import side_by_side


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_results_are_in_order(threads):
    assert side_by_side(lambda x: x * x, range(50)) == [x * x for x in range(50)]


def test_each_piece_has_one_thread_and_the_caller_keeps_its_own(threads):
    seen = side_by_side(lambda _: (torch.get_num_threads(), threading.get_ident()), range(8))
    assert {count for count, _ in seen} == {1}
    assert (threading.get_ident() in {thread for _, thread in seen}) == (threads == 1)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("recording", [True, False])
def test_gradients_are_recorded_as_outside(threads, recording):
    with torch.set_grad_enabled(recording):
        assert side_by_side(lambda _: torch.is_grad_enabled(), range(2)) == [recording] * 2


def test_errors_are_raised(threads):
    with pytest.raises(ZeroDivisionError):
        side_by_side(lambda x: 1 / x, [1, 0])
