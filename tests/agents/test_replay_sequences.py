import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.agents.experience import Experience


def lived_through(lived, lane, begin, length):
    """What `drawn` gives for the sequence that begins there, and the memory at its beginning."""
    rows = lived.log[lane][begin : begin + length]
    steps = tuple((x.obs, x.legal, x.start, x.action, x.reward, x.terminated, x.done) for x in rows)
    return (*steps, rows[0].memory)


def drawn(lived, batch):
    """For each seed the sequences of a batch."""
    result = []
    for s, memory in enumerate(batch.memory[..., 0].tolist()):
        obs = lived.numbers(batch.obs[s].flatten(0, 1)).view(*batch.obs.shape[1:3], -1)
        columns = obs, *(getattr(batch, name)[s] for name in batch._fields[1:7])
        seed = []
        for one, remembered in zip(zip(*(x.tolist() for x in columns), strict=True), memory, strict=True):
            steps = [(tuple(o), tuple(m), *rest) for o, m, *rest in zip(*one, strict=True)]
            seed.append((*steps, remembered))
        result.append(seed)
    return result


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    length=st.sampled_from([1, 2, 6]),
    lanes=st.sampled_from([1, 3]),
    seeds=st.sampled_from([1, 2]),
    stack=st.sampled_from([1, 4]),
    image=st.booleans(),
    alpha=st.sampled_from([0.0, 0.9]),
    rows=st.integers(9, 13),
    steps=st.integers(6, 50),
    seed=st.integers(0, 1000),
)
def test_sequences_are_consecutive_steps_of_one_lane(rows, lanes, steps, length, **more):
    """T4, T11: across the beginnings of episodes, never past the write head, frames only of the same episode."""
    lived = Experience(rows * lanes, lanes=lanes, **more).live(steps, lose=0.03)
    sample = drawn(lived, lived.replay.sequences(1000, length))
    for s, sequences in enumerate(sample):
        expected = {
            lived_through(lived, lane, begin, length)
            for lane in range(s * lanes, (s + 1) * lanes)
            for begin in lived.windows(lane, length)
        }
        assert len(expected) == lived.replay.windows(length) * lanes
        assert set(sequences) == expected


def test_types_and_shapes():
    replay = Experience(30, 2, 3, stack=4, image=True, alpha=0.5).live(9).replay
    batch = replay.sequences(5, 4, beta=0.5)
    shapes = {
        "obs": (2, 5, 4, 8, 2, 2), "legal": (2, 5, 4, 5), "start": (2, 5, 4), "action": (2, 5, 4), "reward": (2, 5, 4),
        "terminated": (2, 5, 4), "done": (2, 5, 4), "memory": (2, 5, 1), "weight": (2, 5), "index": (2, 5),
    }  # fmt: skip
    assert {name: tuple(x.shape) for name, x in batch._asdict().items()} == shapes
    flags = torch.uint8, torch.bool, torch.bool, torch.int64, torch.float32, torch.bool, torch.bool
    assert tuple(x.dtype for x in batch) == (*flags, torch.float32, torch.float32, torch.int64)


def test_sequences_are_drawn_by_the_priority_of_their_beginning():
    """T5: a surprise of its own for each, weights that undo it."""
    lived = Experience(40, alpha=1.0).live(30)
    lived.replay.sequences(1, 5)
    surprise = torch.zeros(1, 26)
    surprise[0, 7], surprise[0, 20] = 3.0, 1.0
    lived.replay.prioritize(torch.arange(26)[None], surprise)
    batch = lived.replay.sequences(10_000, 5, beta=1.0)
    often = (batch.index == 7).double().mean().item()
    assert often == pytest.approx(0.75, abs=0.02)
    assert batch.weight[batch.index == 7].unique().tolist() == pytest.approx([1 / 3], rel=1e-4)


def test_what_is_too_long_is_refused():
    for alpha in (0.0, 0.5):
        replay = Experience(40, alpha=alpha).live(5).replay
        assert replay.windows(6) == 0
        with pytest.raises(ValueError, match="no 6 steps"):
            replay.sequences(1, 6)
