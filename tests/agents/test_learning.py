"""Whether it learns what is known beforehand, and what the tuned settings promise."""

import numpy as np
import pytest
import torch

import rlgen
from rlgen import catalog, evaluation
from tests.envs import toy_environments

QUICK = {
    "width": 32, "depth": 1, "batch": 32, "lr": 1e-3, "buffer_size": 5_000, "learning_starts": 200,
    "epsilon_end": 0.5, "epsilon_steps": 1_000, "train_freq": 4, "target_update_interval": 50,
}  # fmt: skip
KINDS = {  # what the catalog says they are, on the small scale of these tasks
    "dqn": {"loss": "mse"},
    "c51": {"lr": 3e-3},
    "qrdqn": {"lr": 3e-3, "quantiles": 11},
    "rainbow": {"lr": 3e-3},
}


def learned(agent, steps):
    """Q of every place and action after so many steps, (S, places, A)."""
    while agent.time < steps:
        agent.step()
    with torch.no_grad():
        places = torch.eye(agent.env.shape[0]).expand(agent.config.seeds, -1, -1)
        return agent.value.mean(agent.q(places)).numpy()


def options(kind, low, high, **more):
    """The settings of an entry of the catalog; a support from `low` to `high` where it has one."""
    preset = catalog.find(kind).preset
    support = {"v_min": low, "v_max": high} if "atoms" in preset else {}
    return {**QUICK, **preset, **support, **KINDS[kind], **more}


@pytest.mark.parametrize(("kind", "seeds"), [("dqn", 3), ("c51", 1), ("qrdqn", 1), ("rainbow", 1)])
def test_naming_what_it_sees(build, kind, seeds):
    """The next observation owes nothing to the action: Q* is 1 / (1 - γ) for the right one and 1 less for others.

    Rainbow, once it knows, has no need to try the others again: theirs are not held to it. Its n is 1 here,
    for while it errs, the rewards it sums are those of its errors.
    """
    agent = build("TestIdentity", **options(kind, -0.5, 2.5, gamma=0.5, seeds=seeds, n_step=1))
    q = learned(agent, 2_000 if seeds > 1 else 1_600)
    assert (q.argmax(-1) == np.arange(4)).all()
    right, every = np.eye(4, dtype=bool), 1 + np.eye(4)
    held = right if kind == "rainbow" else np.ones((4, 4), bool)
    np.testing.assert_allclose(q[:, held], np.broadcast_to(every[held], (seeds, held.sum())), atol=0.05)
    np.testing.assert_array_equal(agent.rollout(5, seed=0), 10)


def optimum():
    """Q* of the chain at γ = 0.9, by value iteration: (places, actions)."""
    best = np.zeros((5, 2))
    for _ in range(100):
        for place in range(5):
            for action in range(2):
                successor, reward, over = toy_environments.chain(place, action)
                best[place, action] = reward + (0 if over else 0.9 * best[successor].max())
    return best


@pytest.mark.parametrize(("kind", "seeds"), [("dqn", 3), ("c51", 1), ("qrdqn", 1), ("rainbow", 1)])
def test_walking_to_the_end_of_a_chain(build, kind, seeds):
    """T1: it starts anywhere and is cut off after 20 steps, of which Q* knows nothing."""
    best = optimum()
    assert best.argmax(1).tolist() == [1] * 5
    more = {"buffer_size": 1_000} if kind == "rainbow" else {}  # of its first steps, which n = 3 holds against it
    agent = build("TestChain", **options(kind, -0.2, 1.2, gamma=0.9, seeds=seeds, **more))
    q = learned(agent, 2_600 if seeds > 1 else 1_800)
    held = np.s_[:, :, 1:] if kind == "rainbow" else np.s_[:]  # what it no longer tries it need not know
    np.testing.assert_allclose(q[held], np.broadcast_to(best, (seeds, 5, 2))[held], atol=0.05)
    assert (q.argmax(-1) == 1).all()
    np.testing.assert_array_equal(agent.rollout(5, seed=0), 1)


def test_munchausen_values_the_best_as_it_is_and_widens_the_gap_to_the_rest(build):
    """Vieillard et al. 2020, section 3: of actions never taken the log-policy is cut at -1, so they lose 0.9."""
    best = optimum()
    q = learned(build("TestChain", **QUICK, gamma=0.9, munchausen=0.9), 2_600)[0]
    np.testing.assert_allclose(q[:, 1], best[:, 1], atol=0.05)
    assert (q[:, 0] < best[:, 0] - 0.4).all()


@pytest.mark.parametrize(("world", "ends"), [("TestTruncated", False), ("TestTerminated", True)])
@pytest.mark.parametrize("n_step", [1, 2])
def test_a_time_limit_is_no_end_of_the_world(build, world, ends, n_step):
    """T1: five places in a circle, each step brings 1; cut off after five, or over after five."""
    q = learned(build(world, **{**QUICK, "lr": 5e-3}, gamma=0.5, n_step=n_step), 1_200)[0]
    expected = [2 - 0.5 ** (4 - place) if ends else 2 for place in range(5)]
    np.testing.assert_allclose(q, np.repeat(expected, 2).reshape(5, 2), atol=0.05)


def test_only_who_remembers_answers_by_the_cue(build):
    """Shown at the start, asked for four steps later: by what it sees then nobody can do better than half."""
    settings = {
        "width": 16, "batch": 16, "lr": 5e-3, "buffer_size": 5_000, "learning_starts": 200, "epsilon_steps": 1_000,
        "epsilon_end": 0.1, "train_freq": 8, "target_update_interval": 100, "gamma": 0.9,
    }  # fmt: skip
    for recurrent, more in ((True, {"length": 5, "burn_in": 0}), (False, {})):
        agent = build("TestCue", recurrent=recurrent, **settings, **more)
        while agent.time < 2_000:
            agent.step()
        score = agent.rollout(300, seed=0).mean()
        assert score == 1 if recurrent else abs(score - 0.5) < 0.15


@pytest.mark.slow
def test_the_tuned_settings_solve_cartpole(tmp_path):
    """475 is what gymnasium calls solved."""
    scores = []
    for seed in range(5):
        run = rlgen.train("dqn", "CartPole", runs=tmp_path, seed=seed)
        scores.append(evaluation.score(rlgen.load(run), 100)["mean"])
    assert sum(score >= 475 for score in scores) >= 4, scores


@pytest.mark.slow
@pytest.mark.parametrize(("task", "score"), [("GridWorld", 0.4), ("Catch", 19)])
def test_the_tuned_settings_master_worlds_of_our_own(task, score, tmp_path):
    """Where the best is 0.65 and 20; who stands still has -1 and about 4."""
    run = rlgen.train("dqn", task, runs=tmp_path, seeds=3)
    scores = evaluation.score(rlgen.load(run), 200)["per_seed"]
    assert sum(one >= score for one in scores) >= 2, scores
