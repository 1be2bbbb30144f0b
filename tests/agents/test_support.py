"""The support of C51 from the returns of the training."""

import copy

import numpy as np
import pytest
import torch

from rlgen.agents.networks import mix_atoms
from rlgen.agents.support import MARGIN, Support, projection
from rlgen.agents.values import Categorical
from rlgen.envs import Step


def step(reward, done):
    """One step of some environments, of which only rewards and ends matter here."""
    reward, done = np.asarray(reward, np.float32), np.asarray(done, bool)
    return Step(reward, done, done, done, reward[:, None], np.ones((len(reward), 1), bool), reward)


def recorded(support, *episodes):
    """Each episode in environment 0, a list of rewards."""
    for rewards in episodes:
        for t, reward in enumerate(rewards):
            support.record(step([reward], [t == len(rewards) - 1]))
    return support


def test_the_range_has_the_return_of_every_state():
    """Rewards 1, -4, 2 at γ = 0.5: returns 1 - 2 + 0.5 = -0.5, then -3, then 2."""
    support = recorded(Support(1, 1, 0.5, None, None), [1.0, -4.0, 2.0])
    assert support.range.tolist() == [[-3.0, 2.0]]
    assert support.update()
    margin = MARGIN * 5
    assert support.bounds.tolist() == [[-3 - margin, 2 + margin]]
    assert not support.update()


@pytest.mark.parametrize(("sign", "expected"), [(1, (0.0, 4 * (1 + MARGIN))), (-1, (-4 * (1 + MARGIN), 0.0))])
def test_returns_of_one_sign_have_a_support_that_ends_at_zero(sign, expected):
    support = recorded(Support(1, 1, 1.0, None, None), [sign * 1.0] * 4)
    support.update()
    assert support.bounds[0].tolist() == pytest.approx(expected)


def test_the_support_is_widened_by_a_return_outside_and_by_no_other():
    support = recorded(Support(1, 1, 1.0, None, None), [1.0] * 4)
    support.update()
    assert not recorded(support, [1.0] * 5).update()
    assert recorded(support, [1.0] * 6).update()
    assert support.bounds[0].tolist() == pytest.approx([0, 6 * (1 + MARGIN)])


def test_before_the_first_return_other_than_zero_the_support_waits():
    """As with sparse rewards: it then follows from the first, however small."""
    support = recorded(Support(1, 1, 1.0, None, None), [0.0] * 9)
    assert not support.update()
    assert support.bounds.tolist() == [[-1, 1]]
    assert recorded(support, [0.0, 0.001]).update()
    assert support.bounds[0].tolist() == pytest.approx([0, 0.001 * (1 + MARGIN)])


def test_unfinished_episodes_count_before_the_first_end():
    support = Support(1, 1, 1.0, None, None)
    for _ in range(7):
        support.record(step([-1.0], [False]))
    assert support.update()
    assert support.bounds[0].tolist() == pytest.approx([-7 * (1 + MARGIN), 0])


@pytest.mark.parametrize(("terminated", "expected"), [(True, 3.5), (False, 4.5)])
def test_a_truncated_episode_continues_at_its_mean_reward(terminated, expected):
    """γ = 0.5, rewards 3, then 1: after the end 0, or 2 for ever, which is worth 4; from the start 3.5, or 4.5."""
    support = Support(1, 1, 0.5, None, None)
    support.record(step([3.0], [False]))
    last = step([1.0], [True])
    support.record(last._replace(terminated=np.array([terminated])))
    assert support.range[0].tolist() == [0, expected]


def test_each_seed_has_a_support_of_its_own():
    support = Support(2, 2, 1.0, None, None)
    support.record(step([1.0, 2.0, -3.0, -4.0], [True] * 4))
    support.update()
    assert support.bounds.tolist() == [[0, 2 * (1 + MARGIN)], [-4 * (1 + MARGIN), 0]]
    low, high = support.tensors(torch.device("cpu"))
    assert (low.tolist(), high.tolist()) == ([0, -5], [2.5, 0])


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(-2.0, None, (-2, 5)), (None, 3.0, (0, 3)), (9.0, None, (9, 10))]
)
def test_a_given_end_stays(low, high, expected):
    support = recorded(Support(1, 1, 1.0, low, high), [1.0] * 4)
    support.update()
    assert support.bounds[0].tolist() == pytest.approx(expected)


def test_two_given_ends_never_move_and_warn_once_of_a_return_outside(caplog):
    support = recorded(Support(1, 1, 1.0, 0.0, 3.0), [1.0] * 4)
    assert not support.update()
    assert not support.update()
    assert support.bounds.tolist() == [[0, 3]]
    (record,) = caplog.records
    assert record.getMessage().startswith("a discounted return of 4 is outside of --v-min 0 --v-max 3: ")


def test_a_warning_needs_a_return_outside(caplog):
    recorded(Support(1, 1, 1.0, 0.0, 30.0), [1.0] * 4).update()
    assert not caplog.records


# ---- projection


def moved(logits, former, z):
    mixture, shift = projection(former, z)
    return mixture @ logits + shift


@pytest.mark.parametrize("high", [1.3, 2.0, 5.0])
def test_a_projection_onto_a_wider_support_keeps_the_mean(high):
    """To within half a spacing, for smooth distributions; hardly any probability lies beyond the former support."""
    former, z = torch.linspace(0, 1, 51), torch.linspace(-0.2, high, 51)
    for mean in (0.2, 0.5, 0.7):
        logits = -0.5 * ((former - mean) / 0.1) ** 2
        p = moved(logits, former, z).softmax(-1)
        assert (p @ z).item() == pytest.approx(mean, abs=0.5 * (z[1] - z[0]).item())
        assert p[(z < -1e-6) | (z > 1 + 1e-6)].sum() < 0.02


def test_a_projection_onto_the_same_support_changes_nothing():
    z, logits = torch.linspace(-3, 4, 11), torch.randn(11)
    torch.testing.assert_close(moved(logits, z, z), logits, atol=1e-4, rtol=0)


def test_a_projection_by_hand():
    """Atoms 0, 1, 2 onto 0, 2, 4: 1 is halved between 0 and 2; 4 lies beyond and has the logit of 2, less 5."""
    logits = torch.tensor([1.0, 4.0, -2.0])
    result = moved(logits, torch.tensor([0.0, 1, 2]), torch.tensor([0.0, 2, 4]))
    first, second = (1 + 0.5 * 4) / 1.5, (0.5 * 4 - 2) / 1.5
    torch.testing.assert_close(result, torch.tensor([first + np.log(1.5), second + np.log(1.5), -2.0 - 5]).float())


@pytest.mark.parametrize("settings", [{}, {"dueling": True, "noisy": True}])
@pytest.mark.parametrize("seeds", [1, 2])
def test_the_logits_of_a_network_are_mixed(build, seeds, settings):
    agent = build(atoms=5, v_min=0.0, v_max=1.0, seeds=seeds, **settings)
    obs, mixture, shift = torch.randn(seeds, 9, 4), torch.randn(seeds, 5, 5), torch.randn(seeds, 5)
    with torch.no_grad():
        before = agent.q(obs)
        mix_atoms(agent.q.network, mixture, shift)
        expected = torch.einsum("sjk,sbak->sbaj", mixture, before) + shift[:, None, None]
        torch.testing.assert_close(agent.q(obs), expected, atol=1e-4, rtol=1e-4)


def test_the_moments_of_the_optimizer_are_mixed_with_their_weights(build):
    agent = build(atoms=5, v_min=0.0, v_max=1.0, learning_starts=0)
    for _ in range(5):
        agent.step()
    layer = agent.q.network.head.advantage[-2]
    before = agent.optimizer.rule.state[layer.weight]["exp_avg"].clone()
    flip = torch.eye(5).flip(0)[None]
    mix_atoms(agent.q.network, flip, torch.ones(1, 5), agent.optimizer.rule)
    after = agent.optimizer.rule.state[layer.weight]["exp_avg"]
    assert before.any()
    torch.testing.assert_close(after.view(2, 5, -1), before.view(2, 5, -1).flip(1))


# ---- in training


@pytest.mark.parametrize("seeds", [1, 2])
def test_the_support_follows_the_returns_of_the_warm_up(build, seeds):
    """Rewards of 1 for ever, cut off after five steps, γ = 0.9: every state is worth 10."""
    agent = build("TestTruncated", atoms=11, gamma=0.9, seeds=seeds)
    while "loss" not in agent.step():
        assert agent.support.bounds.tolist() == [[-1, 1]] * seeds
    assert agent.value.z[..., 0].max().item() == 0
    assert agent.value.z[..., -1].min().item() == pytest.approx(10 * (1 + MARGIN))
    assert agent.value.z.shape == ((11,) if seeds == 1 else (2, 11))


def test_widened_in_training_the_values_are_kept(build):
    agent = build("TestTruncated", atoms=31, gamma=0.9, width=32, lr=3e-3)
    while agent.time < 800:
        agent.step()
    obs = torch.eye(5)[None]
    with torch.no_grad():
        before, former = agent.value.mean(agent.q(obs)), agent.value.z
        agent.support.range[0, 1] = 20.0
        agent.fit_support()
        after = agent.value.mean(agent.q(obs))
    assert agent.value.z[-1].item() == pytest.approx(20 * (1 + MARGIN)) != former[-1].item()
    assert (after - before).abs().max() < agent.value.spacing
    assert before.min() > 2  # it had learned something to keep


@pytest.mark.parametrize("before", [3, 40])
def test_resume_is_exact(build, snapshot, same, before):
    whole, resumed = (build("TestTruncated", atoms=11, gamma=0.9, seeds=2) for _ in range(2))
    for _ in range(before):
        whole.step()
    resumed.step()
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    assert torch.equal(whole.value.z, resumed.value.z)
    for _ in range(10):
        whole.step()
        resumed.step()
    assert same(snapshot(whole), snapshot(resumed))


def test_supports_of_several_seeds_act_row_by_row():
    """Means and targets of two seeds with a support each are those of each seed alone."""
    low, high = torch.tensor([0.0, -9.0]), torch.tensor([2.0, 1.0])
    both = Categorical(7, low, high)
    out, policy = torch.randn(2, 6, 3, 7), torch.randn(2, 6, 3).softmax(-1)
    reward, discount = torch.randn(2, 6), torch.rand(2, 6)
    for s in range(2):
        alone = Categorical(7, low[s], high[s])
        torch.testing.assert_close(both.mean(out)[s], alone.mean(out[s]))
        torch.testing.assert_close(
            both.target(reward, discount, out, policy)[s], alone.target(reward[s], discount[s], out[s], policy[s])
        )
