"""rlgen: a lab for reinforcement learning and generative models.

import rlgen
run = rlgen.train("dqn", "CartPole", seed=0, budget=30_000)
agent = rlgen.load(run)
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Installed, `rlgen.agents` and `rlgen.envs` lie in this package; in a checkout their folders stand beside it.
_checkout = Path(__file__).parents[1]
if (_checkout / "agents" / "base.py").is_file() and (_checkout / "pyproject.toml").is_file():
    __path__.append(str(_checkout))

if TYPE_CHECKING:
    from rlgen.api import load, resume, train

# Threads that wait for each other by spinning are a fifth faster on an idle machine, and twenty times slower beside
# one busy process. Torch reads this when it is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# The same products to the last bit in every process: else one run in ten began with another rounding. It costs nothing.
os.environ.setdefault("MKL_CBWR", "AUTO")
os.environ.setdefault("MKL_DYNAMIC", "FALSE")

__all__ = ["load", "resume", "train"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Torch is imported when something is trained or loaded, not before."""
    if name in __all__:
        import rlgen.api

        return getattr(rlgen.api, name)
    raise AttributeError(f"module 'rlgen' has no attribute {name!r}")
