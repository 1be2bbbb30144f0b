"""Greedy episodes with the values that the agent expected, beside the return that followed. Shapes: T steps, A actions.

K is the number of atoms or quantiles of a distribution.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgen.agents.action_values import ActionValues
from rlgen.agents.base import Agent
from rlgen.agents.munchausen import CLIP
from rlgen.core.seeds import derive
from rlgen.envs import Step

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Episode:
    """One greedy episode. `units` says in words what `q`, `v` and `returns` count.

    The return that followed, `returns` (T,), is the discounted sum of the rewards as training has them, G = r + γ G':
    clipped where the agent clips them, ended by a lost life where a life ends the return, with the bonus of the
    log-policy and the entropy where the agent has Munchausen's. It ends with the episode. Where a time limit ended the
    episode, or `record` did, Q goes on: `tail` (T,) is γ^(T-t) V(s_T), which `returns` lack; else zeros.
    """

    frames: list[Any]  # T + 1 pictures, the last one of the final state; empty where none were asked for
    observations: NDArray[Any]  # (T + 1, *observation), preprocessed
    states: list[Any]  # T + 1 recurrent states before each observation; None without one
    action_masks: NDArray[np.bool_] | None  # (T + 1, A); None without action masks
    actions: NDArray[np.int64]  # (T,) from 0
    rewards: Floats  # (T,) of the environment, unclipped
    learned: Floats  # (T,) in units of q
    q: Floats  # (T, A), -inf for actions that are not allowed
    probabilities: Floats | None  # (T, A, K) of C51
    atoms: Floats | None  # (K,) returns of these
    quantiles: Floats | None  # (T, A, K) of QR-DQN
    v: Floats  # (T,) max_a Q(s, a)
    returns: Floats  # (T,) discounted, in units of q
    tail: Floats  # (T,) in units of q
    sums: Floats  # (T,) undiscounted return that followed, of `rewards`
    terminated: bool  # whether the episode ended by itself; otherwise by a time limit or by `record`
    truncated: bool  # whether a time limit ended it
    units: str

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def score(self) -> float:
        """The undiscounted return of the episode."""
        return float(self.rewards.sum())


class Player:
    """One environment of an agent's own, in which the agent or somebody else acts, and the values of its observation.

    `values` are those of the present observation, of an allowed action each; `rewards` and `length` of the episode so
    far. Raises UserError with `pictures` where the environment cannot render.
    """

    def __init__(self, agent: Agent, seed: int, pictures: bool = False) -> None:
        self.agent = agent
        self.env = agent.make_env(
            1,
            derive(seed, "film"),
            restart=False,
            clip_reward=agent.env.clip_reward,
            life_loss=agent.env.life_loss,
            **({"render_mode": "rgb_array"} if pictures else {}),
        )
        self.state: tuple[Any, ...] | None = None  # before the present observation
        self.values = self._values()

    @property
    def action_mask(self) -> NDArray[np.bool_] | None:
        """(A,) actions allowed now; None without action masks."""
        return self.env.action_mask[0] if self.env.action_mask.shape[1] > 1 else None

    @property
    def ended(self) -> bool:
        """Whether the episode is over."""
        return bool(self.env.episode_end[0])

    @property
    def score(self) -> float:
        """The undiscounted return so far."""
        return float(self.env.episode_return[0])

    def step(self, action: int | None = None) -> Step:
        """One step with this action, from 0; the greedy one by default."""
        taken = int(self.values.action) if action is None else action
        step = self.env.step(np.array([taken]))
        self.state = self.values.state
        self.values = self._values()
        return step

    def _values(self) -> ActionValues:
        return self.agent.values(self.env.obs[0], self.state, self.env.is_first, self.action_mask)


def record(
    agent: Agent,
    seed: int,
    max_steps: int | None = None,
    frames: bool = True,
    picture: Callable[[NDArray[np.uint8]], Any] = lambda frame: frame,
) -> Episode:
    """A greedy episode in an environment of its own, the first one of `rlgen play --seed SEED`; of the first seed.

    At most `max_steps` steps. `picture` converts a frame (H, W, 3) into what is kept of it. Raises UserError with
    `frames` where the environment cannot render.
    """
    player = Player(agent, seed, frames)
    try:
        return _record(player, max_steps or player.env.max_episode_steps, picture if frames else None)
    finally:
        player.env.close()


def _record(player: Player, max_steps: int, picture: Callable[[NDArray[np.uint8]], Any] | None) -> Episode:
    env, config = player.env, player.agent.config
    pictures: list[Any] = []
    actions: list[int] = []
    observations, states, masks, found = [], [], [], []
    scores, learned, terminated = [0.0], [], []
    while True:
        if picture is not None:
            pictures.append(picture(env.render()))
        observations.append(env.obs[0].copy())
        states.append(player.state)
        masks.append(player.action_mask)
        found.append(player.values)
        if player.ended or len(actions) == max_steps:
            break
        actions.append(int(player.values.action))
        step = player.step()
        scores.append(float(step.episode_return[0]))
        learned.append(float(step.reward[0]))
        terminated.append(bool(step.terminated[0]))
    q = np.stack([values.q for values in found]).astype(np.float64)  # (T + 1, A)
    ends = np.array(terminated)
    rewards = np.array(learned)
    if munchausen := getattr(config, "munchausen", 0.0):
        rewards = rewards + munchausen_terms(q, np.array(actions), ends, config.gamma, munchausen, config.temperature)
    returns, tail = discounted(rewards, ends, config.gamma, float(q[-1].max()))
    over = bool(ends[-1]) and player.ended
    return Episode(
        frames=pictures,
        observations=np.stack(observations),
        states=states,
        action_masks=None if masks[0] is None else np.stack([mask for mask in masks if mask is not None]),
        actions=np.array(actions),
        rewards=np.diff(scores),
        learned=rewards,
        q=q[:-1],
        probabilities=_stack(found, "probabilities"),
        atoms=None if found[0].atoms is None else np.asarray(found[0].atoms, np.float64),
        quantiles=_stack(found, "quantiles"),
        v=q[:-1].max(1),
        returns=returns,
        tail=tail,
        sums=np.diff(scores)[::-1].cumsum()[::-1],
        terminated=over,
        truncated=player.ended and not over,
        units=units(player.agent),
    )


def discounted(rewards: Floats, terminated: NDArray[np.bool_], gamma: float, last: float) -> tuple[Floats, Floats]:
    """G_t = r_t + γ G_{t+1}, 0 after a termination, and the part of the value `last` after the end of it: (T,) each."""
    returns, tail = np.zeros(len(rewards)), np.zeros(len(rewards))
    g, w = 0.0, last
    for t in range(len(rewards) - 1, -1, -1):
        discount = gamma * (not terminated[t])
        g, w = rewards[t] + discount * g, discount * w
        returns[t], tail[t] = g, w
    return returns, tail


def munchausen_terms(
    q: Floats, actions: NDArray[np.int64], terminated: NDArray[np.bool_], gamma: float, weight: float, tau: float
) -> Floats:
    """α [τ ln π(a_t|s_t)] + γ τ H(π(·|s_{t+1})), the bracket in [-1, 0], π = softmax(Q / τ): (T + 1, A) -> (T,).

    What Munchausen DQN adds to each reward in its target; Vieillard et al. 2020, arXiv:2007.14430.
    """
    logits = (q - q.max(1, keepdims=True)) / tau
    log_policy = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    policy = np.exp(log_policy)
    entropy = -(policy * np.where(policy > 0, log_policy, 0.0)).sum(1)  # (T + 1,)
    chosen = np.take_along_axis(log_policy[:-1], actions[:, None], 1)[:, 0]
    bonus: Floats = weight * np.clip(tau * chosen, CLIP, 0.0) + gamma * ~terminated * tau * entropy[1:]
    return bonus


def units(agent: Agent) -> str:
    """What the Q-values of an agent count, in words."""
    rewards = "signs of rewards (they are clipped in training)" if agent.env.clip_reward else "rewards"
    text = f"sum of {rewards} discounted by {agent.config.gamma:g} per step"
    if agent.env.life_loss:
        text += ", up to the loss of a life"
    if getattr(agent.config, "munchausen", 0.0):
        text += ", with Munchausen's bonus of the log-policy and entropy"
    return text


def _stack(found: list[ActionValues], name: str) -> Floats | None:
    """The values of this name of all steps but the last, (T, ...); None where there are none."""
    if getattr(found[0], name) is None:
        return None
    return np.stack([getattr(values, name) for values in found[:-1]]).astype(np.float64)
