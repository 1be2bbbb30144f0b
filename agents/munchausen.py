"""The reward of Munchausen DQN: plus log-policy and entropy. Vieillard et al. 2020, arXiv:2007.14430.

Shapes: S seeds, B batch, n steps, A actions.
"""

import torch
from torch import Tensor

from rlgen.agents import settings
from rlgen.agents.actor import softmax_policy
from rlgen.agents.replay import Batch, Window

CLIP = -1.0  # lower bound of the scaled log-policy


def n_step_reward(config: settings.DQN, batch: Batch, policy: Tensor, steps: Window, q: Tensor) -> Tensor:
    """Σ_k γᵏ (r_k + α [τ ln π(a_k|s_k)] + γ τ H(π(·|s_{k+1}))) over n steps, (S, B), the bracket in [-1, 0].

    Every step of the window has its bonus and its entropy, so that the n-step target is what n targets of one step
    give in turn along the actions taken; Vieillard et al. state the case n = 1. `policy` (S, B, A) is that of the last
    state, the others are softmax policies of `q` (S, B, n, A), the values of the target network for these `steps`.
    """
    tau = config.temperature
    log_policy = softmax_policy(q, steps.action_mask, tau, log=True)  # (S, B, n, A)
    chosen = log_policy.take_along_dim(steps.action.unsqueeze(-1), -1).squeeze(-1)
    bonus = config.munchausen * (tau * chosen).clamp(CLIP, 0.0)  # (S, B, n)
    entropy = tau * torch.special.entr(log_policy[:, :, 1:].exp()).sum(-1)  # (S, B, n - 1)
    reward: Tensor = batch.reward + (steps.discount * bonus).sum(-1) + (steps.discount[:, :, 1:] * entropy).sum(-1)
    reward += batch.discount * tau * torch.special.entr(policy).sum(-1)
    return reward
