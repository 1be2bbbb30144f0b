"""The place of this process among those that `torchrun` started for one training. Imports no torch.

https://docs.pytorch.org/docs/stable/elastic/run.html
"""

import os
from typing import Any

from rlgen.core.errors import UserError

VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # all of them are set by torchrun


def count() -> int:
    """Number of processes of the training, on all machines; 1 without torchrun."""
    return _number("WORLD_SIZE", 1) if all(name in os.environ for name in VARIABLES) else 1


def rank() -> int:
    """Number of this process; process 0 has the run folder, the console and the checkpoints."""
    return _number("RANK", 0) if count() > 1 else 0


def local_rank() -> int:
    """Number of this process among those of this machine."""
    return _number("LOCAL_RANK", rank()) if count() > 1 else 0


def local_count() -> int:
    """Number of processes on this machine."""
    return _number("LOCAL_WORLD_SIZE", count()) if count() > 1 else 1


def check(config: Any) -> None:
    """Raise UserError where the steps of an algorithm with these settings cannot be shared out among the processes."""
    batch, n = config.batch, count()
    if rest := batch % n:
        lower = f"{batch - rest} or " if batch > rest else ""
        raise UserError(
            f"--batch {batch} cannot be shared out equally among the {n} processes of torchrun:"
            f" give --batch {lower}{batch - rest + n}"
        )
    if config.full_batch:
        raise UserError(
            f"--optimizer {config.optimizer} takes the whole training set at each step, and torchrun shares out"
            " minibatches: take adam or momentum, or train in one process"
        )
    if (networks := getattr(config, "side_by_side", 1)) > 1:
        raise UserError(
            f"torchrun: {networks} networks are trained side by side in one process: leave out --seeds, --members and"
            " --folds, or train without torchrun"
        )


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    return max(0, int(text)) if text.isdecimal() else default
