from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.replay import Batch, Replay
from envs import Step

GAMMA = 0.5  # sums of small numbers are exact


def push(replay, log, rng, steps):
    """Store steps with random ends; `log` keeps (obs, action, reward, terminated, done, next_obs) of every lane.

    Each observation is a number of its own, also the last of an episode, which no step begins from.
    """
    lanes = len(log)
    for _ in range(steps):
        obs = np.array([2 * (len(log[0]) * lanes + lane) for lane in range(lanes)], np.float32)
        action, reward = rng.integers(9, size=lanes), rng.integers(-4, 5, size=lanes).astype(np.float32)
        terminated = rng.random(lanes) < 0.15
        done = terminated | (rng.random(lanes) < 0.15)
        next_obs = np.where(done, obs + 1, obs + 2 * lanes).astype(np.float32)
        step = Step(reward=reward, terminated=terminated, done=done, next_obs=next_obs[:, None], score=np.zeros(lanes))
        replay.push(obs[:, None], action, step)
        for lane, row in enumerate(zip(obs, action, reward, terminated, done, next_obs, strict=True)):
            log[lane].append(tuple(x.item() for x in row))


def walk(log, start, n):
    """The n-step transition that begins at `start`, step by step."""
    total = 0.0
    for k in range(n):
        _, _, reward, terminated, done, next_obs = log[start + k]
        total += GAMMA**k * reward
        if done:
            break
    obs, action, *_ = log[start]
    return obs, action, total, 0.0 if terminated else GAMMA ** (k + 1), next_obs


def windows(log, rows, n):
    """All that can be drawn: windows of n steps that are whole and still there."""
    return [walk(log, start, n) for start in range(max(0, len(log) - rows), len(log) - n + 1)]


def filled(capacity, seeds, lanes, n, steps, seed=0):
    replay = Replay(capacity, seeds, lanes, (1,), n_step=n, gamma=GAMMA, seed=seed)
    log = [[] for _ in range(seeds * lanes)]
    push(replay, log, np.random.default_rng(seed), steps)
    return replay, log


def drawn(batch):
    """For each seed, the list of transitions in a batch."""
    columns = batch.obs[..., 0], batch.action, batch.reward, batch.discount, batch.next_obs[..., 0]
    return [list(zip(*(x[s].tolist() for x in columns), strict=True)) for s in range(len(batch.obs))]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    n=st.sampled_from([1, 3, 5]),
    lanes=st.sampled_from([1, 3]),
    seeds=st.sampled_from([1, 2]),
    capacity=st.integers(15, 40),
    steps=st.integers(5, 60),
    seed=st.integers(0, 1000),
)
def test_every_whole_window_is_drawn_as_walked_and_no_other(n, lanes, seeds, capacity, steps, seed):
    replay, log = filled(capacity, seeds, lanes, n, steps, seed)
    rows = capacity // lanes
    assert len(replay) == min(steps, rows) - n + 1
    sample = drawn(replay.sample(1500))
    for s in range(seeds):
        expected = [window for lane in range(lanes) for window in windows(log[s * lanes + lane], rows, n)]
        assert len(expected) == len(replay) * lanes
        assert set(sample[s]) == set(expected)


def test_windows_grow_as_the_newest_steps_come():
    replay, log = filled(10, 1, 1, 3, 0)
    for step in range(1, 30):
        push(replay, log, np.random.default_rng(step), 1)
        expected = windows(log[0], 10, 3)
        assert len(replay) == len(expected) == max(0, min(step, 10) - 2)
        if expected:
            assert set(drawn(replay.sample(500))[0]) == set(expected)


@pytest.mark.parametrize(("n", "lanes", "seeds"), [(1, 1, 1), (3, 1, 2), (3, 3, 1), (5, 3, 2)])
def test_windows_are_equally_likely(n, lanes, seeds):
    size = 40_000
    replay, _ = filled(30 * lanes, seeds, lanes, n, 47)
    for s, sample in enumerate(drawn(replay.sample(size))):
        counts, cells = Counter(sample), (30 - n + 1) * lanes
        assert len(counts) == cells
        expected = size / cells
        statistic = sum((count - expected) ** 2 / expected for count in counts.values())
        freedom = cells - 1
        assert abs(statistic - freedom) < 4 * (2 * freedom) ** 0.5, s  # mean and deviation of chi-square


def test_draws_of_one_batch_are_independent_of_each_other_and_of_other_seeds():
    size = 4_000
    replay, _ = filled(20, 2, 1, 1, 20)
    batch = replay.sample(size).obs[..., 0].double()
    for one, other in ((batch[0], batch[1]), (batch[0, 1:], batch[0, :-1])):
        assert abs(torch.corrcoef(torch.stack([one, other]))[0, 1]) < 4 / size**0.5


def test_one_step_is_the_plain_buffer():
    replay, log = filled(20, 1, 1, 1, 33)
    plain = {row[0]: row for row in log[0][-20:]}
    for obs, action, reward, discount, next_obs in drawn(replay.sample(300))[0]:
        _, action_, reward_, terminated, _, next_obs_ = plain[obs]
        assert (action, reward, next_obs) == (action_, reward_, next_obs_)
        assert discount == (0 if terminated else GAMMA)


def test_types_and_shapes():
    replay = Replay(12, 2, 3, (4,), n_step=2, gamma=0.9, seed=0)
    for _ in range(4):
        step = Step(
            np.ones(6, np.float32), np.zeros(6, bool), np.zeros(6, bool), np.ones((6, 4), np.float32), np.ones(6)
        )
        replay.push(np.zeros((6, 4), np.float32), np.zeros(6, np.int64), step)
    batch = replay.sample(5)
    shapes = {"obs": (2, 5, 4), "action": (2, 5), "reward": (2, 5), "discount": (2, 5), "next_obs": (2, 5, 4)}
    assert {name: tuple(x.shape) for name, x in batch._asdict().items()} == shapes
    assert batch.action.dtype == torch.int64
    assert all(x.dtype == torch.float32 for name, x in batch._asdict().items() if name != "action")
    torch.testing.assert_close(batch.discount, torch.full((2, 5), 0.81))
    torch.testing.assert_close(batch.reward, torch.full((2, 5), 1.9))


def test_a_batch_is_a_copy():
    replay, log = filled(10, 1, 1, 1, 10)
    batch = replay.sample(50)
    before = [x.clone() for x in batch]
    push(replay, log, np.random.default_rng(1), 10)
    assert all(map(torch.equal, before, batch))
    assert isinstance(batch.to(torch.device("cpu")), Batch)


@pytest.mark.parametrize("steps", [0, 4, 10, 27])
def test_resumed_it_draws_and_stores_the_same(steps):
    whole, log = filled(10, 2, 1, 3, steps)
    if steps > 3:
        whole.sample(7)
    other, _ = filled(10, 2, 1, 3, 5, seed=9)
    other.load_state_dict({key: v.clone() if hasattr(v, "clone") else v for key, v in whole.state_dict().items()})
    for replay in (whole, other):
        push(replay, [list(x) for x in log], np.random.default_rng(4), 8)
    assert all(map(torch.equal, whole.sample(100), other.sample(100)))


def test_a_young_memory_saves_the_rows_it_has():
    assert len(filled(10, 2, 1, 3, 4)[0].state_dict()["obs"]) == 4 * 2
    assert len(filled(10, 2, 1, 3, 25)[0].state_dict()["obs"]) == 10 * 2
    with pytest.raises(ValueError, match="shape"):
        filled(5, 2, 1, 3, 0)[0].load_state_dict(filled(10, 2, 1, 3, 8)[0].state_dict())


def test_streams_of_different_seeds_differ():
    samples = [filled(10, 1, 1, 1, 10, seed)[0].sample(30).obs for seed in (0, 1)]
    assert not torch.equal(*samples)


def test_no_window_reaches_across_an_episode_that_was_lost():
    replay = Replay(50, 1, 2, (1,), n_step=3, gamma=0.5, seed=0)

    def step(value):
        one, no = np.ones(2, np.float32), np.zeros(2, bool)
        replay.push(np.full((2, 1), value, np.float32), np.zeros(2, np.int64), Step(one, no, no, one[:, None], one))

    for value in range(4):
        step(value)
    replay.cut(np.array([False, True]))  # the second lane goes on elsewhere
    for value in range(4, 8):
        step(value)
    batch = replay.sample(500)
    lengths = {}
    for value, reward in zip(batch.obs.flatten().tolist(), batch.reward.flatten().tolist(), strict=True):
        lengths.setdefault(int(value), set()).add(reward)
    assert lengths[2] == {1.75, 1.5}  # rows 2, 3, 4 in one lane; 2 and 3 in the other
    assert lengths[3] == {1.75, 1.0}
    assert lengths[4] == lengths[1] == {1.75}
