import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.agents.experience import Experience


def lived_through(lived, lane, begin, length):
    """What `drawn` gives for the sequence that begins there, and the memory at its beginning."""
    rows = lived.log[lane][begin : begin + length]
    steps = tuple((x.obs, x.action_mask, x.is_first, x.action, x.reward, x.terminated, x.done) for x in rows)
    return (*steps, rows[0].recurrent_state)


def drawn(lived, batch):
    """For each seed the sequences of a batch."""
    result = []
    for s, recurrent_state in enumerate(batch.recurrent_state[..., 0].tolist()):
        obs = lived.numbers(batch.obs[s].flatten(0, 1)).view(*batch.obs.shape[1:3], -1)
        columns = obs, *(getattr(batch, name)[s] for name in batch._fields[1:7])
        seed = []
        for one, remembered in zip(zip(*(x.tolist() for x in columns), strict=True), recurrent_state, strict=True):
            steps = [(tuple(o), tuple(m), *rest) for o, m, *rest in zip(*one, strict=True)]
            seed.append((*steps, remembered))
        result.append(seed)
    return result


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    length=st.sampled_from([1, 2, 6]),
    num_envs=st.sampled_from([1, 3]),
    seeds=st.sampled_from([1, 2]),
    frame_stack=st.sampled_from([1, 4]),
    image=st.booleans(),
    alpha=st.sampled_from([0.0, 0.9]),
    rows=st.integers(9, 13),
    steps=st.integers(6, 50),
    seed=st.integers(0, 1000),
)
def test_sequences_are_consecutive_steps_of_one_lane(rows, num_envs, steps, length, **more):
    """T4, T11: across the beginnings of episodes, never past the write head, frames only of the same episode."""
    lived = Experience(rows * num_envs, num_envs=num_envs, **more).live(steps, lose=0.03)
    sample = drawn(lived, lived.replay.sequences(1000, length))
    for s, sequences in enumerate(sample):
        expected = {
            lived_through(lived, lane, begin, length)
            for lane in range(s * num_envs, (s + 1) * num_envs)
            for begin in lived.windows(lane, length)
        }
        assert len(expected) == lived.replay.windows(length) * num_envs
        assert set(sequences) == expected


def test_types_and_shapes():
    replay = Experience(30, 2, 3, frame_stack=4, image=True, alpha=0.5).live(9).replay
    batch = replay.sequences(5, 4, beta=0.5)
    shapes = {
        "obs": (2, 5, 4, 8, 2, 2), "action_mask": (2, 5, 4, 5), "is_first": (2, 5, 4), "action": (2, 5, 4),
        "reward": (2, 5, 4),
        "terminated": (2, 5, 4), "done": (2, 5, 4), "recurrent_state": (2, 5, 1), "weight": (2, 5), "index": (2, 5),
    }  # fmt: skip
    assert {name: tuple(x.shape) for name, x in batch._asdict().items()} == shapes
    flags = torch.uint8, torch.bool, torch.bool, torch.int64, torch.float32, torch.bool, torch.bool
    assert tuple(x.dtype for x in batch) == (*flags, torch.float32, torch.float32, torch.int64)


def test_sequences_are_drawn_by_the_priority_of_their_beginning():
    """T5: a surprise of its own for each, weights that undo it."""
    lived = Experience(40, alpha=1.0).live(30)
    lived.replay.sequences(1, 5)
    priority = torch.zeros(1, 26)
    priority[0, 7], priority[0, 20] = 3.0, 1.0
    lived.replay.prioritize(torch.arange(26)[None], priority)
    batch = lived.replay.sequences(10_000, 5, beta=1.0)
    often = (batch.index == 7).double().mean().item()
    assert often == pytest.approx(0.75, abs=0.02)
    assert batch.weight[batch.index == 7].unique().tolist() == pytest.approx([1 / 3], rel=1e-4)


def test_what_is_too_long_is_refused():
    for alpha in (0.0, 0.5):
        replay = Experience(40, alpha=alpha).live(5).replay
        assert replay.windows(6) == 0
        with pytest.raises(ValueError, match="too few for a window of 6 steps"):
            replay.sequences(1, 6)
