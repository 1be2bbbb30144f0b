"""The first process of `torchrun`, which runs the training loop, and the others, which follow its commands."""

import json
import time as clock
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch

from rlgen.core import checkpoint, divergence, processes, torchrun
from rlgen.core.errors import Diverged
from rlgen.core.folder import Folder
from rlgen.core.processes import END, LOAD, exchange, present, receive, send

ENDED = "rlgen/ended"  # key in the store of torchrun: the first process ended in order
ORDERLY, POLLED = 1.0, 0.02  # seconds in which the first process sets it, and between two looks


@contextmanager
def leading(run: Folder, algorithm: Any) -> Iterator[None]:
    """Within it the processes of torchrun train the algorithm of this run together; nothing without torchrun.

    Raises ProcessLost where one of the others ends.
    """
    if torchrun.count() == 1:
        yield
        return
    group = processes.join()
    info, group.directory = run.info, str(run.directory)
    setup = {"seed": info["seed"], "device": algorithm.device.type, "threads": torch.get_num_threads()}
    facts = {name: info[name] for name in ("algorithm", "task", "config")}
    try:
        send(json.dumps({**facts, "setup": setup, "directory": group.directory}).encode())
        yield
    finally:
        with suppress(Exception):  # the others may be gone
            group.store.set(ENDED, "1")
            if not group.stepping:  # otherwise the others are within a step as well, and end with this process
                exchange(END)
        processes.leave()


def description() -> dict[str, Any]:
    """The "algorithm", "task", "config" and "setup" of the first process, and the "directory" of its run."""
    found: dict[str, Any] = json.loads(receive())
    present().directory = found["directory"]
    return found


def share_state(algorithm: Any, rollbacks: int = 0) -> None:
    """Give the state of the first process to the others: it was loaded, or changed beside the steps."""
    if processes.joined():
        exchange(LOAD)
        send(checkpoint.to_bytes({**algorithm.state_dict(), "rollbacks": rollbacks}))


def follow(algorithm: Any, received: Callable[[], int]) -> None:
    """Execute the commands of the first process until it ends. `received` is the number of a signal, or 0."""
    while (command := exchange(0, received())) != END:
        if command == LOAD:
            state = checkpoint.from_bytes(receive())
            divergence.lower_rates(algorithm, state.pop("rollbacks"))
            algorithm.load_state_dict(state)
        else:
            with suppress(Diverged):  # raised in every process: the first one decides what follows
                algorithm.step()


def ended_in_order() -> bool:
    """Whether the first process has ended as it should, which it then has said or says within a moment."""
    with suppress(Exception):  # the store may have ended with the first process
        for _ in range(round(ORDERLY / POLLED)):
            if present().store.check([ENDED]):
                return True
            clock.sleep(POLLED)
    return False
