"""Presets: each is valid, and the measured ones reach their scores."""

import pytest

import rlgen
from rlgen import catalog, evaluation
from rlgen.agents.presets import TUNED
from rlgen.core.config import check_names, resolve
from rlgen.core.settings import Plan, Setup

AGENTS = [entry for entry in catalog.CATALOG.values() if entry.kind.name == "agent"]


@pytest.mark.parametrize("entry", AGENTS, ids=lambda entry: entry.name)
def test_every_preset_is_valid(entry):
    for task in entry.tuned_for:
        for layer in entry.presets(task):
            check_names(layer, (entry.config, Plan), task)
        for settings in (entry.config, Plan, Setup):
            resolve(settings, *entry.presets(task))


def test_every_table_belongs_to_an_algorithm():
    assert set(TUNED) <= {entry.name for entry in AGENTS}


@pytest.mark.parametrize("name", ["c51", "rainbow"])
@pytest.mark.parametrize("task", ["Acrobot", "MountainCar", "LunarLander", "ALE/Pong-v5", "CliffWalking", "Catch"])
def test_the_support_of_c51_follows_the_returns_of_every_task_but_cartpole(name, task):
    """CartPole has one of its own, 0 to 100: no other task may inherit it."""
    entry = catalog.find(name)
    config = resolve(entry.config, *entry.presets(task))
    assert (config.v_min, config.v_max) == (None, None)
    cartpole = resolve(entry.config, *entry.presets("CartPole"))
    assert (cartpole.v_min, cartpole.v_max) == (0, 100)


def scores(tmp_path, algorithm, task, episodes=100, **options):
    """Mean returns of the seeds of a run, over fresh greedy episodes."""
    agent = rlgen.load(rlgen.train(algorithm, task, runs=tmp_path, **options))
    values = agent.report(episodes, seed=0).values
    return values.get("per_seed", [values["mean"]])


@pytest.mark.slow
@pytest.mark.parametrize("task", list(catalog.find("qlearning").tuned))
def test_qlearning_reaches_the_optimum(task, tmp_path):
    """Within 2.6 standard errors, a 99 % interval."""
    run = rlgen.train("qlearning", task, runs=tmp_path)
    result = evaluation.score(rlgen.load(run), 400)
    assert result["mean"] == pytest.approx(result["optimum"], abs=2.6 * result["std"] / 20 + 0.02)


@pytest.mark.slow
def test_dqn_solves_cartpole(tmp_path):
    """475 is the threshold of gymnasium."""
    means = [scores(tmp_path, "dqn", "CartPole", seed=seed)[0] for seed in range(5)]
    assert sum(mean >= 475 for mean in means) >= 4, means


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "task", "score"),
    [
        ("dqn", "GridWorld", 0.4),  # optimum 0.65; -1 for a policy that never moves
        ("dqn", "Catch", 19),  # optimum 20; about 6 for random actions
        ("c51", "Catch", 19),
        ("rainbow", "Catch", 19),
        ("c51", "Acrobot", -100),  # -500 for random actions
        pytest.param("rainbow", "Acrobot", -100, marks=pytest.mark.very_slow),
    ],
)
def test_two_of_three_seeds_learn(algorithm, task, score, tmp_path):
    """C51 and Rainbow with supports that follow the returns: negative on Acrobot, positive on Catch."""
    shorter = {"budget": 60_000} if task == "Acrobot" else {}
    means = scores(tmp_path, algorithm, task, episodes=200, seeds=3, **shorter)
    assert sum(mean >= score for mean in means) >= 2, means
