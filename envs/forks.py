"""Copies of the process that an environment makes: they end, for the original goes on with the run and its lock."""

import os
from typing import NoReturn

from rlgen.core.errors import EnvironmentFault

count = 0  # of copies between this process and the one that imported this module


def leave(name: str, method: str) -> NoReturn:
    """End this process, which the environment `name` made in `method`."""
    os.write(2, f"{name} made a copy of the process in {method}(): the copy ends here\n".encode())
    os._exit(EnvironmentFault.code)


def _count() -> None:
    global count
    count += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count)
