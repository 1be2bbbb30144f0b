"""Deep Q-learning, and the six improvements of Rainbow as switches.

Mnih et al. 2015, doi:10.1038/nature14236; Rainbow: Hessel et al. 2018, arXiv:1710.02298. Each part has one place:

double          `DQN.learn`: who is the selector of the next action      van Hasselt et al. 2016, arXiv:1509.06461
dueling         `networks.Head`                                         Wang et al. 2016, arXiv:1511.06581
prioritised     `priorities.Priorities`, `Replay.sample`                Schaul et al. 2016, arXiv:1511.05952
n-step          `Replay.sample`                                         Sutton 1988, doi:10.1007/BF00115009
distributional  `values.Categorical`, or `values.Quantile`              Bellemare et al. 2017, Dabney et al. 2018
noisy           `networks.NoisyLinear`                                  Fortunato et al. 2018, arXiv:1706.10295
and munchausen  `DQN.munchausen_reward`                                 Vieillard et al. 2020, arXiv:2007.14430
"""

import copy
import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rlgen.agents import settings
from rlgen.agents.base import Agent, RecurrentState, greedy_action
from rlgen.agents.networks import QNetwork, draw_noise, in_numpy, zero_noise
from rlgen.agents.replay import Batch, Replay
from rlgen.agents.values import Categorical, Quantile, Scalar, Value, gather
from rlgen.envs import Step, VectorEnv
from torch import Tensor, nn

from rlgen.core.algorithm import Rows, StepMetrics, count, descend
from rlgen.core.device import choose
from rlgen.core.schedule import linear
from rlgen.core.seeds import Seeds, initial_weights, torch_stream
from rlgen.core.settings import Setup
from rlgen.core.state import State

CLIPPED = -1.0  # the least reward that Munchausen adds, before its share is taken


class DQN(Agent):
    """Learn Q(s, a) from replayed experience. Shapes: S seeds, N lanes, B batch, A actions, K numbers per action."""

    Config = settings.DQN
    config: settings.DQN
    state = ("env", "replay", "q", "target", "optimizer", "rng", "noise", "returns", "recurrent_state", "time")

    def __init__(self, task: str, config: settings.DQN, setup: Setup) -> None:
        super().__init__(task, config, setup, clip_reward=config.clip_reward, life_loss=config.life_loss)
        self.device = choose(setup, accelerate=len(self.env.shape) == 3)
        self.value = _value(config, self.device)
        with initial_weights(setup.seed):
            self.q = Seeds(self.network, config.seeds).to(self.device)
        self.target = copy.deepcopy(self.q).requires_grad_(False)
        self.optimizer = torch.optim.Adam(self.q.parameters(), lr=config.lr, eps=config.adam_eps, fused=True)
        self.replay = Replay(
            config.buffer_size, config.seeds, config.num_envs, self.env.shape, self.env.dtype,
            self.env.action_mask.shape[1], frame_stack=config.frame_stack, n_step=config.n_step, gamma=config.gamma,
            alpha=config.alpha, seed=setup.seed, recurrent_size=self.recurrent_size, device=self.device,
        )  # fmt: skip
        self.noise = torch_stream(setup.seed, "noise")
        self.acting = self.acting_in_numpy()
        self.discounted, self.elapsed = np.zeros(len(self.env.obs)), np.zeros(len(self.env.obs), np.int64)
        self.warned = False
        self.recurrent_state = self.initial_state(len(self.env.obs))

    @property
    def recurrent_size(self) -> int:
        """Numbers that the network remembers from step to step: none."""
        return 0

    def network(self) -> nn.Module:
        """A new Q-network for one seed."""
        env = self.env
        return QNetwork(env.shape, env.num_actions, self.value.width, self.config, env.scale)

    def acting_in_numpy(self) -> Callable[[NDArray[np.float32]], NDArray[np.float32]] | None:
        """Q(s, ·) without torch, (S, N, *obs) -> (S, N, A), where the network is small and calm enough for that."""
        config, shape = self.config, self.env.shape
        plain = self.device.type == "cpu" and self.value.width == 1 and not config.noisy and len(shape) == 1
        return in_numpy(self.q) if plain and isinstance(self.q.network, QNetwork) else None

    def make_env(self, num_envs: int, seed: int, **more: Any) -> VectorEnv:
        """Environments like those it was made for."""
        return super().make_env(
            num_envs,
            seed,
            frame_stack=self.config.frame_stack,
            repeat_action_probability=self.config.repeat_action_probability,
            **more,
        )

    def step(self) -> StepMetrics:
        """A few environment steps, then a burst of gradient steps."""
        metrics, config = self.play(), self.config
        if self.time >= config.learning_starts and self.ready:
            lr = linear(config.lr, config.lr_end or config.lr, config.lr_steps, self.time)
            self.optimizer.param_groups[0]["lr"] = lr
            metrics.update(self.learn())
        return metrics

    @property
    def ready(self) -> bool:
        """Whether there is anything to draw."""
        return len(self.replay) > 0

    def play(self) -> dict[str, Tensor | float | Rows]:
        """`train_every` environment steps, shared by the lanes, into the replay memory."""
        before, env = self.time, self.env
        ended: Rows = []  # episodes
        while self.time < before + self.config.train_freq:
            obs, action_mask, is_first, recurrent_state = env.obs, env.action_mask, env.is_first, self.recurrent_state
            action, self.recurrent_state = self.act(obs, action_mask, recurrent_state, is_first)
            step = env.step(action)
            self.replay.push(obs, action_mask, is_first, action, step, recurrent_state)
            self.time += self.config.num_envs
            ended += self.finished_episodes(step)
            if self.config.atoms > 1:
                self.check_support(step)
        if times := self.time // self.config.target_update_interval - before // self.config.target_update_interval:
            self.update_target(times)
        return self.episode_metrics(ended)

    def act(
        self,
        obs: NDArray[Any],
        action_mask: NDArray[np.bool_],
        recurrent_state: RecurrentState,
        is_first: NDArray[np.bool_],
    ) -> tuple[NDArray[np.int64], RecurrentState]:
        """Greedy with fresh noise, or but for each lane's own chance of a random action."""
        if self.config.noisy:
            draw_noise(self.q, self.noise)
        return super().act(obs, action_mask, recurrent_state, is_first)

    @property
    def epsilon(self) -> float:
        """The probability of a random action now; none where the network explores by its noise."""
        return 0.0 if self.config.noisy else super().epsilon

    def eval_mode(self) -> None:
        """No noise, until training draws it again."""
        zero_noise(self.q)

    def greedy(
        self,
        obs: NDArray[Any],
        action_mask: NDArray[np.bool_],
        recurrent_state: RecurrentState,
        is_first: NDArray[np.bool_],
    ) -> tuple[NDArray[np.int64], RecurrentState]:
        """argmax_a Q(s, a) over legal actions, (S * N, *observation) -> (S * N,), and the memory after it."""
        if self.acting is not None:
            q = self.acting(self.split_seeds(obs))
        else:
            with torch.inference_mode():
                x = torch.from_numpy(self.split_seeds(obs)).to(self.device)
                q = self.value.mean(self.q(x)).cpu().numpy()
        return greedy_action(q.reshape(-1, q.shape[-1]), action_mask), recurrent_state

    def learn(self) -> dict[str, Tensor | float]:
        """A burst of gradient steps, during which the target network stands still; metrics of the last of them.

        The loss is a mean over B and a sum over S, so no seed feels another. Priorities change after the burst.
        """
        config = self.config
        burst = self.replay.sample(config.gradient_steps * config.batch, self.beta)
        priorities = []
        for batch, next_out in self.target_values(burst):
            out = gather(self.q(batch.obs), batch.action)  # (S, B, K)
            with torch.no_grad():
                here = self.target(batch.obs) if config.munchausen else None
                selector = self.q(batch.next_obs) if config.double else next_out
                target = self.backup(batch, here, next_out, selector)
            loss = (batch.weight * self.value.error(out, target)).mean(1)  # (S,)
            norm = descend(self.optimizer, loss.sum(), config.max_grad_norm, config.seeds)
            if config.alpha:
                priorities.append(self.value.priority(out.detach(), target))
        if config.alpha:
            self.replay.prioritize(burst.index, torch.cat(priorities, 1))
        q = self.value.mean(out.detach()).mean(1)
        return {"loss": loss.detach(), "q": q, "gradient_norm": norm, "epsilon": self.epsilon}

    @property
    def beta(self) -> float:
        """How far importance weights undo what priorities do, now."""
        return linear(self.config.beta, 1.0, self.config.beta_steps, self.time)

    def target_values(self, burst: Batch) -> Iterator[tuple[Batch, Tensor]]:
        """The batches of a burst, each with what the target network Q' gives for s', (S, B, A, K).

        One pass does for the whole burst, but for noise, which is fresh for every batch and both networks.
        """
        for part in _split(burst, self.config.batch if self.config.noisy else burst.index.shape[1]):
            if self.config.noisy:
                draw_noise(self.q, self.noise)
                draw_noise(self.target, self.noise)
            with torch.no_grad():
                next_out = self.target(part.next_obs)
            yield from zip(_split(part, self.config.batch), next_out.split(self.config.batch, 1), strict=True)

    def backup(self, batch: Batch, here: Tensor | None, next_out: Tensor, selector: Tensor) -> Tensor:
        """The target r + γ Σ_a' π(a'|s') Q'(s', a'), (S, B, K).

        `next_out` is what the target network gives for s', `selector` what the network does that makes
        the policy: the same, or the online one in double Q-learning; `here` is what the target network
        gives for s, which only Munchausen needs. All (S, B, A, K).
        """
        q = self.value.mean(selector).masked_fill(~batch.next_action_mask, -torch.inf)
        if here is None:  # greedy
            policy = torch.zeros_like(q).scatter_(-1, q.argmax(-1, keepdim=True), 1.0)  # (S, B, A)
            return self.value.backup(batch.reward, batch.discount, self.value.mix(next_out, policy))
        policy = (q / self.config.temperature).softmax(-1)
        return self.value.backup(
            self.munchausen_reward(batch, here, policy), batch.discount, self.value.mix(next_out, policy)
        )

    def munchausen_reward(self, batch: Batch, here: Tensor, policy: Tensor) -> Tensor:
        """r + α [τ ln π(a|s)] + γ τ H(π(·|s')), the bracket clipped to [-1, 0]: (S, B). π is the softmax of Q' / τ."""
        tau = self.config.temperature
        q = self.value.mean(here).masked_fill(~batch.action_mask, -torch.inf)
        log_policy = (q / tau).log_softmax(-1).take_along_dim(batch.action.unsqueeze(-1), -1).squeeze(-1)
        bonus = self.config.munchausen * (tau * log_policy).clamp(CLIPPED, 0.0)
        softened: Tensor = batch.reward + bonus + batch.discount * tau * torch.special.entr(policy).sum(-1)
        return softened

    @torch.no_grad()
    def update_target(self, times: int) -> None:
        """θ' ← (1 - τ) θ' + τ θ, `times` over, buffers included."""
        share = 1 - (1 - self.config.tau) ** times
        online, target = self.q.state_dict(), self.target.state_dict()
        for name, value in target.items():
            value.lerp_(online[name], share) if value.is_floating_point() else value.copy_(online[name])

    def check_support(self, step: Step) -> None:
        """Say once where the discounted return of an episode lies outside the support of C51."""
        self.discounted += self.config.gamma**self.elapsed * step.reward
        self.elapsed += 1
        if step.done.any():
            seen = self.discounted[step.done]
            outside = seen[(seen < self.config.v_min) | (seen > self.config.v_max)]
            if len(outside) and not self.warned:
                self.warned = True
                logging.getLogger("rlgen").warning(
                    f"a discounted return of {outside[0]:.4g} was seen, which --v-min {self.config.v_min:g}"
                    f" --v-max {self.config.v_max:g} do not cover: what lies outside is learned as the nearest end"
                )
            self.discounted[step.done], self.elapsed[step.done] = 0.0, 0

    def initial_state(self, num_envs: int) -> RecurrentState:
        """What is remembered before anything was seen."""
        return np.zeros((num_envs, self.recurrent_size), np.float32) if self.recurrent_size else None

    def load_state_dict(self, saved: State) -> None:
        """Take over what `state_dict` gave; no window of steps reaches across an episode that could not be restored."""
        super().load_state_dict(saved)
        self.replay.cut(self.env.restarted)

    def parameter_count(self) -> int:
        """Trainable numbers, those of all seeds together."""
        return count(self.q)


def _split(batch: Batch, size: int) -> Iterator[Batch]:
    return (Batch(*(x[:, i : i + size] for x in batch)) for i in range(0, batch.index.shape[1], size))


def _value(config: settings.DQN, device: torch.device) -> Value:
    if config.atoms > 1:
        return Categorical(config.atoms, config.v_min, config.v_max, device)
    if config.quantiles > 1:
        return Quantile(config.quantiles, device)
    return Scalar(config.loss)
