"""Actions from values: greedy, random and soft, with and without action masks."""

import numpy as np
import pytest
import torch

from rlgen.agents.actor import greedy_action, greedy_policy, random_action, softmax_policy

Q = np.array([[1.0, 5.0, 3.0], [2.0, 0.0, 9.0]], np.float32)
MASK = np.array([[True, False, True], [True, True, False]])
ALL = np.ones((2, 1), bool)


@pytest.mark.parametrize(("mask", "expected"), [(ALL, [1, 2]), (MASK, [2, 0])])
def test_the_greedy_action_is_the_best_allowed_one(mask, expected):
    assert greedy_action(Q, mask).tolist() == expected
    policy = greedy_policy(torch.from_numpy(Q), torch.from_numpy(mask))
    assert policy.argmax(-1).tolist() == expected
    assert policy.sum(-1).tolist() == [1, 1]


@pytest.mark.parametrize(("mask", "allowed"), [(ALL, [{0, 1, 2}] * 2), (MASK, [{0, 2}, {0, 1}])])
def test_every_allowed_action_is_drawn_and_no_other(mask, allowed):
    rng = np.random.default_rng(0)
    drawn = np.stack([random_action(rng, mask, 3) for _ in range(200)])
    assert [set(column.tolist()) for column in drawn.T] == allowed


def test_a_soft_policy_is_the_softmax_over_allowed_actions():
    q, mask = torch.from_numpy(Q), torch.from_numpy(MASK)
    policy = softmax_policy(q, mask, temperature=2.0)
    first = np.exp(np.array([1.0, 3.0]) / 2)
    torch.testing.assert_close(policy[0, [0, 2]], torch.from_numpy(first / first.sum()).float())
    assert policy[0, 1] == policy[1, 2] == 0
    torch.testing.assert_close(softmax_policy(q, mask, 2.0, log=True).exp(), policy)
