"""What every agent has: a vector environment, ε-greedy exploration, evaluation, final scores and `predict`."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from rlgen.agents.action_values import ActionValues, Floats
from rlgen.agents.actor import ActorInput, RecurrentState, greedy_action, random_action
from rlgen.agents.dynamic_programming import optimum
from rlgen.agents.evaluation import play, report, rollout
from rlgen.agents.members import Member, Members, MemberSeed, Number, each, linear
from rlgen.core.algorithm import Metrics, Progress, Report, Rows
from rlgen.core.images import Grid
from rlgen.core.notebook import Bundle, bundle, facts_of
from rlgen.core.optim import Optimization
from rlgen.core.seeds import Streams, derive, numpy_stream, stream
from rlgen.core.settings import Setup
from rlgen.core.state import Stateful
from rlgen.envs import Step, VectorEnv


class Agent(Stateful):
    """A policy that is greedy in action values, explored with probability ε. Shapes: S seeds, N environments each."""

    score: ClassVar[str | None] = "eval_return"
    experience: ClassVar[tuple[str, ...]] = ("env",)  # restored by repeating the actions of the running episodes
    epoch_images: ClassVar[int] = 0
    optimizer: Optimization | None = None  # of an agent with gradients

    def __init__(self, task: str, config: Any, setup: Setup, members: Sequence[Member] = (), **training: Any) -> None:
        self.members = Members(config, setup.seed, members)
        self.task, self.config, self.seed, self.time = task, self.members.config, setup.seed, 0
        config, environments = self.config, self.members.derive("environments")
        self.env = self.make_env(config.seeds * config.num_envs, environments, **training)
        self.recurrent_state: RecurrentState = None
        self.rng = stream(self.members.seeds or setup.seed, "exploration")
        number = self.members.number
        self.schedule = number("epsilon"), number("epsilon_end"), number("epsilon_steps")
        self.predicting = numpy_stream(setup.seed, "prediction")  # of `predict` alone: no part of the training state
        self.returns: list[list[float]] = [[] for _ in range(config.seeds)]  # of each seed's last 100 training episodes

    def make_env(self, num_envs: int, seed: MemberSeed, **options: Any) -> VectorEnv:
        """A new vector environment for the task, with the settings of this agent."""
        limits = {"max_episode_steps": self.config.max_episode_steps, "step_timeout": self.config.step_timeout}
        return VectorEnv(self.task, num_envs, seed, **{**limits, "workers": self.config.env_workers, **options})

    def describe_task(self) -> dict[str, str]:
        """The environment's id, its observation and action spaces, and the episode limit, for the start panel."""
        return self.env.describe()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Bundle:
        """In a notebook: facts, Q-values of the first observation of an episode, and its frame where there is one."""
        frame, options = None, {}
        try:
            env = self.make_env(1, derive(self.seed, "notebook"), restart=False, render_mode="rgb_array")
            frame = env.render(0)
        except Exception:  # an environment without pictures, of which no kind of error is agreed
            env = self.make_env(1, derive(self.seed, "notebook"), restart=False)
        q = self.values(env.obs, None, env.is_first, env.action_mask if env.action_mask.shape[1] > 1 else None).q[0]
        options["Q(s, a) at start"] = "  ".join(f"{action}: {value:.3g}" for action, value in enumerate(q.tolist()))
        env.close()
        title = f"{type(self).__name__} on {self.task} after {self.time:,} steps"
        return bundle(title, {**facts_of(self), **options}, frame)

    # ---- acting

    def inputs(self) -> ActorInput:
        """The current observations of the training environments."""
        return ActorInput(self.env.obs, self.env.action_mask, self.recurrent_state, self.env.is_first)

    def act(self, inputs: ActorInput) -> tuple[NDArray[np.int64], RecurrentState]:
        """Actions (L,), each random with probability ε, else greedy; and the next recurrent state."""
        random = self.rng.random(len(inputs.obs)) < each(self.epsilon, len(inputs.obs))
        if random.all() and inputs.recurrent_state is None:
            return self.random_action(inputs.action_mask, random), None
        action, recurrent_state = self.greedy(inputs)
        if random.any():
            action = np.where(random, self.random_action(inputs.action_mask, random), action)
        return action, recurrent_state

    @property
    def epsilon(self) -> Number:
        """Current probability of a random action."""
        return linear(*self.schedule, self.time)

    @property
    def final_epsilon(self) -> float:
        """Probability of a random action in `predict(deterministic=False)`."""
        return float(self.config.epsilon_end)

    def random_action(
        self, action_mask: NDArray[np.bool_], needed: NDArray[np.bool_] | None = None
    ) -> NDArray[np.int64]:
        """An allowed action in each row, (L, A | 1) -> (L,); members draw where one of their rows is `needed` (L,)."""
        rng = self.rng
        if needed is not None and isinstance(rng, Streams):
            rng = rng.only(np.asarray(self.split_seeds(needed).any(1)))
        return random_action(rng, action_mask, self.env.num_actions)

    def greedy(self, inputs: ActorInput) -> tuple[NDArray[np.int64], RecurrentState]:
        """argmax_a Q(s, a) over allowed actions, (L,), and the next recurrent state."""
        q, recurrent_state = self.q_values(inputs)
        return greedy_action(q, inputs.action_mask), recurrent_state

    def q_values(self, inputs: ActorInput) -> tuple[NDArray[Any], RecurrentState]:
        """Q(s, a) of all actions, whether allowed or not, (L, A), and the next recurrent state."""
        raise NotImplementedError

    def distributions(self, inputs: ActorInput) -> tuple[dict[str, Floats], RecurrentState]:
        """Fields of `ActionValues` for all rows, (L, A) and (L, A, K), atoms (1, K); and the next recurrent state."""
        q, recurrent_state = self.q_values(inputs)
        return {"q": q}, recurrent_state

    def initial_state(self, num_envs: int) -> RecurrentState:
        """The recurrent state at the start of an episode; None for an agent without one."""
        return None

    def eval_mode(self) -> None:
        """Switch off exploration inside the network."""

    def exploration_mode(self) -> None:
        """Switch on exploration inside the network for `predict(deterministic=False)`."""

    # ---- training metrics

    def split_seeds(self, x: NDArray[Any]) -> NDArray[Any]:
        """(S * N, ...) in the order of the vector environment -> (S, N, ...)"""
        return x.reshape(self.config.seeds, -1, *x.shape[1:])

    def finished_episodes(self, step: Step) -> Rows:
        """The episodes that ended in this step, as rows of `episodes.jsonl`; lengths in steps."""
        if not step.episode_end.any():
            return []
        return [
            {
                "time": self.time,
                "seed": index // self.config.num_envs,
                "return": float(step.episode_return[index]),
                "length": int(self.env.last_length[index]),
            }
            for index in np.flatnonzero(step.episode_end).tolist()
        ]

    def episode_metrics(self, finished: Rows) -> dict[str, Tensor | float | Rows]:
        """Metrics of finished training episodes, and these `episodes`; empty without any.

        `return` is each seed's sum and count (2, S), of which a line of the log holds the mean over its own episodes.
        `return_100` is the mean over seeds of the mean return of their last 100 episodes, once every seed has one.
        """
        if not finished:
            return {}
        totals = torch.zeros(2, self.config.seeds, dtype=torch.float64)
        for row in finished:
            seed, value = int(row["seed"]), row["return"]
            self.returns[seed] = [*self.returns[seed], value][-100:]
            totals[0, seed] += value
            totals[1, seed] += 1
        metrics: dict[str, Tensor | float | Rows] = {"episodes": finished, "return": totals}
        if all(self.returns):
            metrics["return_100"] = sum(sum(last) / len(last) for last in self.returns) / len(self.returns)
        return metrics

    # ---- evaluation

    def evaluate(self) -> Metrics:
        """Mean return of greedy episodes per seed, always from the same start states, and its standard error."""
        returns = self.rollout(self.config.eval_episodes, self.members.derive("evaluation"))  # (S, episodes)
        metrics = {"eval_return": torch.from_numpy(returns.mean(1))}
        if returns.shape[1] > 1:
            metrics["eval_return_se"] = torch.from_numpy(returns.std(1, ddof=1) / returns.shape[1] ** 0.5)
        return metrics

    def draw(self) -> dict[str, Grid]:
        """No grids of images."""
        return {}

    def rollout(self, episodes: int, seed: MemberSeed, progress: Progress = lambda done: None) -> NDArray[np.float64]:
        """Undiscounted returns of greedy episodes in environments of their own, (S, episodes).

        Whole games with unclipped rewards. `progress` receives the number of episodes that ended since its last call,
        those of all seeds.
        """
        return rollout(self, episodes, seed, progress)

    def report(self, count: int, seed: int, progress: Progress = lambda done: None) -> Report:
        """Final scores over `count` fresh greedy episodes of each seed."""
        fresh = derive(seed, "fresh episodes")
        returns, env = play(self, count, (fresh,) * self.members.count if self.members.seeds else fresh, progress)
        found = report(returns, optimum(self.env), env)
        if self.members.seeds:
            found.lines.extend(self.members.ranked(found.values.get("per_seed", [found.values["mean"]]), self.diverged))
            found.values["diverged"] = self.diverged
        return found

    @property
    def diverged(self) -> list[int]:
        """Numbers of the members that have diverged."""
        members = None if self.optimizer is None else self.optimizer.by_member
        return [] if members is None else members.diverged

    # ---- the interface of Stable-Baselines3

    def predict(
        self,
        observation: Any,
        state: tuple[Any, ...] | None = None,
        episode_start: ArrayLike | None = None,
        deterministic: bool = True,
        action_mask: ArrayLike | None = None,
    ) -> tuple[Any, tuple[Any, ...] | None]:
        """The action for one observation, or actions (n,) for n observations, and the next recurrent state.

        The convention of Stable-Baselines3's `predict`, which its `evaluate_policy` relies on; arrays may be lists.
        Greedy among the actions that `action_mask`, (A,) or (n, A), allows. `deterministic=False` explores: with the
        final ε, or with noise in the weights where the network is noisy. Of several seeds the first one acts.
        Raises UserError for an observation that the environment could not return.
        """
        self.eval_mode() if deterministic else self.exploration_mode()
        inputs, n, single = self._actor_input(observation, state, episode_start, action_mask)
        action, recurrent_state = self.greedy(inputs)
        action = action[:n]
        if not deterministic and self.final_epsilon:
            random = self.predicting.random(n) < self.final_epsilon
            allowed = inputs.action_mask[:n]
            drawn = (self.predicting.random((n, self.env.num_actions)) * allowed).argmax(-1)
            action = np.where(random, drawn, action)
        action = action + self.env.first_action
        return (action[0] if single else action), (state if recurrent_state is None else (recurrent_state[:n],))

    def values(
        self,
        observation: Any,
        state: tuple[Any, ...] | None = None,
        episode_start: ArrayLike | None = None,
        action_mask: ArrayLike | None = None,
    ) -> ActionValues:
        """Q(s, a) of one observation, (A,), or of n observations, (n, A), with the distribution where there is one.

        Arguments as of `predict`, whose deterministic action is `first_action + values(...).action`; -inf in q where
        `action_mask`, (A,) or (n, A), forbids an action. Of several seeds those of the first; without noise.
        """
        self.eval_mode()
        inputs, n, single = self._actor_input(observation, state, episode_start, action_mask)
        found, recurrent_state = self.distributions(inputs)
        arrays = {name: x[0] if single or name == "atoms" else x[:n] for name, x in found.items()}
        allowed = inputs.action_mask[0] if single else inputs.action_mask[:n]
        arrays["q"] = np.where(allowed, arrays["q"], -np.inf)
        return ActionValues(**arrays, state=state if recurrent_state is None else (recurrent_state[:n],))

    def _actor_input(
        self,
        observation: Any,
        state: tuple[Any, ...] | None,
        episode_start: ArrayLike | None,
        action_mask: ArrayLike | None,
    ) -> tuple[ActorInput, int, bool]:
        """Rows (S * n, ...), the same n observations for every seed; n; and whether the observation is a single one."""
        observation = np.asarray(observation) if isinstance(observation, list) else observation
        obs, single = self.env.preprocess_observation(observation)  # (n, *observation)
        n, seeds, actions = len(obs), self.config.seeds, self.env.num_actions
        allowed = np.ones((n, 1), bool) if action_mask is None else np.asarray(action_mask, bool).reshape(n, actions)
        recurrent_state = self.initial_state(n)
        if recurrent_state is not None and state is not None:
            recurrent_state = np.asarray(state[0], np.float32).reshape(recurrent_state.shape)
        is_first = np.zeros(n, bool) if episode_start is None else np.asarray(episode_start, bool).reshape(n)
        rows = (None if x is None else np.concatenate([x] * seeds) for x in (obs, allowed, recurrent_state, is_first))
        return ActorInput(*rows), n, single  # type: ignore[arg-type]
