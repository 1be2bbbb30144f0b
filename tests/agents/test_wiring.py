"""Every option of every agent changes what it names: the way from the settings to their effect."""

from collections import Counter
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import nn

from rlgen.agents.noise import NoisyLinear
from rlgen.agents.settings import DQN, DRQN, QLearning
from rlgen.agents.tabular import QLearning as QLearningAgent
from rlgen.core.settings import Setup
from rlgen.envs import Step
from rlgen.envs.watchdog import watchdog
from rlgen.session import prepare
from tests.agents.test_dqn import targets, transitions
from tests.wiring import Effect, check_effect, every_field, optimizer_effects


def learned(agent, steps=60):
    """Metrics of the last of the calls of `step` up to this time."""
    while agent.time < steps:
        metrics = agent.step()
    return metrics


def time_of_first_step(agent):
    agent.step()
    return agent.time


def learning_rate(agent):
    learned(agent)
    return agent.optimizer.rule.param_groups[0]["lr"]


def errors(agent):
    """The shapes (S, B) of the batches of one call of `learn`."""
    shapes, error = [], agent.value.error
    agent.plain = None  # the general path
    agent.value.error = lambda out, target: shapes.append(tuple(out.shape[:-1])) or error(out, target)
    for _ in range(10):
        agent.collect()
    agent.learn()
    return shapes


def largest_discount(agent):
    learned(agent)
    return agent.replay.sample(200).discount.max().item()


def clipped_norm(agent):
    """Norm of the gradient that the optimiser was given, after rewards of 1,000."""
    for _ in range(10):
        agent.collect()
    agent.replay.reward[:] = 1e3
    agent.learn()
    return torch.cat([p.grad.flatten() for p in agent.q.parameters()]).norm().item()


def arguments_of_sample(agent):
    """(size, beta) of a draw from the replay buffer at time 60."""
    asked, sample = [], agent.replay.sample
    agent.replay.sample = lambda size, beta: asked.append(beta) or sample(size, beta)
    learned(agent)
    return asked[-1]


def target_of_double(agent):
    """The online network prefers action 0 in state 1, which the target network values at -2; the other at 8."""
    batch = transitions([0], [0], [0.0], [1.0], [1], states=2)
    return targets(agent, batch, [[0.0, 0], [-2, 8]], [[0.0, 0], [5, 1]]).item()


def target_of_munchausen(agent, gap=10.0):
    """The target of an action whose value is `gap` below the other, with reward 0 and no next state."""
    batch = transitions([0], [0], [0.0], [0.0], [1], states=2)
    return targets(agent, batch, [[0.0, gap], [0, 0]]).item()


def priority_ratio(agent):
    """Ratio of the probabilities of two transitions with the priorities 4 and 1."""
    for _ in range(10):
        agent.collect()
    index = torch.tensor([[0, 1]])
    agent.replay.sample(1)
    agent.replay.prioritize(index, torch.tensor([[4.0, 1.0]]))
    if agent.replay.priorities is None:
        return 1.0
    first, second = agent.replay.priorities.of[0, :2]
    return float(first / second)


def time_of_first_update(agent):
    """When the target network first equals the online network, which is not trained."""
    for p in agent.q.parameters():
        p.data += 1.0
    while not torch.equal(next(agent.target.parameters()), next(agent.q.parameters())):
        agent.collect()
    return agent.time


def share_of_online(agent):
    for p in agent.q.parameters():
        p.data += 1.0
    before = next(agent.target.parameters()).clone()
    agent.update_target(1)
    return (next(agent.target.parameters()) - before).mean().item()


def random_actions(time):
    """Share of random actions at a time."""

    def observe(agent):
        agent.time = time
        agent.greedy = lambda inputs: (np.full(len(inputs.obs), -1), None)
        return round(float(np.mean([agent.act(agent.inputs())[0][0] >= 0 for _ in range(2_000)])), 1)

    return observe


def first_loss(agent):
    while "loss" not in agent.step():
        pass
    return agent.time


def episode_limits(agent):
    """Of the environments of the training and of those of an evaluation."""
    return agent.env.max_episode_steps, agent.make_env(1, 0).max_episode_steps


def step_limits(agent):
    """Of the environments of the training and of those of an evaluation, as they are watched."""
    return tuple(watchdog.limits[env.environments] for env in (agent.env, agent.make_env(1, 0)))


def workers(agent):
    """Processes that step the environments of the training and those of an evaluation."""
    found = []
    for env in (agent.env, agent.make_env(4, 0)):
        found.append(len(getattr(env.environments, "workers", ())))
        env.close()
    return tuple(found)


def rewards(agent):
    """Rewards in the replay buffer; the return of an evaluation, 9, is that of whole games with unclipped rewards."""
    learned(agent)
    assert agent.evaluate()["eval_return"].tolist() == [9]
    return set(np.unique(agent.replay.reward[: agent.replay.count]).tolist())


def terminations(agent):
    """Terminated steps of the first game, in which three lives are lost."""
    for _ in range(3):
        agent.collect()
    assert agent.evaluate()["eval_return"].tolist() == [9]
    return int(agent.replay.terminated[:9].sum())


def evaluated(agent):
    """Number of episodes of an evaluation."""
    counts, rollout = [], agent.rollout
    agent.rollout = lambda episodes, seed: counts.append(episodes) or rollout(episodes, seed)
    agent.evaluate()
    return counts[0]


def layers(kind):
    return lambda agent: sum(isinstance(module, kind) for module in agent.q.modules())


EFFECTS = {
    "lr": Effect(5e-3, learning_rate, 5e-3),
    **optimizer_effects(lambda agent: agent.optimizer, {"max_grad_norm", "accumulate"}),
    "lr_end": Effect(1e-4, learning_rate, 1e-4, {"schedule": "linear", "lr_steps": 40}),
    "lr_steps": Effect(120, learning_rate, 5.5e-3, {"schedule": "linear", "lr": 1e-2, "lr_end": 1e-3}),
    "gamma": Effect(0.5, largest_discount, 0.5),
    "batch": Effect(5, errors, [(1, 5)]),
    "train_freq": Effect(12, time_of_first_step, 12),
    "gradient_steps": Effect(3, errors, [(1, 8)] * 3),
    "loss": Effect("mse", lambda agent: agent.value.error(torch.zeros(1), torch.tensor([3.0])).item(), 9.0),
    "max_grad_norm": Effect(0.25, clipped_norm, 0.25),
    "double": Effect(True, target_of_double, -2.0),
    "dueling": Effect(True, lambda agent: agent.q.network.head.value is not None, True),
    "alpha": Effect(0.5, priority_ratio, 2.0),
    "beta": Effect(0.9, arguments_of_sample, 0.9, {"alpha": 0.5, "beta_steps": 10**9}),
    "beta_steps": Effect(120, arguments_of_sample, 0.7, {"alpha": 0.5}),
    "n_step": Effect(3, largest_discount, 0.99**3),
    "atoms": Effect(7, lambda agent: agent.q(torch.zeros(1, 1, 4)).shape[-1], 7),
    "v_min": Effect(-7.0, lambda agent: agent.value.z[0].item(), -7.0, {"atoms": 5, "v_max": 3.0}),
    "v_max": Effect(7.0, lambda agent: agent.value.z[-1].item(), 7.0, {"atoms": 5, "v_min": -3.0}),
    "quantiles": Effect(5, lambda agent: agent.q(torch.zeros(1, 1, 4)).shape[-1], 5),
    "noisy": Effect(True, layers(NoisyLinear), 2),
    "munchausen": Effect(0.5, target_of_munchausen, -0.5),
    "temperature": Effect(0.5, lambda agent: target_of_munchausen(agent, 0.0), 0.5 * np.log(0.5), {"munchausen": 1.0}),
    "target_update_interval": Effect(28, time_of_first_update, 28),
    "tau": Effect(0.25, share_of_online, 0.25),
    "epsilon": Effect(0.5, random_actions(0), 0.5),
    "epsilon_end": Effect(0.4, random_actions(10**6), 0.4),
    "epsilon_steps": Effect(100, random_actions(60), 0.4, {"epsilon_end": 0.0}),
    "num_envs": Effect(3, lambda agent: len(agent.env.obs), 3),
    "env_workers": Effect(2, workers, (2, 2), {"num_envs": 2}),
    "buffer_size": Effect(90, lambda agent: agent.replay.rows, 90),
    "learning_starts": Effect(48, first_loss, 48),
    "seeds": Effect(3, lambda agent: learned(agent)["loss"].shape, (3,)),
    "frame_stack": Effect(4, lambda agent: (agent.env.shape, agent.make_env(1, 0).shape), ((16,), (16,))),
    "repeat_action_probability": Effect(0.5, lambda agent: _sticky(agent.env), 0.5),
    "max_episode_steps": Effect(7, episode_limits, (7, 7)),
    "step_timeout": Effect(7.0, step_limits, (7.0, 7.0)),
    "clip_reward": Effect(True, rewards, {-1.0, 0.0, 1.0}),
    "life_loss": Effect(True, terminations, 3),
    "eval_episodes": Effect(3, evaluated, 3),
    "encoder": Effect("linear", lambda agent: layers(nn.Conv2d)(agent), 0),
    "width": Effect(24, lambda agent: agent.q.network.head.advantage[0].out_features, 24),
    "depth": Effect(4, lambda agent: layers(nn.ReLU)(agent), 4),
    "layer_norm": Effect(True, layers(nn.LayerNorm), 1),
}
TASKS = {
    "encoder": "Catch",
    "clip_reward": "TestLives",
    "env_workers": "FrozenLake",
    "life_loss": "TestLives",
    "repeat_action_probability": "MinAtar/Breakout",
}
SCORED = {"final_episodes"}  # by the session, not by the agent
REFUSED = {"accumulate"}


def _sticky(env):
    return env.environments.envs[0].unwrapped.repeat_action_probability


@pytest.mark.parametrize("name", every_field(DQN, EFFECTS, SCORED | REFUSED))
def test_every_option_of_dqn_has_its_effect(build, name):
    if name == "repeat_action_probability" and find_spec("minatar") is None:
        pytest.skip("MinAtar is not installed: rlgen[minatar]")
    check_effect(lambda **settings: build(TASKS.get(name, "CartPole"), **settings), name, EFFECTS)


def sequences(agent):
    """Steps of a drawn sequence, and of its loss."""
    lengths, draw = [], agent.replay.sequences
    agent.replay.sequences = lambda size, length, beta: lengths.append(length) or draw(size, length, beta)
    return lengths, errors(agent)[0][2]


RECURRENT_EFFECTS = {
    "length": Effect(7, sequences, ([3 + 7 + 1], 7)),
    "burn_in": Effect(4, sequences, ([4 + 5 + 1], 5)),
}


@pytest.mark.parametrize("name", every_field(DRQN, RECURRENT_EFFECTS, {*EFFECTS, *SCORED, *REFUSED}))
def test_every_option_of_drqn_has_its_effect(build, name):
    check_effect(lambda **settings: build(recurrent=True, **settings), name, RECURRENT_EFFECTS)


def tabular(**settings):
    return QLearningAgent("TestChain", QLearning(**settings), Setup(seed=0, threads=1))


def update(visits):
    """The value of state 2 and action 1 after updates with reward 1, and value 8 in the next state 3."""

    def observe(agent):
        agent.q[0, 3] = 8.0
        flag, at = np.zeros(1, bool), np.eye(5, dtype=np.float32)
        step = Step(np.ones(1), flag, flag, flag, at[[3]], np.ones((1, 1), bool), np.zeros(1))
        for _ in range(visits):
            agent.learn(at[[2]], np.array([1]), step)
        return float(agent.q[0, 2, 1])

    return observe


TABULAR_EFFECTS = {
    "gamma": Effect(0.5, update(1), 5.0),
    "lr": Effect(0.5, update(1), 0.5 * (1 + 0.99 * 8)),
    "lr_decay": Effect(1.0, update(2), 0.625 * (1 + 0.99 * 8), {"lr": 0.5}),
    "initial_q": Effect(3.0, lambda agent: set(agent.q.ravel().tolist()), {3.0}),
    "epsilon": EFFECTS["epsilon"],
    "epsilon_end": EFFECTS["epsilon_end"],
    "epsilon_steps": EFFECTS["epsilon_steps"],
    "num_envs": EFFECTS["num_envs"],
    "env_workers": EFFECTS["env_workers"],
    "seeds": Effect(3, lambda agent: len(agent.q), 3),
    "max_episode_steps": EFFECTS["max_episode_steps"],
    "step_timeout": EFFECTS["step_timeout"],
    "eval_episodes": EFFECTS["eval_episodes"],
}


@pytest.mark.parametrize("name", every_field(QLearning, TABULAR_EFFECTS, SCORED))
def test_every_option_of_qlearning_has_its_effect(name):
    check_effect(tabular, name, TABULAR_EFFECTS)


@pytest.mark.parametrize(("algorithm", "task"), [("dqn", "CartPole"), ("qlearning", "GridWorld")])
def test_the_final_score_is_over_as_many_episodes_as_the_option_says(tmp_path, algorithm, task):
    short = {"budget": 200, "log_every": 100, "eval_every": 200, "save_every": 200, "eval_episodes": 2}
    report = prepare(algorithm, task, {**short, "final_episodes": 7}, runs=tmp_path).train(quiet=True)
    assert report.values["episodes"] == len(report.details["returns"]) == 7


def test_an_infinite_gradient_norm_clips_nothing(build):
    agent = build(max_grad_norm=float("inf"))
    norm = clipped_norm(agent)
    agent.optimizer.learning_rate = lambda time: 0.0
    assert agent.learn()["gradient_norm"].item() == pytest.approx(
        torch.cat([p.grad.flatten() for p in agent.q.parameters()]).norm().item(), rel=1e-4
    )
    assert norm > 0.5


def test_an_evaluation_has_a_seed_of_its_own(build):
    """Neither the episodes of the training nor, for final scores, those of the evaluations."""
    seeds = Counter()
    for seed in (0, 1):
        agent = build(seed=seed)
        make_env = agent.make_env

        def counted(num_envs, seed, *, make_env=make_env, **options):
            seeds[seed] += 1
            return make_env(num_envs, seed, **options)

        agent.make_env = counted
        agent.evaluate()
        agent.evaluate()
        agent.report(2, seed=0)
        seeds[agent.env.seed] += 1
    assert sorted(seeds.values()) == [
        1,
        1,
        2,
        2,
        2,
    ]  # two trainings, evaluations of two seeds, one set of fresh episodes
