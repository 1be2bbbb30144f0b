"""What an agent expects of each action: Q-values and, where the agent has one, the distribution of the return."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class ActionValues:
    """Values of A actions in one observation, or in each of n: then every array but `atoms` has a leading axis n.

    `q` (A,) is the expected discounted return Q(s, a), in units of the reward as it is in training (clipped where the
    agent clips it); -inf for an action that is not allowed. Of C51 `probabilities` (A, K) of the returns `atoms` (K,),
    z_1 < ... < z_K; of QR-DQN `quantiles` (A, K) of the return at the levels (i + 1/2) / K, i = 0, ..., K - 1, as the
    network has them: neighbours may cross. Both are of every action, and q is their mean. `state` is the next
    recurrent state for `predict` and `values`. float32, but float64 of a table.
    """

    q: Floats
    probabilities: Floats | None = None
    atoms: Floats | None = None
    quantiles: Floats | None = None
    state: tuple[Any, ...] | None = None

    @property
    def v(self) -> Any:
        """V(s) = max_a Q(s, a) over allowed actions: a number, or (n,) for n observations."""
        return self.q.max(-1)

    @property
    def action(self) -> Any:
        """The index of the greedy action, the first of equal ones: a number, or (n,) for n observations."""
        return self.q.argmax(-1)
