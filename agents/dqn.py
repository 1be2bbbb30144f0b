"""Deep Q-learning with the six improvements of Rainbow as settings.

Mnih et al. 2015, doi:10.1038/nature14236; Rainbow: Hessel et al. 2018, arXiv:1710.02298. Each part has one place:

double          `DQN.learn`, the selector                               van Hasselt et al. 2016, arXiv:1509.06461
dueling         `networks.Head`                                         Wang et al. 2016, arXiv:1511.06581
prioritised     `priorities.Priorities`, `Replay.sample`                Schaul et al. 2016, arXiv:1511.05952
n-step          `Replay.sample`                                         Sutton 1988, doi:10.1007/BF00115009
distributional  `values.Categorical`, `support`, or `values.Quantile`   Bellemare et al. 2017, Dabney et al. 2018
noisy           `noise.NoisyLinear`                                     Fortunato et al. 2018, arXiv:1706.10295
and munchausen  `munchausen.n_step_reward`                              Vieillard et al. 2020, arXiv:2007.14430
"""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rlgen.agents import settings
from rlgen.agents.action_values import Floats
from rlgen.agents.actor import ActorInput, RecurrentState, greedy_policy, softmax_policy
from rlgen.agents.base import Agent
from rlgen.agents.gradients import ByHand, gradients
from rlgen.agents.members import Member, MemberSeed, Number, as_metric, linear, over
from rlgen.agents.munchausen import n_step_reward
from rlgen.agents.networks import QNetwork, mix_atoms
from rlgen.agents.noise import Noise
from rlgen.agents.perceptron import Perceptron
from rlgen.agents.plain import Plain
from rlgen.agents.replay import Batch, Replay
from rlgen.agents.support import projection, support
from rlgen.agents.values import Categorical, Quantile, Scalar, Value, gather, spread
from rlgen.core.algorithm import Rows, StepMetrics, count
from rlgen.core.device import choose
from rlgen.core.optim import Optimization
from rlgen.core.seeds import torch_stream
from rlgen.core.settings import Setup
from rlgen.core.state import State
from rlgen.envs import VectorEnv


class DQN(Agent):
    """Q(s, a) from replayed transitions. Shapes: S seeds, N environments, B batch, A actions, K numbers per action."""

    Config = settings.DQN
    config: settings.DQN
    optimizer: Optimization
    state = (
        "env", "replay", "q", "target", "optimizer", "rng", "noise", "returns", "recurrent_state", "support", "time",
    )  # fmt: skip
    experience = ("env", "replay")
    learned = ("q", "support", "time")

    def __init__(self, task: str, config: settings.DQN, setup: Setup, members: Sequence[Member] = ()) -> None:
        super().__init__(task, config, setup, members, clip_reward=config.clip_reward, life_loss=config.life_loss)
        config, number = self.config, self.members.number
        self.device = choose(setup, accelerate=len(self.env.shape) == 3, networks=config.seeds)
        self.support = support(config, number("gamma"))
        self.value = self.make_value()
        self.q = self.members.networks(self.network).to(self.device)
        self.target = copy.deepcopy(self.q).requires_grad_(False)
        self.optimizer = Optimization(config, self.q, seeds=config.seeds, members=self.members.configs)
        self.replay = Replay(
            config.buffer_size, config.seeds, config.num_envs, self.env.shape, self.env.dtype,
            self.env.action_mask.shape[1], frame_stack=config.frame_stack, n_step=config.n_step, gamma=number("gamma"),
            alpha=config.alpha, seed=self.members.seeds or setup.seed, recurrent_size=self.recurrent_size,
            device=self.device,
        )  # fmt: skip
        self.beta_schedule = number("beta"), number("beta_steps")
        self.target_schedule = number("target_update_interval"), number("tau")
        self.noise = torch_stream(setup.seed, "noise")
        self.prediction_noise = torch_stream(setup.seed, "prediction noise")  # no part of the training state
        self.online, self.fixed = gradients(self.q), gradients(self.target)
        self.plain = self.make_plain()
        self.online_noise, self.target_noise = Noise(self.q), Noise(self.target)
        self.recurrent_state = self.initial_state(len(self.env.obs))

    @property
    def recurrent_size(self) -> int:
        """Numbers in the recurrent state of one environment; 0 without one."""
        return 0

    def make_env(self, num_envs: int, seed: MemberSeed, **options: Any) -> VectorEnv:
        """A new vector environment for the task, with the settings of this agent."""
        stack, sticky = self.config.frame_stack, self.config.repeat_action_probability
        return super().make_env(num_envs, seed, frame_stack=stack, repeat_action_probability=sticky, **options)

    def make_value(self) -> Value:
        """The representation of action values."""
        config = self.config
        if self.support is not None:
            return self.support.categorical(config.atoms, self.device)
        return Quantile(config.quantiles, self.device) if config.quantiles > 1 else Scalar(config.loss)

    def network(self) -> nn.Module:
        """A new Q-network of one seed."""
        return QNetwork(self.env.shape, self.env.num_actions, self.value.width, self.config, self.env.scale)

    def make_plain(self) -> Plain | None:
        """Gradient steps in numpy: of a multilayer perceptron with K = 1, without noise and Munchausen, on the CPU."""
        if self.value.width > 1 or self.config.noisy or self.config.munchausen or not isinstance(self.online, ByHand):
            return None
        return Plain(self.config, Perceptron(self.q), Perceptron(self.target), self.optimizer)

    # ---- training

    def step(self) -> StepMetrics:
        """`train_freq` environment steps, then `gradient_steps` gradient steps."""
        metrics, config = self.collect(), self.config
        if self.time >= config.learning_starts and self.ready:
            if self.support is not None:
                self.fit_support()
            metrics.update(self.learn())
        return metrics

    @property
    def ready(self) -> bool:
        """Whether the replay holds a whole window of n steps."""
        return len(self.replay) > 0

    def collect(self) -> dict[str, Tensor | float | Rows]:
        """`train_freq` environment steps of each seed, into the replay buffer; updates the target network when due."""
        before, config = self.time, self.config
        finished: Rows = []  # episodes
        while self.time < before + config.train_freq:
            inputs = self.inputs()
            action, self.recurrent_state = self.act(inputs)
            step = self.env.step(action)
            self.replay.push(inputs, action, step)
            self.time += config.num_envs
            finished += self.finished_episodes(step)
            if self.support is not None:
                self.support.record(step)
        interval, _ = self.target_schedule
        if np.any(times := self.time // interval - before // interval):
            self.update_target(times)
        return self.episode_metrics(finished)

    def learn(self) -> dict[str, Tensor | float]:
        """`gradient_steps` gradient steps against one target network, then new priorities; metrics of the last step."""
        batches = self.replay.sample(self.config.gradient_steps * self.config.batch, self.beta)
        metrics, priority = (self.plain or self).descend(batches, self.time)
        if priority is not None:
            self.replay.prioritize(batches.index, self.optimizer.finite(priority))
        return {**self.optimizer.of_members(metrics), "epsilon": as_metric(self.epsilon)}

    def descend(self, batches: Batch, time: int) -> tuple[dict[str, Tensor | float], Tensor | None]:
        """A gradient step on each `config.batch` transitions: metrics (S,) of the last, priorities (S, B) if any.

        The loss is a mean over B and a sum over S, so that seeds do not interact.
        """
        config, predictions, targets = self.config, list[Tensor](), list[Tensor]()
        for batch, next_out in self.with_targets(batches):  # Q'(s', ·)  (S, B, A, K)
            states = (batch.obs, batch.next_obs) if config.double else (batch.obs,)
            all_out, *selector = self.online.forward(*states)  # Q(s, ·), and Q(s', ·) where double  (S, B, A, K)
            out = gather(all_out, batch.action)  # Q(s, a)  (S, B, K)
            policy = self.policy(selector[0] if selector else next_out, batch.next_action_mask)  # π(·|s')  (S, B, A)
            reward = self.munchausen_reward(batch, policy) if config.munchausen else batch.reward
            target = self.value.target(reward, batch.discount, next_out, policy)  # (S, B, K)
            loss = (batch.weight * self.value.error(out, target)).mean(1)  # (S,)
            slope = batch.weight.unsqueeze(-1) * self.value.gradient(out, target) / out.shape[1]  # ∂loss / ∂Q(s, a)
            self.online.backward(spread(slope, batch.action, all_out))
            norm = self.optimizer.step_along(loss.sum(), time, batch)["grad_norm"]
            predictions.append(out)
            targets.append(target)
        metrics = {"loss": loss, "q": self.value.mean(out).mean(1), "gradient_norm": norm}
        return metrics, self.value.priority(torch.cat(predictions, 1), torch.cat(targets, 1)) if config.alpha else None

    @property
    def beta(self) -> Number:
        """Current exponent of the importance weights."""
        beta, steps = self.beta_schedule
        return linear(beta, 1.0, steps, self.time)

    def scored(self, score: float) -> None:
        """Take in the score of an evaluation: the plateau schedule lowers the learning rate by it."""
        self.optimizer.plateau(score)

    def with_targets(self, batches: Batch) -> Iterator[tuple[Batch, Tensor]]:
        """Each batch with the output of the target network for s', (S, B, A, K).

        One forward pass serves all batches, unless the networks are noisy: then every batch has fresh noise.
        """
        for part in batches.split(self.config.batch if self.config.noisy else batches.index.shape[1]):
            if self.config.noisy:
                self.draw_noise()
            (next_out,) = self.fixed.forward(part.next_obs)
            yield from zip(part.split(self.config.batch), torch.split(next_out, self.config.batch, 1), strict=True)

    def policy(self, selector: Tensor, action_mask: Tensor) -> Tensor:
        """π(a|s), greedy, or the softmax of Q / τ with Munchausen: (..., A, K), (..., A | 1) -> (..., A)"""
        q, tau = self.value.mean(selector), self.config.temperature
        return softmax_policy(q, action_mask, tau) if self.config.munchausen else greedy_policy(q, action_mask)

    def munchausen_reward(self, batch: Batch, policy: Tensor) -> Tensor:
        """`munchausen.n_step_reward` of a batch, (S, B); `policy` (S, B, A) is that of the last states."""
        steps = self.replay.window(batch.index)
        return n_step_reward(self.config, batch, policy, steps, self.value.mean(self.target(steps.obs)))

    @torch.no_grad()
    def update_target(self, times: Number) -> None:
        """θ' ← (1 - τ) θ' + τ θ, repeated `times` times, () or (S,), buffers included."""
        share = 1 - (1 - self.target_schedule[1]) ** times
        online, target = self.q.state_dict(), self.target.state_dict()
        for name, value in target.items():
            value.lerp_(online[name], over(share, value)) if value.is_floating_point() else value.copy_(online[name])

    def fit_support(self) -> None:
        """Move the support of C51 where returns have left it, with the probabilities projected onto its new atoms."""
        assert self.support is not None and isinstance(self.value, Categorical)  # noqa: PT018
        former = self.value.z
        if self.support.update():
            self.support.place()
            pairs = zip(former.view(-1, self.value.width), self.value.z.view(-1, self.value.width), strict=True)
            mixture, shift = map(torch.stack, zip(*(projection(*pair) for pair in pairs), strict=True))
            mix_atoms(self.q.network, mixture, shift, self.optimizer.rule)
            mix_atoms(self.target.network, mixture, shift)

    # ---- acting

    def act(self, inputs: ActorInput) -> tuple[NDArray[np.int64], RecurrentState]:
        """Actions (L,): greedy with fresh noise where the network is noisy, else ε-greedy; and the recurrent state."""
        if self.config.noisy:
            self.online_noise.draw(self.noise)
        return super().act(inputs)

    @property
    def epsilon(self) -> Number:
        """Current probability of a random action; 0 for a noisy network."""
        return 0.0 if self.config.noisy else super().epsilon

    @property
    def final_epsilon(self) -> float:
        """Probability of a random action in `predict(deterministic=False)`; 0 for a noisy network."""
        return 0.0 if self.config.noisy else super().final_epsilon

    def q_values(self, inputs: ActorInput) -> tuple[NDArray[Any], RecurrentState]:
        """Q(s, a), (L, A), and the next recurrent state."""
        if self.plain is not None:
            q = self.plain.online.forward(self.split_seeds(inputs.obs))  # (S, N, A, 1)
            return q.reshape(-1, q.shape[2]), inputs.recurrent_state
        with torch.inference_mode():
            out, recurrent_state = self.outputs(inputs)
            return self.value.mean(out).flatten(0, 1).cpu().numpy(), recurrent_state

    def distributions(self, inputs: ActorInput) -> tuple[dict[str, Floats], RecurrentState]:
        """Q(s, a) and, of C51 and QR-DQN, the distribution of the return; and the next recurrent state."""
        if self.value.width == 1:
            return super().distributions(inputs)
        with torch.inference_mode():
            out, recurrent_state = self.outputs(inputs)
            found = {"q": self.value.mean(out), **self.value.distribution(out)}
            return {name: x.flatten(0, 1).cpu().numpy() for name, x in found.items()}, recurrent_state

    def outputs(self, inputs: ActorInput) -> tuple[Tensor, RecurrentState]:
        """Output of the network, (S, N, A, K), and the recurrent state, here unchanged."""
        (out,) = self.online.forward(torch.from_numpy(self.split_seeds(inputs.obs)).to(self.device))
        return out, inputs.recurrent_state

    def initial_state(self, num_envs: int) -> RecurrentState:
        """Zeros (L, M), or None without a recurrent state."""
        return np.zeros((num_envs, self.recurrent_size), np.float32) if self.recurrent_size else None

    def draw_noise(self) -> None:
        """Fresh noise in the online and in the target network."""
        self.online_noise.draw(self.noise)
        self.target_noise.draw(self.noise)

    def eval_mode(self) -> None:
        """No noise in the online network until training draws it again."""
        self.online_noise.zero()

    def exploration_mode(self) -> None:
        """Noise from the stream of predictions in the online network."""
        self.online_noise.draw(self.prediction_noise)

    # ---- saving

    def load_state_dict(self, saved: State) -> None:
        """Restore the result of `state_dict`. Episodes that could not be restored end in the replay buffer.

        Without `env` and `replay` the agent acts as before, and has nothing to learn from yet.
        """
        if saved["support"] is None and self.support is not None:  # by an earlier version, which saved none
            saved = {**saved, "support": self.support.state_dict()}
        super().load_state_dict(saved)
        if "env" in saved:
            self.replay.cut(self.env.restarted)

    def networks(self) -> dict[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        """The Q-network of the first seed, and an observation."""
        return {"Q-network": (self.q.alone(), (torch.zeros(1, *self.env.shape),))}

    def parameter_count(self) -> int:
        """Trainable parameters, over all seeds."""
        return count(self.q)
