"""Greedy episodes, their returns, and the report of a trained agent."""

import signal

import numpy as np
import pytest

from rlgen import catalog
from rlgen.agents.evaluation import report, rollout
from rlgen.core.settings import Setup
from rlgen.core.signals import Stopped
from tests.envs import toy_environments  # noqa: F401  # registers them

RETURNS = np.array([[1.0, 2.0, 3.0, 6.0]])


def test_the_report_of_one_seed_is_over_its_episodes():
    found = report(RETURNS, optimum=5.0)
    values = found.values
    assert (values["score"], values["mean"], values["episodes"]) == (3.0, 3.0, 4)
    assert values["std"] == pytest.approx(np.std(RETURNS, ddof=1))
    assert values["iqm"] == 2.5  # without the lowest and the highest of four
    assert values["ci95"][0] < 3 < values["ci95"][1]
    assert values["optimum"] == 5.0
    assert found.details == {"returns": [1, 2, 3, 6]}
    assert "per_seed" not in values


def test_episodes_that_our_limit_cut_are_counted(monkeypatch):
    """Those of an environment without a time limit of its own; a return of 5 is that of 5 steps."""
    monkeypatch.setattr("rlgen.envs.vector_env.LIMIT", 5)
    agent = prepared("dqn", "TestEndless")
    found = agent.report(3, seed=0)
    assert found.values["cut"] == 3
    assert found.lines[-1] == (
        "cut     3 of 3 episodes did not end within 5 steps: --max-episode-steps sets another limit"
    )
    assert found.values["score"] == 5
    assert "cut" not in prepared("dqn", "TestTruncated").report(3, seed=0).values


def prepared(algorithm, task):
    entry = catalog.find(algorithm)
    return entry.algorithm(task, entry.config(width=8, learning_starts=10), Setup())


def test_the_report_of_several_seeds_is_over_the_means_of_seeds():
    """Episodes of one seed are not independent of each other."""
    found = report(np.array([[1.0, 3.0], [5.0, 7.0], [8.0, 10.0]]))
    assert found.values["per_seed"] == [2, 6, 9]
    assert found.values["mean"] == pytest.approx(17 / 3)
    assert found.values["std"] == pytest.approx(np.std([2, 6, 9], ddof=1))
    assert found.values["episodes"] == 2
    assert "2 fresh greedy episodes of each of 3 seeds" in found.lines[0]
    assert "2.000  6.000  9.000" in found.lines[1]
    assert "optimum" not in found.values


@pytest.mark.parametrize(("optimum", "relation"), [(20.0, "is below it"), (3.0, "contains it"), (-1.0, "is above it")])
def test_the_interval_is_compared_with_the_optimum(optimum, relation):
    assert report(RETURNS, optimum).lines[-1].endswith(f"the interval {relation}")


def test_the_report_of_one_episode_has_no_spread():
    values = report(np.array([[4.0]])).values
    assert (values["mean"], values["std"], values["ci95"]) == (4, 0, [4, 4])


def test_progress_counts_every_episode_once(build):
    agent, counts = build("TestCounting", seeds=2), []
    returns = rollout(agent, 9, seed=0, progress=counts.append)
    assert returns.shape == (2, 9)
    assert sum(counts) == 18
    assert len(counts) > 1
    assert all(count > 0 for count in counts)


def test_a_stop_leaves_no_score(build):
    agent = build("TestCounting")

    def stop(done):
        raise Stopped(signal.SIGINT)

    with pytest.raises(Stopped):
        agent.report(9, seed=0, progress=stop)


def test_the_agent_reports_on_fresh_episodes(build):
    agent = build("TestIdentity")
    first, again, other = agent.report(6, seed=0), agent.report(6, seed=0), agent.report(6, seed=1)
    assert first == again
    assert first.details["returns"] != other.details["returns"]
    assert first.values["episodes"] == 6
