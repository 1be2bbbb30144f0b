import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlgen.agents.replay import LEAST
from tests.agents.experience import Experience


def slots(experience, length=None):
    """The slots of each seed where whole windows begin, as `index` numbers them."""
    replay = experience.replay
    return [
        {
            begin % (replay.rows + 1) * replay.width + env_index
            for env_index in range(seed * replay.num_envs, (seed + 1) * replay.num_envs)
            for begin in experience.windows(env_index, length)
        }
        for seed in range(replay.seeds)
    ]


def positive(replay):
    """The slots of each seed that can be drawn."""
    for seed, priorities in enumerate(replay.priorities.of):
        place = np.flatnonzero(priorities)
        yield set((place // replay.num_envs * replay.width + seed * replay.num_envs + place % replay.num_envs).tolist())


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    n=st.sampled_from([1, 3, 5]),
    num_envs=st.sampled_from([1, 3]),
    seeds=st.sampled_from([1, 2]),
    frame_stack=st.sampled_from([1, 4]),
    rows=st.integers(9, 20),
    jumps=st.lists(st.integers(1, 45), min_size=1, max_size=12),
    lengths=st.lists(st.sampled_from([0, 2, 6]), min_size=12, max_size=12),
)
def test_exactly_the_whole_windows_have_a_priority(n, num_envs, seeds, frame_stack, rows, jumps, lengths):
    """T5: slots enter once their window is whole and leave when they are overwritten, however rare the draws.

    T4: never past the write head. Windows of other lengths in between, as a recurrent agent draws them, change nothing.
    """
    experience = Experience(rows * num_envs, seeds, num_envs, n=n, frame_stack=frame_stack, alpha=0.7)
    for jump, length in zip(jumps, lengths, strict=False):
        replay = experience.live(jump).replay
        if not replay.windows(length or n):
            continue
        batch = replay.sequences(5, length) if length else replay.sample(5)
        assert list(positive(replay)) == slots(experience, length or n)
        replay.prioritize(batch.index, torch.rand(seeds, 5))


def test_slots_enter_with_the_largest_priority_so_far():
    """T5: the largest raw one of their seed, raised to alpha once; also before any priority is known."""
    alpha = 0.5
    experience = Experience(100, 2, alpha=alpha).live(10)
    replay = experience.replay
    batch = replay.sample(1)
    replay.prioritize(batch.index, torch.tensor([[4.0], [1.0]]))
    replay.sample(1)
    expected = np.array([[4 + LEAST], [1 + LEAST]]) ** alpha * np.ones(10)
    np.testing.assert_allclose(replay.priorities.of[:, :10], expected)
    replay.prioritize(batch.index, torch.tensor([[0.0], [0.0]]))
    np.testing.assert_allclose(replay.priorities.of[:, :10].max(1), expected[:, 0])
    replay.prioritize(torch.tensor([[0], [1]]), torch.tensor([[9.0], [0.0]]))
    experience.live(1)
    replay.sample(1)
    np.testing.assert_allclose(replay.priorities.of[:, 10], [(9 + LEAST) ** alpha, (1 + LEAST) ** alpha])
    np.testing.assert_allclose(replay.priorities.of[:, 0], [(9 + LEAST) ** alpha, LEAST**alpha])


def test_small_priorities_do_not_give_old_slots_precedence():
    """T5: with errors of 1e-8, a new slot enters with neither 1 nor 0."""
    replay = Experience(100, alpha=1.0).live(50).replay
    batch = replay.sample(20)
    replay.prioritize(batch.index, torch.full((1, 20), 1e-8))
    assert replay.sample(30, beta=1.0).weight.min() > 0.99
    replay.prioritize(batch.index, torch.zeros(1, 20))
    assert replay.sample(30).index.shape == (1, 30)


@pytest.mark.parametrize("alpha", [0.3, 0.6, 1.0])
def test_frequencies_follow_the_priorities_raised_to_alpha(alpha):
    """T5: chi-square, for each of two seeds."""
    experience = Experience(60, 2, 3, n=3, alpha=alpha).live(50)
    replay, size = experience.replay, 50_000
    replay.sample(1)
    index = torch.tensor([sorted(x) for x in slots(experience)])
    priority = torch.rand(index.shape, generator=torch.manual_seed(0), dtype=torch.float64) * 5
    replay.prioritize(index, priority)
    drawn = replay.sample(size).index
    for s in range(2):
        share = (priority[s].numpy() + LEAST) ** alpha
        expected = size * share / share.sum()
        common = expected > 5
        counts = (drawn[s][:, None] == index[s]).sum(0).numpy()
        assert counts.sum() == size
        statistic = ((counts - expected) ** 2 / expected)[common].sum()
        assert abs(statistic - common.sum()) < 4 * (2 * common.sum()) ** 0.5


@pytest.mark.parametrize("beta", [0.4, 1.0])
def test_weights_are_those_of_the_paper(beta):
    """T5: (N P)^-β over the largest, whose weight is 1; per seed."""
    experience = Experience(40, 2, 2, alpha=0.6).live(20)
    replay = experience.replay
    batch = replay.sample(30)
    priority = torch.rand(2, 30, generator=torch.manual_seed(0)) * 3
    replay.prioritize(batch.index, priority)
    batch = replay.sample(30, beta)
    of = replay.priorities.of[:, : 21 * 2]
    place = batch.index // 4 * 2 + batch.index % 2
    chance = torch.from_numpy(of / of.sum(1, keepdims=True)).gather(1, place)
    weight = (40 * chance) ** -beta
    torch.testing.assert_close(batch.weight.double(), weight / weight.amax(1, keepdim=True))
    assert torch.equal(batch.weight.amax(1), torch.ones(2))


def test_weights_are_one_without_priorities_or_beta():
    """T5: without priorities, and with β = 0."""
    for alpha, beta in ((0.0, 1.0), (0.6, 0.0)):
        replay = Experience(40, 2, alpha=alpha).live(20).replay
        batch = replay.sample(30, beta)
        replay.prioritize(batch.index, torch.rand(2, 30))
        assert torch.equal(replay.sample(30, beta).weight, torch.ones(2, 30))
    assert Experience(40).replay.priorities is None


def test_weighted_means_are_unbiased():
    """T5: with β = 1 and normalised weights, the expectation is the plain mean."""
    replay = Experience(50, alpha=1.0).live(50).replay
    rng, index = torch.manual_seed(0), torch.arange(50)[None]
    replay.sample(1)
    replay.prioritize(index, torch.rand(1, 50, generator=rng) + 0.1)
    values = torch.rand(51, generator=rng, dtype=torch.float64)
    batch = replay.sample(200_000, beta=1.0)
    weight = batch.weight.double()
    error = (weight * values[batch.index]).sum() / weight.sum() - values[:50].mean()
    plain = values[batch.index].mean() - values[:50].mean()
    assert error.abs() < 4e-3 < plain.abs()


def test_of_a_slot_drawn_twice_the_last_priority_counts():
    """T5."""
    replay = Experience(10, alpha=1.0).live(10).replay
    replay.sample(1)
    replay.prioritize(torch.tensor([[4, 4, 4]]), torch.tensor([[1.0, 7.0, 3.0]]))
    assert replay.priorities.of[0, 4] == pytest.approx(3 + LEAST)
    assert replay.largest == pytest.approx(7 + LEAST)


def test_an_overwritten_slot_keeps_the_priority_of_its_new_step():
    """T5: a slot's priority is that of the step in it."""
    experience = Experience(10, alpha=1.0).live(10)
    batch = experience.replay.sample(50)
    experience.replay.prioritize(batch.index, torch.full((1, 50), 2.0))
    experience.live(11)
    experience.replay.prioritize(batch.index, torch.full((1, 50), 0.5))
    experience.replay.sample(1)
    present = experience.replay.priorities.of[0, :11]
    assert sorted(present.tolist()) == pytest.approx([0.0] + [2 + LEAST] * 10)


def test_seeds_draw_by_their_own_priorities():
    replay = Experience(20, 2, alpha=1.0).live(20).replay
    replay.sample(1)
    index = torch.stack([torch.arange(20) * 2, torch.arange(20) * 2 + 1])
    priority = torch.zeros(2, 20)
    priority[0, 3] = priority[1, 15] = 1e3
    replay.prioritize(index, priority)
    assert torch.equal(replay.sample(50).index, torch.tensor([[3 * 2], [15 * 2 + 1]]).expand(2, 50))
