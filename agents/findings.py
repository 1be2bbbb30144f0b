"""What can be wrong with a trained agent: values above any possible return, no learning, forgetting, few seeds."""

from collections.abc import Iterator
from typing import Any

import torch

from rlgen.core.dead_units import dead_relus, dead_units
from rlgen.core.findings import Finding, Record

OBSERVATIONS = 512  # drawn from the replay buffer
SHARE = 0.5  # of the gain over the untrained agent that a later evaluation may lose
SEEDS = 3  # fewer give no interval between seeds
EPSILON = 0.2  # probability of a random action at the end of a training


def findings(record: Record, agent: Any | None) -> Iterator[Finding]:
    """Findings from the log and, where the `agent` was loaded, from its replay buffer and weights."""
    yield from _learning(record)
    yield from _conclusion(record)
    if agent is not None and hasattr(agent, "replay") and agent.ready:
        batch = agent.replay.sample(OBSERVATIONS)
        yield from _overestimation(record, agent, batch.obs)
        (name, (network, inputs)), *_ = agent.networks().items()
        if len(inputs) == 1:
            found = dead_units(network.cpu(), batch.obs[0].cpu())
            yield from dead_relus(name, found, f"{record.again} --lr {record.config['lr'] / 3:.2g}")


def _learning(record: Record) -> Iterator[Finding]:
    scores, epsilon = record.values("eval_return"), record.last("epsilon")
    if len(scores) > 1:
        first, last, best = scores[0], scores[-1], max(scores[1:])
        if best <= first:
            yield Finding(
                "nothing learned", "problem",
                f"no evaluation is better than that of the untrained agent, {first:,.1f}; the best is {best:,.1f}",
                best - first, f"{record.again} --budget {2 * record.info['plan']['budget']}",
            )  # fmt: skip
        elif last - first < SHARE * (best - first):
            yield Finding(
                "forgotten", "problem",
                f"the last evaluation is {last:,.1f}, an earlier one was {best:,.1f}",
                best - last, f"rlgen eval {record.run} --checkpoint best",
            )  # fmt: skip
    if epsilon is not None and epsilon > EPSILON:
        yield Finding(
            "still exploring", "note",
            f"{epsilon:.0%} of the actions were random at the end of the training: its returns are those of another"
            " policy than the greedy one",
            epsilon, f"{record.again} --epsilon-steps {max(1, record.info['time'] // 2)}",
        )  # fmt: skip


def _conclusion(record: Record) -> Iterator[Finding]:
    seeds = int(record.config.get("seeds", 1))
    if seeds < SEEDS:
        yield Finding(
            "too few seeds", "note",
            f"{seeds} seed{'s' * (seeds > 1)}: nothing follows about the algorithm, whose seeds differ more than its"
            " episodes",
            seeds, f"{record.again} --seeds 5",
        )  # fmt: skip


@torch.no_grad()
def _overestimation(record: Record, agent: Any, obs: torch.Tensor) -> Iterator[Finding]:
    """Mean of max_a Q(s, a) over replayed states above Σ γᵗ r_max, t < T, of the largest stored reward r_max.

    T is the time limit of an episode. Munchausen rewards are higher by at most the entropy, τ ln A per step.
    """
    if agent.recurrent_size:
        return
    replay, gamma, steps = agent.replay, agent.config.gamma, agent.env.max_episode_steps
    most = float(replay.reward[: min(replay.count, replay.rows) * replay.width].max())
    if agent.config.munchausen:
        most += agent.config.temperature * float(torch.tensor(agent.env.num_actions).log())
    sum_of_discounts = steps if gamma == 1 else (1 - gamma**steps) / (1 - gamma)
    bound = most * (sum_of_discounts if most > 0 else 1)  # an episode has at least one step
    values = agent.value.mean(agent.q(obs)).amax(-1)  # (S, B)
    mean = float(values.mean())
    if mean > bound + 0.01 * abs(bound) + 1e-6:
        yield Finding(
            "Q above any possible return", "problem",
            f"max Q(s, a) is {mean:,.4g} on average of {obs.shape[1]:,} stored states; no return can exceed"
            f" {bound:,.4g}, the largest reward {most:.4g} in each of {steps:,} steps at γ = {gamma:g}",
            mean, f"{record.again} --double --lr {agent.config.lr / 3:.2g}",
        )  # fmt: skip
