import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.agents.experience import Experience


def sequence_at(experience, env_index, begin, length):
    """The sequence that begins there, as `drawn` has it, and the recurrent state before it."""
    rows = experience.log[env_index][begin : begin + length]
    steps = tuple((x.obs, x.action_mask, x.is_first, x.action, x.reward, x.terminated, x.done) for x in rows)
    return (*steps, rows[0].recurrent_state)


def drawn(experience, batch):
    """For each seed the sequences of a batch."""
    result = []
    for s, recurrent_state in enumerate(batch.recurrent_state[..., 0].tolist()):
        obs = experience.numbers(batch.obs[s].flatten(0, 1)).view(*batch.obs.shape[1:3], -1)
        columns = obs, *(getattr(batch, name)[s] for name in batch._fields[1:7])
        seed = []
        for one, state in zip(zip(*(x.tolist() for x in columns), strict=True), recurrent_state, strict=True):
            steps = [(tuple(o), tuple(m), *rest) for o, m, *rest in zip(*one, strict=True)]
            seed.append((*steps, state))
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
def test_sequences_are_consecutive_steps_of_one_environment(rows, num_envs, steps, length, **more):
    """T4, T11: also across the ends of episodes, never past the newest step, frames of one episode only."""
    experience = Experience(rows * num_envs, num_envs=num_envs, **more).live(steps, lose=0.03)
    sample = drawn(experience, experience.replay.sequences(1000, length))
    for s, sequences in enumerate(sample):
        expected = {
            sequence_at(experience, env_index, begin, length)
            for env_index in range(s * num_envs, (s + 1) * num_envs)
            for begin in experience.windows(env_index, length)
        }
        assert len(expected) == experience.replay.windows(length) * num_envs
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


def test_sequences_are_drawn_by_the_priority_of_their_first_step():
    """T5: with importance weights."""
    experience = Experience(40, alpha=1.0).live(30)
    experience.replay.sequences(1, 5)
    priority = torch.zeros(1, 26)
    priority[0, 7], priority[0, 20] = 3.0, 1.0
    experience.replay.prioritize(torch.arange(26)[None], priority)
    batch = experience.replay.sequences(10_000, 5, beta=1.0)
    often = (batch.index == 7).double().mean().item()
    assert often == pytest.approx(0.75, abs=0.02)
    assert batch.weight[batch.index == 7].unique().tolist() == pytest.approx([1 / 3], rel=1e-4)


def test_a_sequence_longer_than_the_buffer_is_refused():
    for alpha in (0.0, 0.5):
        replay = Experience(40, alpha=alpha).live(5).replay
        assert replay.windows(6) == 0
        with pytest.raises(ValueError, match="too few for a window of 6 steps"):
            replay.sequences(1, 6)
