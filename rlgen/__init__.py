"""rlgen: a lab for reinforcement learning and generative models.

import rlgen
run = rlgen.train("dqn", "CartPole", seed=0, budget=30_000)
print(run.score)
agent = rlgen.load(run)
"""

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Installed, `rlgen.agents` and `rlgen.envs` are in this package; in a checkout their folders stand beside it.
_checkout = Path(__file__).parents[1]
if (_checkout / "agents" / "base.py").is_file() and (_checkout / "pyproject.toml").is_file():
    __path__.append(str(_checkout))

if TYPE_CHECKING:
    from rlgen.api import load, resume, train
    from rlgen.core.errors import (
        CheckpointError,
        DataError,
        Diverged,
        EnvironmentFault,
        Interrupted,
        StorageError,
        UserError,
    )
    from rlgen.trained_run import TrainedRun

# Threads that spin while they wait are a fifth faster on an idle machine, and twenty times slower beside one busy
# process. Torch reads this when it is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# The same matrix products to the last bit in every process: without it one run in ten rounds in another way.
os.environ.setdefault("MKL_CBWR", "AUTO")
os.environ.setdefault("MKL_DYNAMIC", "FALSE")

__all__ = [
    "CheckpointError",
    "DataError",
    "Diverged",
    "EnvironmentFault",
    "Interrupted",
    "StorageError",
    "TrainedRun",
    "UserError",
    "load",
    "resume",
    "train",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import what is asked for: torch when something is trained or loaded, not before."""
    if name not in __all__:
        raise AttributeError(f"module 'rlgen' has no attribute {name!r}")
    home = "rlgen.core.errors" if name[0].isupper() else "rlgen.api"
    return getattr(import_module("rlgen.trained_run" if name == "TrainedRun" else home), name)
