import threading

import pytest
import torch

from rlgen.core import workers
from rlgen.core.workers import Pace, side_by_side


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
    assert threading.get_ident() in {thread for _, thread in seen}
    assert len({thread for _, thread in seen}) <= threads
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("recording", [True, False])
def test_gradients_are_recorded_as_outside(threads, recording):
    with torch.set_grad_enabled(recording):
        assert side_by_side(lambda _: torch.is_grad_enabled(), range(2)) == [recording] * 2


def test_errors_are_raised(threads):
    with pytest.raises(ZeroDivisionError):
        side_by_side(lambda x: 1 / x, [1, 0])


def test_the_faster_of_one_thread_and_all_is_kept_for_a_while(monkeypatch):
    taken, slow = [], [None]
    clock = [0.0]

    def spied(function, items, threads=None):
        taken.append(threads)
        clock[0] += 2.0 if threads == slow[0] else 1.0
        return [function(item) for item in items]

    monkeypatch.setattr(workers, "side_by_side", spied)
    monkeypatch.setattr(workers.time, "perf_counter", lambda: clock[0])
    pace = Pace()
    for _ in range(20):
        assert pace(lambda x: x + 1, [1, 2]) == [2, 3]
    assert taken == [None] * 3 + [1] * 17
    slow[0] = 1  # now one thread is the slower way
    for _ in range(workers.PERIOD):
        pace(lambda x: x, [])
    assert taken[workers.PERIOD :] == [None] * 3 + [1] * 3 + [None] * 14


def test_one_worker_gives_the_same_results(threads):
    x = torch.randn(64, 64)
    one, all_of_them = (side_by_side(lambda s: (s * x) @ x, range(4), count) for count in (1, None))
    assert all(torch.equal(a, b) for a, b in zip(one, all_of_them, strict=True))
