"""Members of a batch of agents: the same agents as trained alone, with numbers of their own."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rlgen.agents import settings
from rlgen.agents.dqn import DQN
from rlgen.agents.drqn import DRQN
from rlgen.agents.members import Members, linear
from rlgen.agents.tabular import QLearning
from rlgen.core.settings import Setup

SMALL = {
    "width": 8, "depth": 1, "batch": 8, "buffer_size": 200, "learning_starts": 20, "train_freq": 4,
    "target_update_interval": 20, "epsilon_steps": 60,
}  # fmt: skip
NUMBERS = {  # of every setting in which members may differ: another value, which acts within some updates
    "lr": 2e-2, "lr_end": 9e-3, "lr_steps": 60, "warmup": 50, "peak": 0.9, "max_grad_norm": 1e-3, "gamma": 0.5,
    "beta": 0.9, "beta_steps": 50, "target_update_interval": 8, "tau": 0.1, "epsilon": 0.3, "epsilon_end": 0.6,
    "epsilon_steps": 30, "lr_decay": 0.1, "initial_q": 2.0,
}  # fmt: skip


def agent(kind, members, task="CartPole", **common):
    """An agent of members, (seed, numbers) each; or of one seed alone."""
    config = kind.Config(**common)
    batch = [(seed, replace(config, seeds=len(members), **numbers)) for seed, numbers in members]
    return kind(task, batch[0][1], Setup(seed=99, threads=1), batch)


def alone(kind, seed, numbers, task="CartPole", **common):
    return kind(task, kind.Config(**{**common, **numbers}), Setup(seed=seed, threads=1))


def trained(made, until):
    while made.time < until:
        metrics = made.step()
    return metrics


def assert_same_networks(batch, number, single):
    for own, other in zip(batch.q.parameters(), single.q.parameters(), strict=True):
        torch.testing.assert_close(own[number], other, rtol=1e-4, atol=1e-5)


GROUPS = {  # settings that act without others, and those that need some
    "plain": {"lr", "gamma", "tau", "target_update_interval", "max_grad_norm", "warmup"}, "linear": {"lr_end"},
    "steps": {"lr_steps"}, "one-cycle": {"peak"}, "prioritised": {"beta", "beta_steps"},
    "exploration": {"epsilon", "epsilon_end", "epsilon_steps"},
}  # fmt: skip
COMMON = {
    "linear": {"schedule": "linear", "lr_steps": 50}, "steps": {"schedule": "linear"},
    "one-cycle": {"schedule": "one-cycle", "lr_steps": 50}, "prioritised": {"alpha": 0.6},
}  # fmt: skip


def test_every_setting_of_members_is_tried():
    assert set.union(*GROUPS.values()) == set(settings.DQN.by_member)


@pytest.mark.parametrize("group", GROUPS)
def test_members_equal_agents_trained_alone_with_their_numbers(group):
    common = {**SMALL, "loss": "mse", **COMMON.get(group, {})}
    members = [(3, {})] + [(3, {name: NUMBERS[name]}) for name in sorted(GROUPS[group])]
    batch = agent(DQN, members, **common)
    trained(batch, 60)
    for number, (seed, numbers) in enumerate(members):
        single = alone(DQN, seed, numbers, **common)
        trained(single, 60)
        assert_same_networks(batch, number, single)
        assert np.array_equal(batch.env.obs[number], single.env.obs[0])
        if number:  # the number acts
            assert not all(torch.equal(p[0], p[number]) for p in batch.q.parameters())


def test_tables_of_members_equal_those_trained_alone():
    members = [(3, {})] + [(3, {name: NUMBERS[name]}) for name in settings.QLearning.by_member]
    common = {"epsilon_steps": 60, "num_envs": 2}
    batch = agent(QLearning, members, "CliffWalking", **common)
    trained(batch, 300)
    for number, (seed, numbers) in enumerate(members):
        single = alone(QLearning, seed, numbers, "CliffWalking", **common)
        trained(single, 300)
        assert np.array_equal(batch.q[number], single.q[0])
        assert number == 0 or not np.array_equal(batch.q[0], batch.q[number])


@pytest.mark.parametrize(
    ("kind", "common"),
    [
        (DQN, {"num_envs": 2, "n_step": 3, "double": True, "dueling": True, "beta1": 0.8}),
        (DQN, {"atoms": 5, "alpha": 0.5, "n_step": 2}),
        (DQN, {"munchausen": 0.9, "n_step": 2, "weight_decay": 0.01, "decoupled": True}),
        (DRQN, {"length": 5, "burn_in": 3, "n_step": 2}),
    ],
)
def test_members_of_every_kind_equal_agents_trained_alone(kind, common):
    common = {**SMALL, **common}
    members = [(3, {"gamma": 0.9}), (5, {"gamma": 0.99, "lr": 5e-3}), (5, {"tau": 0.5})]
    batch = agent(kind, members, **common)
    trained(batch, 72)
    for number, (seed, numbers) in enumerate(members):
        single = alone(kind, seed, numbers, **common)
        trained(single, 72)
        assert_same_networks(batch, number, single)
        evaluations = batch.evaluate()["eval_return"][number], single.evaluate()["eval_return"][0]
        assert evaluations[0] == pytest.approx(float(evaluations[1]), rel=0.2)


def test_one_member_is_the_agent_alone_to_the_bit():
    batch, single = agent(DQN, [(3, {})], **SMALL), alone(DQN, 3, {}, **SMALL)
    trained(batch, 120)
    trained(single, 120)
    for own, other in zip(batch.q.parameters(), single.q.parameters(), strict=True):
        assert torch.equal(own, other)


def test_a_member_that_diverges_keeps_its_weights_and_disturbs_no_other(caplog):
    members = [(3, {"lr": 1e25}), (5, {}), (6, {"lr": 2e-3})]
    common = {**SMALL, "alpha": 0.5}
    batch = agent(DQN, members, **common)
    metrics = trained(batch, 120)
    assert batch.diverged == [0]
    assert "member 0 is not finite" in caplog.text
    assert metrics["loss"].isfinite().all()
    assert metrics["loss"][1].tolist() == [0, 1, 1]  # counts: none of the one that diverged
    assert all(p.isfinite().all() for p in batch.q.parameters())
    kept = [p[0].clone() for p in batch.q.parameters()]
    single = alone(DQN, 5, {}, **common)
    trained(single, 120)
    assert_same_networks(batch, 1, single)
    trained(batch, 160)
    assert all(torch.equal(p[0], before) for p, before in zip(batch.q.parameters(), kept, strict=True))
    report = batch.report(2, 0)
    assert report.values["diverged"] == [0]
    assert report.lines[-1].endswith("diverged: member 0")
    assert "lr 0.002, seed 6" in "".join(report.lines)
    assert "member 0," not in "".join(report.lines)


def test_members_with_the_same_seed_start_alike_and_others_do_not():
    batch = agent(DQN, [(3, {}), (3, {"lr": 1e-2}), (4, {})], **SMALL)
    for p in batch.q.parameters():
        assert torch.equal(p[0], p[1])
    assert not torch.equal(p[0], p[2])
    assert np.array_equal(batch.env.obs[0], batch.env.obs[1])
    assert not np.array_equal(batch.env.obs[0], batch.env.obs[2])


def test_numbers_are_scalars_where_members_agree():
    config = settings.DQN(seeds=2)
    members = Members(config, 0, [(1, config), (2, replace(config, lr=0.5))])
    assert members.number("gamma") == 0.99
    assert members.number("lr").tolist() == [0.001, 0.5]


def test_a_schedule_of_members_is_that_of_each():
    values = linear(1.0, np.array([0.0, 0.5]), np.array([10, 20]), 10)
    assert values.tolist() == [0.0, 0.75]
    assert linear(1.0, 0.0, 10, 5) == 0.5
