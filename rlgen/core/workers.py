"""Threads for independent pieces of tensor arithmetic, each piece on one of them.

Two pieces side by side take less time than one after the other with every operation split over two threads, and their
results do not depend on the number of threads.
"""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


TRIALS, PERIOD = 3, 300  # calls by which a number of threads is timed, and calls until it is timed again


class Pace:
    """`side_by_side` with the faster of one thread and all, timed now and then.

    Where other processes take the cores, threads that wait for each other may be slower than one.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.seconds = {False: 0.0, True: 0.0}  # least of a call, by whether it takes all threads

    def __call__(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """The results of `function` in the order of `items`."""
        trial = self.calls % PERIOD
        self.calls += 1
        everything = trial < TRIALS or (trial >= 2 * TRIALS and self.seconds[True] <= self.seconds[False])
        start = time.perf_counter()
        found = side_by_side(function, items, None if everything else 1)
        if trial < 2 * TRIALS:
            seconds, first = time.perf_counter() - start, trial % TRIALS == 0
            self.seconds[everything] = seconds if first else min(seconds, self.seconds[everything])
        return found


def side_by_side(function: Callable[[T], R], items: Iterable[T], threads: int | None = None) -> list[R]:
    """The results of `function` in the order of `items`, by so many threads; None: as many as PyTorch is set to use.

    The calling thread is one of them. Each item has one thread of a PyTorch operation, so that the results are the same
    by any number. Gradients are recorded, and operations computed in bfloat16, where they are outside `function`.
    """
    own, most = list(items), torch.get_num_threads()
    count = max(1, min(threads or most, len(own)))
    recording, half = torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")

    def part(first: int) -> list[R]:
        with torch.set_grad_enabled(recording), torch.autocast("cpu", torch.bfloat16, enabled=half):
            return [function(item) for item in own[first::count]]

    others = [_pool(most).submit(part, k) for k in range(1, count)]
    torch.set_num_threads(1)
    try:
        parts = [part(0), *(other.result() for other in others)]
    finally:
        torch.set_num_threads(most)
    return [parts[n % count][n // count] for n in range(len(own))]


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "side by side", initializer=_take_one_thread)


def _take_one_thread() -> None:
    torch.get_num_threads()  # else PyTorch's first use of the thread would set the number again
    torch.set_num_threads(1)
