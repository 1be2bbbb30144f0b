"""A process of `torchrun` other than the first: it trains along until the first one ends, and prints nothing."""

import logging
import signal
import sys
from types import FrameType

import torch

from rlgen import catalog
from rlgen.core import followers, processes
from rlgen.core.config import resolve
from rlgen.core.errors import ProcessLost
from rlgen.core.former_names import current_settings
from rlgen.core.settings import Setup
from rlgen.core.signals import SIGNALS
from rlgen.preparation import make


def follow() -> None:
    """Wait for the first process, make what it trains, and take its steps with it.

    Ctrl-C and SIGTERM are passed on to the first process, which ends all. Raises ProcessLost where that was killed.
    """
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)

    logging.getLogger("rlgen").setLevel(logging.ERROR)
    for number in SIGNALS:  # until there is something to be ended in order: a wait for the first process hears nothing
        signal.signal(number, signal.SIG_DFL)
    group = processes.join()
    for number in SIGNALS:
        signal.signal(number, note)
    try:
        found = followers.description()
        entry = catalog.find(found["algorithm"])
        config = resolve(entry.config, current_settings(entry.config, found["config"]))
        algorithm = make(entry, found["task"], config, resolve(Setup, found["setup"]))
        torch.manual_seed(found["setup"]["seed"])
        followers.follow(algorithm, lambda: received[0] if received else 0)
    except ProcessLost:
        if group.rank != 1 or followers.ended_in_order():
            sys.exit(ProcessLost.code)  # another process says it
        raise
    finally:
        processes.leave()
