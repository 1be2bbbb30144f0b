"""TD errors of the transitions in a replay buffer: what the networks of today expect of them, and what follows.

Shapes: S seeds, B transitions of each, A actions, K numbers per action.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlgen.agents.dqn import DQN
from rlgen.agents.drqn import DRQN
from rlgen.agents.noise import zero_noise
from rlgen.agents.replay import LEAST
from rlgen.agents.values import Categorical, gather
from rlgen.core.errors import UserError

CHUNK = 256  # transitions computed at once

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Surprise:
    """Stored transitions of the first seed in the order in which they were stored."""

    time: NDArray[np.int64]  # (B,) environment steps of the agent when it was stored
    observations: NDArray[Any]  # (B, *observation) preprocessed
    next_observations: NDArray[Any]  # (B, *observation) after the n steps; arbitrary where they terminated
    actions: NDArray[np.int64]  # (B,)
    rewards: Floats  # (B,) as the target has them: discounted sum over n steps
    discounts: Floats  # (B,) of the value after them, 0 where they terminated
    q: Floats  # (B,) Q(s, a) of the online network
    targets: Floats  # (B,) mean of the Bellman target
    priorities: Floats  # (B,) that these transitions would have now
    stored: Floats | None  # (B,) that they have, since they were last drawn, NaN of the newest; None of uniform replay

    @property
    def errors(self) -> Floats:
        """TD errors (B,): target - Q(s, a)."""
        return self.targets - self.q


def surprise(agent: Any, most: int) -> Surprise:
    """TD errors of at most `most` evenly spaced transitions. Noise in the networks is off; nothing else changes.

    Raises UserError for an agent without a replay buffer, and where it is empty, as in a portrait.
    """
    if not isinstance(agent, DQN):
        raise UserError("this agent has no replay buffer: it learns from each transition once")
    if not agent.replay.windows(agent.replay.n + isinstance(agent, DRQN)):
        raise UserError(
            "the replay buffer is empty: it fills in training, and `rlgen.load(run, experience=True)` reads that of a"
            " checkpoint; a portrait has none"
        )
    agent.eval_mode()
    zero_noise(agent.target)
    row, slot = agent.replay.spaced(most, agent.replay.n + isinstance(agent, DRQN))
    chunks = [_chunk(agent, slot[:, i : i + CHUNK]) for i in range(0, slot.shape[1], CHUNK)]
    numbers = [torch.cat(parts, 1)[0].cpu().numpy() for parts in zip(*chunks, strict=True)]
    observations, after, actions = numbers[:3]
    rewards, discounts, q, targets, priorities = (x.astype(np.float64) for x in numbers[3:])
    time, stored = (row + 1) * agent.config.num_envs, agent.replay.stored(slot)
    if stored is not None:
        stored = np.maximum(stored[0] - LEAST, 0)
    return Surprise(time, observations, after, actions, rewards, discounts, q, targets, priorities, stored)


@torch.no_grad()
def _chunk(agent: DQN, slot: NDArray[np.int64]) -> tuple[Tensor, ...]:
    """Observation, next observation, action, reward, discount, Q(s, a), target and priority, (S, B, ...) each."""
    weight = np.ones(slot.shape, np.float32)
    if isinstance(agent, DRQN):
        window = agent.replay.sequences_from(slot, weight, agent.replay.n + 1)
        state, n = window.recurrent_state, agent.replay.n
        online, _ = agent.q(window.obs, state, window.is_first)  # (S, B, 1 + n, A, K)
        next_all, _ = agent.target(window.obs, state, window.is_first)
        selector = online[:, :, n:] if agent.config.double else next_all[:, :, n:]
        policy = agent.policy(selector, window.action_mask[:, :, n:])
        found = agent.window_returns(window, next_all, policy)
        reward, discount = (x[:, :, 0] for x in found[:2])
        obs, after, action = window.obs[:, :, 0], window.obs[:, :, n], window.action[:, :, 0]
        out, next_out, policy = gather(online[:, :, 0], action), next_all[:, :, n], policy[:, :, 0]
    else:
        batch = agent.replay.transitions(slot, weight)
        obs, after, action, discount = batch.obs, batch.next_obs, batch.action, batch.discount
        out, next_out = gather(agent.q(obs), action), agent.target(after)
        policy = agent.policy(agent.q(after) if agent.config.double else next_out, batch.next_action_mask)
        reward = agent.munchausen_reward(batch, policy) if agent.config.munchausen else batch.reward
    target = agent.value.target(reward, discount, next_out, policy)  # (S, B, K)
    value = agent.value
    mean = target.mean(-1)
    if isinstance(value, Categorical):  # the target holds probabilities of the atoms, not their logits
        mean = (target * value.z.view(-1, 1, value.width)).sum(-1)
    return obs, after, action, reward, discount, value.mean(out), mean, value.priority(out, target)
