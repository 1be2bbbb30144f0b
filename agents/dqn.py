"""Deep Q-learning. Mnih et al. 2015, doi:10.1038/nature14236; double: van Hasselt et al. 2016, arXiv:1509.06461."""

import copy
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents import settings
from agents.networks import QNetwork, in_numpy
from agents.replay import Batch, Replay
from agents.values import Scalar, Value, take
from envs import Lanes
from rlgen.core.algorithm import Metrics, count, descend
from rlgen.core.device import choose
from rlgen.core.errors import UserError
from rlgen.core.schedule import linear
from rlgen.core.seeds import Seeds, derive, initial_weights, numpy_stream
from rlgen.core.settings import Setup
from rlgen.core.state import State, Stateful

EVALUATION_EPISODES = 20  # per evaluation in training, always from the same starts


class DQN(Stateful):
    """Learn Q(s, a) from replayed experience. Shapes: S seeds, N lanes, B batch, A actions, K numbers per action."""

    Config = settings.DQN
    score = "eval_return"
    state = ("lanes", "replay", "q", "target", "optimizer", "rng", "returns", "time")

    def __init__(self, task: str, config: settings.DQN, setup: Setup) -> None:
        self.task, self.config, self.seed, self.time = task, config, setup.seed, 0
        self.device = choose(setup, accelerate=False)
        self.lanes = Lanes(task, config.seeds * config.lanes, derive(setup.seed, "environments"))
        if len(self.lanes.shape) > 1:
            raise UserError(
                f"{task} gives observations of shape {self.lanes.shape}: only vectors so far, like CartPole's"
            )
        self.value: Value = Scalar(config.loss)
        with initial_weights(setup.seed):
            self.q = Seeds(self._network, config.seeds).to(self.device)
        self.target = copy.deepcopy(self.q).requires_grad_(False)
        self.optimizer = torch.optim.Adam(self.q.parameters(), lr=config.lr, fused=True)
        self.replay = Replay(
            config.capacity, config.seeds, config.lanes, self.lanes.shape,
            n_step=config.n_step, gamma=config.gamma, seed=setup.seed,
        )  # fmt: skip
        if config.capacity // config.lanes < config.n_step:
            raise UserError(
                f"--capacity {config.capacity} holds no window of --n-step {config.n_step} in {config.lanes} lanes"
            )
        self.rng = numpy_stream(setup.seed, "exploration")
        self.predicting = numpy_stream(setup.seed, "prediction")  # no part of the training, nor of its state
        alone = config.seeds == 1 and self.device.type == "cpu" and self.value.width == 1
        self.acting = in_numpy(cast(QNetwork, self.q.only)) if alone else None
        self.returns: list[float] = []  # of the last 100 training episodes

    def step(self) -> Metrics:
        """A few environment steps, then a burst of gradient steps."""
        metrics = self.play()
        if self.time >= self.config.warmup and len(self.replay):
            metrics.update(self.learn())
        return metrics

    def play(self) -> dict[str, Tensor | float]:
        """`train_every` environment steps, shared by the lanes, into the replay memory."""
        before = self.time
        ended: list[float] = []
        while self.time < before + self.config.train_every:
            obs = self.lanes.obs
            action = self.act(obs)
            step = self.lanes.step(action)
            self.replay.push(obs, action, step)
            self.time += self.config.lanes
            if step.done.any():
                ended += step.score[step.done].tolist()
        if times := self.time // self.config.sync_every - before // self.config.sync_every:
            self.sync(times)
        if not ended:
            return {}
        self.returns = (self.returns + ended)[-100:]
        return {"return": sum(ended) / len(ended), "return_100": sum(self.returns) / len(self.returns)}

    def act(self, obs: NDArray[np.float32]) -> NDArray[np.int64]:
        """(S * N, *observation) -> (S * N,): greedy, but for each lane's own chance of a random action."""
        random = self.rng.random(len(obs)) < self.epsilon
        if random.all():
            return self.rng.integers(self.lanes.actions, size=len(obs))
        return np.where(random, self.rng.integers(self.lanes.actions, size=len(obs)), self.greedy(obs))

    @property
    def epsilon(self) -> float:
        """The probability of a random action now."""
        return linear(self.config.epsilon, self.config.epsilon_end, self.config.epsilon_steps, self.time)

    def greedy(self, obs: NDArray[np.float32]) -> NDArray[np.int64]:
        """argmax_a Q(s, a): (S * N, *observation) -> (S * N,)"""
        if self.acting is not None:
            return np.asarray(self.acting(obs).argmax(-1))
        with torch.inference_mode():
            x = torch.from_numpy(self.fold(obs)).to(self.device)
            return self.value.mean(self.q(x)).argmax(-1).flatten().cpu().numpy()

    def fold(self, x: NDArray[Any]) -> NDArray[Any]:
        """(S * N, ...) as the lanes have it -> (S, N, ...)"""
        return x.reshape(self.config.seeds, -1, *x.shape[1:])

    def learn(self) -> dict[str, Tensor | float]:
        """A burst of gradient steps, during which the target network stands still; metrics of the last of them.

        The loss is a mean over B and a sum over S, so no seed feels another.
        """
        burst = self.replay.sample(self.config.updates * self.config.batch).to(self.device)
        with torch.no_grad():
            next_out = self.target(burst.next_obs)  # (S, updates * B, A, K)
        for batch in zip(*(x.split(self.config.batch, 1) for x in (*burst, next_out)), strict=True):
            error, q = self.error(Batch(*batch[:-1]), batch[-1])
            loss = error.mean(1)  # (S,)
            norm = descend(self.optimizer, loss.sum(), self.config.clip, self.config.seeds)
        return {"loss": loss.detach(), "q": q.detach().mean(1), "gradient_norm": norm, "epsilon": self.epsilon}

    def error(self, batch: Batch, next_out: Tensor) -> tuple[Tensor, Tensor]:
        """How far Q(s, a) is from r + γ Q'(s', argmax_a' Q''(s', a')), and Q(s, a): both (S, B).

        `next_out` is what the target network Q' gives for s', (S, B, A, K); Q'' is Q' too,
        or the online network Q in double Q-learning.
        """
        out = take(self.q(batch.obs), batch.action)  # (S, B, K)
        with torch.no_grad():
            chooser = self.q(batch.next_obs) if self.config.double else next_out
            best = self.value.mean(chooser).argmax(-1)  # (S, B)
            target = self.value.backup(batch.reward, batch.discount, take(next_out, best))
        return self.value.error(out, target), self.value.mean(out)

    @torch.no_grad()
    def sync(self, times: int) -> None:
        """θ' ← (1 - τ) θ' + τ θ, `times` over, buffers included."""
        share = 1 - (1 - self.config.tau) ** times
        online, target = self.q.state_dict(), self.target.state_dict()
        for name, value in target.items():
            value.lerp_(online[name], share) if value.is_floating_point() else value.copy_(online[name])

    def evaluate(self) -> Metrics:
        """Mean return of greedy episodes per seed, always from the same starts."""
        returns = self.rollout(EVALUATION_EPISODES, derive(self.seed, "evaluation"))
        return {"eval_return": torch.from_numpy(returns.mean(1))}

    def rollout(self, episodes: int, seed: int) -> NDArray[np.float64]:
        """Returns of greedy episodes in environments of their own, (S, episodes)."""
        lanes = Lanes(self.task, self.config.seeds * episodes, seed, restart=False)
        while not lanes.over.all():
            lanes.step(self.greedy(lanes.obs))
        lanes.close()
        return self.fold(lanes.score)

    def predict(
        self,
        observation: NDArray[Any] | int,
        state: tuple[NDArray[Any], ...] | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[NDArray[np.int64], tuple[NDArray[Any], ...] | None]:
        """The action for one observation, or the actions (n,) for n of them, and `state` as it came.

        The convention of Stable-Baselines3, so its `evaluate_policy` takes this agent. Greedy;
        with `deterministic=False` it explores with the final ε. Of several seeds the first one acts.
        """
        obs, single = self.lanes.vectors(observation)  # (n, *observation)
        copies = np.repeat(obs[None], self.config.seeds, 0).reshape(-1, *obs.shape[1:])
        action = self.greedy(copies)[: len(obs)]
        if not deterministic:
            random = self.predicting.random(len(obs)) < self.config.epsilon_end
            action = np.where(random, self.predicting.integers(self.lanes.actions, size=len(obs)), action)
        action = action + self.lanes.first_action
        return (action[0] if single else action), state

    def load_state_dict(self, saved: State) -> None:
        """Take over what `state_dict` gave; no window of steps reaches across an episode that could not be restored."""
        super().load_state_dict(saved)
        self.replay.cut(self.lanes.lost)

    def parameter_count(self) -> int:
        """Trainable numbers, those of all seeds together."""
        return count(self.q)

    def _network(self) -> QNetwork:
        return QNetwork(self.lanes.shape, self.lanes.actions, self.value.width, self.config.width, self.config.depth)
