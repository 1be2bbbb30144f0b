import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlgen.agents.replay import LEAST
from tests.agents.experience import Experience


def slots(lived, length=None):
    """The slots of each seed where whole windows begin, as `index` numbers them."""
    replay = lived.replay
    return [
        {
            begin % (replay.rows + 1) * replay.width + lane
            for lane in range(seed * replay.num_envs, (seed + 1) * replay.num_envs)
            for begin in lived.windows(lane, length)
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
def test_whole_windows_have_a_priority_and_nothing_else_has(n, num_envs, seeds, frame_stack, rows, jumps, lengths):
    """T5: slots enter once their window is whole and leave when they are written over, however rarely one draws.

    T4: never past the write head. Windows of other lengths in between, as a recurrent agent draws them, change nothing.
    """
    lived = Experience(rows * num_envs, seeds, num_envs, n=n, frame_stack=frame_stack, alpha=0.7)
    for jump, length in zip(jumps, lengths, strict=False):
        replay = lived.live(jump).replay
        if not replay.windows(length or n):
            continue
        batch = replay.sequences(5, length) if length else replay.sample(5)
        assert list(positive(replay)) == slots(lived, length or n)
        replay.prioritize(batch.index, torch.rand(seeds, 5))


def test_slots_enter_with_the_largest_priority_seen():
    """T5: the largest raw one of their seed, raised to alpha once; also those that came before any was known."""
    alpha = 0.5
    lived = Experience(100, 2, alpha=alpha).live(10)
    replay = lived.replay
    batch = replay.sample(1)
    replay.prioritize(batch.index, torch.tensor([[4.0], [1.0]]))
    replay.sample(1)
    expected = np.array([[4 + LEAST], [1 + LEAST]]) ** alpha * np.ones(10)
    np.testing.assert_allclose(replay.priorities.of[:, :10], expected)
    replay.prioritize(batch.index, torch.tensor([[0.0], [0.0]]))
    np.testing.assert_allclose(replay.priorities.of[:, :10].max(1), expected[:, 0])
    replay.prioritize(torch.tensor([[0], [1]]), torch.tensor([[9.0], [0.0]]))
    lived.live(1)
    replay.sample(1)
    np.testing.assert_allclose(replay.priorities.of[:, 10], [(9 + LEAST) ** alpha, (1 + LEAST) ** alpha])
    np.testing.assert_allclose(replay.priorities.of[:, 0], [(9 + LEAST) ** alpha, LEAST**alpha])


def test_priorities_so_small_do_not_make_old_slots_rule():
    """T5: a first slot enters neither with 1 where errors are of 1e-8, nor with nothing."""
    replay = Experience(100, alpha=1.0).live(50).replay
    batch = replay.sample(20)
    replay.prioritize(batch.index, torch.full((1, 20), 1e-8))
    assert replay.sample(30, beta=1.0).weight.min() > 0.99
    replay.prioritize(batch.index, torch.zeros(1, 20))
    assert replay.sample(30).index.shape == (1, 30)


@pytest.mark.parametrize("alpha", [0.3, 0.6, 1.0])
def test_frequencies_follow_the_priorities_raised_to_alpha(alpha):
    """T5: chi-square, each of two seeds by its own."""
    lived = Experience(60, 2, 3, n=3, alpha=alpha).live(50)
    replay, size = lived.replay, 50_000
    replay.sample(1)
    index = torch.tensor([sorted(x) for x in slots(lived)])
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
    lived = Experience(40, 2, 2, alpha=0.6).live(20)
    replay = lived.replay
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


def test_weights_are_one_where_nothing_is_to_correct():
    """T5: without priorities, and with β = 0."""
    for alpha, beta in ((0.0, 1.0), (0.6, 0.0)):
        replay = Experience(40, 2, alpha=alpha).live(20).replay
        batch = replay.sample(30, beta)
        replay.prioritize(batch.index, torch.rand(2, 30))
        assert torch.equal(replay.sample(30, beta).weight, torch.ones(2, 30))
    assert Experience(40).replay.priorities is None


def test_weighted_means_are_those_of_uniform_drawing():
    """T5: with β = 1 the expectation of the weighted estimate, its weights made to sum to 1, is the plain mean."""
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


def test_of_a_slot_drawn_twice_the_last_surprise_counts():
    """T5."""
    replay = Experience(10, alpha=1.0).live(10).replay
    replay.sample(1)
    replay.prioritize(torch.tensor([[4, 4, 4]]), torch.tensor([[1.0, 7.0, 3.0]]))
    assert replay.priorities.of[0, 4] == pytest.approx(3 + LEAST)
    assert replay.largest == pytest.approx(7 + LEAST)


def test_what_is_written_over_before_its_surprise_is_known_enters_anew():
    """T5: a slot's priority is that of the step in it."""
    lived = Experience(10, alpha=1.0).live(10)
    batch = lived.replay.sample(50)
    lived.replay.prioritize(batch.index, torch.full((1, 50), 2.0))
    lived.live(11)
    lived.replay.prioritize(batch.index, torch.full((1, 50), 0.5))
    lived.replay.sample(1)
    present = lived.replay.priorities.of[0, :11]
    assert sorted(present.tolist()) == pytest.approx([0.0] + [2 + LEAST] * 10)


def test_seeds_draw_by_their_own_priorities():
    replay = Experience(20, 2, alpha=1.0).live(20).replay
    replay.sample(1)
    index = torch.stack([torch.arange(20) * 2, torch.arange(20) * 2 + 1])
    priority = torch.zeros(2, 20)
    priority[0, 3] = priority[1, 15] = 1e3
    replay.prioritize(index, priority)
    assert torch.equal(replay.sample(50).index, torch.tensor([[3 * 2], [15 * 2 + 1]]).expand(2, 50))
