from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlgen.agents.actor import ActorInput
from rlgen.agents.frames import Frames
from rlgen.agents.replay import Replay
from rlgen.envs import Step
from tests.agents.experience import GAMMA, Experience

worlds = {
    "n": st.sampled_from([1, 3, 5]),
    "num_envs": st.sampled_from([1, 3]),
    "seeds": st.sampled_from([1, 2]),
    "frame_stack": st.sampled_from([1, 4]),
    "image": st.booleans(),
    "masks": st.booleans(),
    "alpha": st.sampled_from([0.0, 0.6]),
    "rows": st.integers(8, 13),
    "steps": st.integers(8, 60),
    "seed": st.integers(0, 1000),
}


@settings(max_examples=80, deadline=None, derandomize=True)
@given(**worlds)
def test_exactly_the_whole_windows_are_drawn(rows, num_envs, steps, **more):
    """T4: returns stop at the first end of either kind, discount γᵏ with the actual k, never past the write head.
    T11: each tuple as a naive list has it, the true successor also of a truncated step, no frame of another episode.
    """
    experience = Experience(rows * num_envs, num_envs=num_envs, **more).live(steps, lose=0.03)
    sample = experience.drawn(experience.replay.sample(1200))
    for s, transitions in enumerate(sample):
        expected = experience.walks(s)
        assert len(expected) == len(experience.replay) * num_envs
        assert set(transitions) == set(expected)


def test_new_steps_complete_windows():
    experience = Experience(10, n=3)
    for step in range(1, 30):
        experience.live(1)
        assert len(experience.replay) == len(experience.windows(0)) == max(0, min(step, 10) - 2)
        if len(experience.replay):
            assert set(experience.drawn(experience.replay.sample(500))[0]) == set(experience.walks(0))


def test_a_draw_without_a_whole_window_is_refused():
    for alpha in (0.0, 0.6):
        replay = Experience(10, n=3, alpha=alpha).live(2).replay
        assert len(replay) == 0
        with pytest.raises(ValueError):
            replay.sample(1)


@pytest.mark.parametrize("alpha", [0.0, 0.6])
@pytest.mark.parametrize(("n", "num_envs", "seeds"), [(1, 1, 1), (3, 1, 2), (3, 3, 1), (5, 3, 2)])
def test_windows_without_priorities_are_equally_likely(n, num_envs, seeds, alpha):
    size = 40_000
    experience = Experience(30 * num_envs, seeds, num_envs, n=n, alpha=alpha).live(47)
    for index in experience.replay.sample(size).index:
        counts, cells = Counter(index.tolist()), (30 - n + 1) * num_envs
        assert len(counts) == cells
        expected = size / cells
        statistic = sum((count - expected) ** 2 / expected for count in counts.values())
        freedom = cells - 1
        assert abs(statistic - freedom) < 4 * (2 * freedom) ** 0.5  # mean and deviation of chi-square


def test_draws_of_one_batch_are_independent_of_each_other_and_of_other_seeds():
    size = 4_000
    for alpha in (0.0, 0.6):
        index = Experience(20, 2, n=1, alpha=alpha).live(20).replay.sample(size).index.double()
        for one, other in ((index[0], index[1]), (index[0, 1:], index[0, :-1])):
            assert abs(torch.corrcoef(torch.stack([one, other]))[0, 1]) < 4 / size**0.5


def test_one_step_transitions_are_those_of_a_plain_buffer():
    """T4: n = 1."""
    experience = Experience(20).live(33, life=0.0)
    plain = {row.obs: row for row in experience.log[0][-20:]}
    for obs, _, action, reward, discount, next_obs, _ in experience.drawn(experience.replay.sample(300))[0]:
        row = plain[obs]
        assert (action, reward) == (row.action, row.reward)
        assert (discount, next_obs) == ((0, None) if row.terminated else (GAMMA, row.next_obs))


@pytest.mark.parametrize("frame_stack", [1, 4])
def test_observations_after_a_termination_are_finite_and_have_an_allowed_action(frame_stack):
    """0 * NaN is NaN, and so is a maximum over no action."""
    experience = Experience(30, num_envs=3, frame_stack=frame_stack).live(1)
    for _ in range(40):
        batch = experience.live(1, terminate=0.5).replay.sample(100)
        assert batch.next_obs.isfinite().all()
        assert batch.next_action_mask.any(-1).all()


def test_a_truncated_step_keeps_its_true_next_observation():
    """T11: as the newest step and long after; the ring buffer itself does not contain that observation."""
    experience = (
        Experience(10, frame_stack=2).live(3, terminate=0, truncate=0, life=0).live(1, terminate=0, truncate=1, life=0)
    )
    cut = experience.log[0][-1]
    for later in range(9):  # nine steps later its older frame is overwritten
        drawn = experience.drawn(experience.replay.sample(300))[0]
        assert {x[5] for x in drawn if x[0] == cut.obs} == {cut.next_obs}, later
        experience.live(1, terminate=0, truncate=0, life=0)
    assert not any(x[0] == cut.obs for x in experience.drawn(experience.replay.sample(300))[0])


def test_observations_set_aside_are_removed_with_their_step():
    """T11: the side table has the truncations in the ring buffer and no others."""
    experience = Experience(30, 2, 3, frame_stack=4)
    for _ in range(60):
        experience.live(1, truncate=0.3, lose=0.1)
        there = [row for env_index in experience.log for row in env_index[-11:]]  # ten to draw from, and one more
        assert len(experience.replay.frames.aside) <= sum(row.done and not row.terminated for row in there)
    experience.live(12, truncate=0.0)
    assert not experience.replay.frames.aside


def test_an_atari_transition_costs_no_more_than_its_frame():
    """T11: 7,056 bytes and at most 5 % more, in all arrays together, and with an episode cut off every 500 steps."""
    rows, num_envs = 600, 4
    replay = Replay(
        rows * num_envs, 1, num_envs, (4, 84, 84), np.uint8, frame_stack=4, n_step=3, gamma=0.99, alpha=0.5, seed=0
    )
    obs, action_mask, no = (
        np.zeros((num_envs, 4, 84, 84), np.uint8),
        np.ones((num_envs, 1), bool),
        np.zeros(num_envs, bool),
    )
    for time in range(rows + 100):
        done = np.full(num_envs, time % 500 == 499)
        step = Step(np.zeros(num_envs), no, done, done, obs, action_mask, np.zeros(num_envs))
        replay.push(ActorInput(obs, action_mask, None, no), np.zeros(num_envs, np.int64), step)
    replay.sample(32)
    arrays = [
        x
        for owner in (replay, replay.frames, replay.priorities)
        for x in vars(owner).values()
        if isinstance(x, np.ndarray)
    ]
    arrays += [x for kept in replay.frames.aside.values() for x in kept]
    assert len(replay.frames.aside) == num_envs
    assert sum(x.nbytes for x in arrays if x.base is None) <= 1.05 * 84 * 84 * rows * num_envs


def test_types_and_shapes():
    experience = Experience(12, 2, 3, n=2, frame_stack=4, image=True).live(4, terminate=0, truncate=0, life=0)
    batch = experience.replay.sample(5)
    obs, action_mask, number = ((2, 5, 8, 2, 2), torch.uint8), ((2, 5, 5), torch.bool), ((2, 5), torch.float32)
    index = ((2, 5), torch.int64)
    expected = [obs, action_mask, index, number, number, obs, action_mask, number, index]
    assert [(tuple(x.shape), x.dtype) for x in batch] == expected
    assert torch.equal(batch.discount, torch.full((2, 5), GAMMA**2))
    assert torch.equal(batch.weight, torch.ones(2, 5))
    batch = Experience(12, 2, 3, masks=False).live(4).replay.sample(5)
    assert batch.obs.dtype == torch.float32
    assert batch.action_mask.shape == batch.next_action_mask.shape == (2, 5, 1)
    assert batch.action_mask.all()
    assert batch.next_action_mask.all()


def test_a_batch_is_a_copy():
    experience = Experience(10).live(10)
    batch = experience.replay.sample(50)
    before = [x.clone() for x in batch]
    experience.live(10)
    assert all(map(torch.equal, before, batch))


@pytest.mark.parametrize("alpha", [0.0, 0.6])
@pytest.mark.parametrize("frame_stack", [1, 4])
@pytest.mark.parametrize("steps", [0, 4, 10, 27])
def test_a_resumed_buffer_draws_and_stores_the_same(steps, frame_stack, alpha):
    """T15: priorities, observations set aside and the random stream included."""

    def use(*replays, largest=3.0):
        batches = [replay.sample(7, 0.4) for replay in replays if len(replay)]
        for replay, batch in zip(replays, batches, strict=False):
            replay.prioritize(batch.index, torch.linspace(0, largest, 14).view(2, 7))
        return batches

    def build(steps, seed):
        experience = Experience(10, 2, n=3, frame_stack=frame_stack, alpha=alpha, seed=seed)
        for _ in range(steps):
            use(experience.live(1, lose=0.1).replay, largest=5.0 + seed)
        return experience

    whole, other = build(steps, 0), build(17, 9).replay
    other.load_state_dict(whole.replay.state_dict())
    whole.twin = other
    for _ in range(25):
        one, two = use(whole.live(1).replay, other) or ((), ())
        assert all(map(torch.equal, one, two))
    assert whole.replay.frames.aside.keys() == other.frames.aside.keys()


def test_a_short_buffer_saves_its_rows_alone():
    def saved(steps):
        return Experience(10, 2, n=3, alpha=0.5).live(steps).replay.state_dict()

    for steps, rows in ((4, 4), (25, 10)):
        state = saved(steps)
        assert set(state["newest"]) == {*Replay.columns, *Frames.columns}
        assert {x.shape[:2] for x in state["newest"].values()} == {(2, 2)}  # the newest step, and what comes next
        assert (state["rows"].first, state["rows"].end) == (steps - rows, steps - 1)
    assert saved(4)["priorities"].shape == (2, 5)
    with pytest.raises(ValueError, match="rows 0 to 7, of 6 places"):
        Experience(5, 2, n=3, alpha=0.5).replay.load_state_dict(saved(8))
    with pytest.raises(KeyError, match="priorities"):
        Experience(10, 2, n=3).replay.load_state_dict(saved(8))


def test_streams_of_different_seeds_differ():
    samples = [Experience(10, seed=seed).live(10).replay.sample(30).index for seed in (0, 1)]
    assert not torch.equal(*samples)


@pytest.mark.parametrize("frame_stack", [1, 4])
def test_frames_in_a_tensor_agree_with_frames_in_an_array(frame_stack):
    experience = [Experience(30, 2, 3, n=3, frame_stack=frame_stack, image=True) for _ in range(2)]
    frames = experience[1].replay.frames
    frames.obs = torch.from_numpy(frames.obs)
    for x in experience:
        x.live(50, lose=0.05)
    assert all(map(torch.equal, *(x.replay.sample(200) for x in experience)))
    assert all(map(torch.equal, *(x.replay.sequences(50, 4) for x in experience)))
    fresh = Experience(30, 2, 3, n=3, frame_stack=frame_stack, image=True)
    fresh.replay.load_state_dict(experience[1].replay.state_dict())
    assert all(map(torch.equal, *(x.replay.sample(200) for x in (fresh, experience[1]))))
