"""Threads for independent pieces of tensor arithmetic, each piece on one of them.

Two pieces side by side take less time than one after the other with every operation split over two threads, and their
results do not depend on the number of threads.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


def side_by_side(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """The results of `function` in the order of `items`, as many computed at a time as PyTorch is set to use threads.

    Gradients are recorded, and operations computed in bfloat16, within `function` where they are outside it.
    """
    threads, recording = torch.get_num_threads(), torch.is_grad_enabled()
    half = torch.is_autocast_enabled("cpu")
    if threads == 1:
        return [function(item) for item in items]

    def run(item: T) -> R:
        with torch.set_grad_enabled(recording), torch.autocast("cpu", torch.bfloat16, enabled=half):
            return function(item)

    return list(_pool(threads).map(run, items))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "side by side", initializer=_take_one_thread)


def _take_one_thread() -> None:
    torch.get_num_threads()  # else PyTorch's first use of the thread would set the number again
    torch.set_num_threads(1)
