"""Greedy episodes of an agent, and the report of their returns. Shapes: S seeds."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rlgen.agents.actor import ActorInput, RecurrentState
from rlgen.agents.members import MemberSeed
from rlgen.core.algorithm import Progress, Report
from rlgen.envs import VectorEnv
from rlgen.report.statistics import bootstrap, iqm


class Policy(Protocol):
    """The part of an agent that acts greedily."""

    config: Any

    def make_env(self, num_envs: int, seed: MemberSeed, **options: Any) -> VectorEnv: ...  # noqa: D102  # see `Agent`
    def initial_state(self, num_envs: int) -> RecurrentState: ...  # noqa: D102
    def greedy(self, inputs: ActorInput) -> tuple[NDArray[np.int64], RecurrentState]: ...  # noqa: D102
    def eval_mode(self) -> None: ...  # noqa: D102


def rollout(policy: Policy, episodes: int, seed: MemberSeed, progress: Progress) -> NDArray[np.float64]:
    """Undiscounted returns of one greedy episode in each of S * `episodes` environments, (S, episodes).

    `progress` receives the number of episodes that ended since its last call.
    """
    return play(policy, episodes, seed, progress)[0]


def play(policy: Policy, episodes: int, seed: MemberSeed, progress: Progress) -> tuple[NDArray[np.float64], VectorEnv]:
    """The result of `rollout`, and the environments at the end of their episodes, closed."""
    policy.eval_mode()
    env = policy.make_env(policy.config.seeds * episodes, seed, restart=False)
    recurrent_state, ended = policy.initial_state(len(env.obs)), 0
    try:
        while not env.episode_end.all():
            inputs = ActorInput(env.obs, env.action_mask, recurrent_state, env.is_first)
            action, recurrent_state = policy.greedy(inputs)
            env.step(action)
            if (now := int(env.episode_end.sum())) > ended:
                progress(now - ended)
                ended = now
    finally:
        env.close()
    return np.where(env.episode_end, env.episode_return, np.nan).reshape(policy.config.seeds, episodes), env


def report(returns: NDArray[np.float64], optimum: float | None = None, env: VectorEnv | None = None) -> Report:
    """Final scores from returns (S, episodes), NaN for an episode that was interrupted, with the environments `env`.

    With S > 1 every score is a statistic over the mean returns of the seeds, else over episodes. `optimum` is the
    highest mean return of any policy within the time limit, where it is known.
    """
    finished = np.isfinite(returns)
    means = np.array([row[ok].mean() for row, ok in zip(returns, finished, strict=True) if ok.any()])
    scores = returns[0][finished[0]] if len(returns) == 1 else means
    mean, (low, high) = float(scores.mean()), map(float, bootstrap(scores))
    values = {
        "score": mean,
        "episodes": int(finished.sum(1).max()),
        "mean": mean,
        "std": float(scores.std(ddof=1)) if len(scores) > 1 else 0.0,
        "iqm": float(iqm(scores)),
        "ci95": [low, high],
    }
    each = f"{values['episodes']} fresh greedy episodes" + (
        f" of each of {len(means)} seeds" if len(returns) > 1 else ""
    )
    lines = [
        f"score   mean return {_number(mean)} over {each} (95 % interval {_number(low)} to {_number(high)},"
        f" interquartile mean {_number(values['iqm'])}, standard deviation {_number(values['std'])})"
    ]
    if len(returns) > 1:
        values["per_seed"] = means.tolist()
        lines.append(f"seeds   mean return of each: {'  '.join(map(_number, means))}")
    if not finished.all():
        lines.append(f"        interrupted: {finished.sum()} of {returns.size} episodes had ended, the shortest ones")
    if env is not None and env.cut.any():
        values["cut"] = int(env.cut.sum())
        counts = f"{values['cut']} of {returns.size} episodes did not end within {env.max_episode_steps:,} steps"
        lines.append(f"cut     {counts}: --max-episode-steps sets another limit")
    if optimum is not None:
        values["optimum"] = optimum
        relation = "is below it" if high < optimum - 1e-9 else "is above it" if low > optimum + 1e-9 else "contains it"
        lines.append(
            f"optimum {_number(optimum)}: the highest expected return within the time limit; the interval {relation}"
        )
    return Report(values, lines, {"returns": returns[finished].tolist()})


def _number(x: Any) -> str:
    """One decimal, or three below 10."""
    return f"{x:,.1f}" if abs(x) >= 10 else f"{x:.3f}"
