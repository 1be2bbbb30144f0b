"""Deep recurrent Q-learning, for worlds that one observation does not tell all of.

Hausknecht & Stone 2015, arXiv:1507.06527; stored memory and burn-in: Kapturowski et al. 2019, R2D2.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rlgen.agents import settings
from rlgen.agents.base import RecurrentState, greedy_action
from rlgen.agents.dqn import DQN
from rlgen.agents.networks import RecurrentQNetwork, draw_noise
from rlgen.agents.replay import Batch, Sequences
from rlgen.agents.values import gather
from torch import Tensor, nn

from rlgen.core.algorithm import descend

PEAK = 0.9  # share of the largest surprise in the priority of a sequence, the rest being their mean (R2D2)


class DRQN(DQN):
    """DQN whose network remembers. T is the length of a sequence, M the numbers remembered."""

    Config = settings.DRQN
    config: settings.DRQN

    @property
    def recurrent_size(self) -> int:
        """M: the LSTM's output and its cell."""
        return 2 * self.config.width

    def network(self) -> nn.Module:
        """A new recurrent Q-network for one seed."""
        env = self.env
        return RecurrentQNetwork(env.shape, env.num_actions, self.value.width, self.config, env.scale)

    def greedy(
        self,
        obs: NDArray[Any],
        action_mask: NDArray[np.bool_],
        recurrent_state: RecurrentState,
        is_first: NDArray[np.bool_],
    ) -> tuple[NDArray[np.int64], RecurrentState]:
        """argmax_a Q(history, a) over legal actions, and the memory after this observation."""
        assert recurrent_state is not None
        with torch.inference_mode():
            x, m, s = (torch.from_numpy(self.split_seeds(x)).to(self.device) for x in (obs, recurrent_state, is_first))
            out, m = self.q(x.unsqueeze(2), m, s.unsqueeze(2))  # T = 1
            q = self.value.mean(out.squeeze(2)).flatten(0, 1).cpu().numpy()
        return greedy_action(q, action_mask), m.flatten(0, 1).cpu().numpy()

    @property
    def ready(self) -> bool:
        """Whether a whole sequence can be drawn."""
        return self.replay.windows(self.span) > 0

    @property
    def span(self) -> int:
        """Steps of a sequence: those that warm the memory up, those learned from, those of the last n-step return."""
        return self.config.burn_in + self.config.length + self.config.n_step

    def learn(self) -> dict[str, Tensor | float]:
        """A burst of gradient steps through time; metrics of the last of them."""
        config = self.config
        for _ in range(config.gradient_steps):
            window = self.replay.sequences(config.batch, self.span, self.beta)
            if config.noisy:
                draw_noise(self.q, self.noise)
                draw_noise(self.target, self.noise)
            error, priority, q = self.error(window)
            loss = (window.weight * error).mean(1)  # (S,)
            norm = descend(self.optimizer, loss.sum(), config.max_grad_norm, config.seeds)
            if config.alpha:
                self.replay.prioritize(window.index, PEAK * priority.amax(-1) + (1 - PEAK) * priority.mean(-1))
        return {"loss": loss.detach(), "q": q.mean((1, 2)), "gradient_norm": norm, "epsilon": self.epsilon}

    def error(self, window: Sequences) -> tuple[Tensor, Tensor, Tensor]:
        """The error (S, B) of the steps learned from, their surprises (S, B, T) and Q values (S, B, T)."""
        burn_in, length, n = self.config.burn_in, self.config.length, self.config.n_step
        with torch.no_grad():
            target_values, _ = self.target(
                window.obs, window.recurrent_state, window.is_first
            )  # (S, B, burn_in + T + n, A, K)
            recurrent_state = window.recurrent_state
            if burn_in:
                _, recurrent_state = self.q(
                    window.obs[:, :, :burn_in], recurrent_state, window.is_first[:, :, :burn_in]
                )
        out, _ = self.q(
            window.obs[:, :, burn_in:], recurrent_state, window.is_first[:, :, burn_in:]
        )  # (S, B, T + n, A, K)
        here, there = slice(burn_in, burn_in + length), slice(burn_in + n, None)
        reward, discount, whole = n_step_returns(window, self.config.gamma, n)
        batch = Batch(
            window.obs[:, :, here], window.action_mask[:, :, here], window.action[:, :, here],
            reward[:, :, burn_in:], discount[:, :, burn_in:], window.obs[:, :, there], window.action_mask[:, :, there],
            window.weight, window.index,
        )  # fmt: skip
        with torch.no_grad():
            next_out = target_values[:, :, there]
            selector = out[:, :, n:] if self.config.double else next_out
            target = self.backup(
                batch, target_values[:, :, here] if self.config.munchausen else None, next_out, selector
            )
        out = gather(out[:, :, :length], batch.action)  # (S, B, T, K)
        whole = whole[:, :, burn_in:]
        error = (whole * self.value.error(out, target)).mean(2)
        out = out.detach()
        return error, whole * self.value.priority(out, target), self.value.mean(out)


def n_step_returns(window: Sequences, gamma: float, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Σ_k γᵏ R, the discount of what follows, and 1 where that is known: (S, B, T - n) each.

    It is not where a time limit cut the episode off less than n steps on, for the row after that is another episode's.
    """
    steps = window.reward.shape[2] - n
    reward = torch.zeros_like(window.reward[:, :, :steps])
    alive, whole = torch.ones_like(reward), torch.ones_like(reward)
    for k in range(n):
        at = slice(k, k + steps)
        reward = reward + gamma**k * alive * window.reward[:, :, at]
        cut = window.done[:, :, at] & ~window.terminated[:, :, at]
        whole = whole * ~(cut & (alive > 0))
        alive = alive * ~window.done[:, :, at]
    return reward, gamma**n * alive, whole
