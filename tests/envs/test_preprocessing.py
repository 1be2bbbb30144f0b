import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from rlgen.core.errors import UserError
from rlgen.envs import VectorEnv
from rlgen.envs.preprocessing import Preprocessing
from tests.envs.playing import play, steps_of


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("TestVector", (3,)), ("TestDiscrete", (4,)), ("TestMultiDiscrete", (5,)),
        ("TestTuple", (4,)), ("TestDict", (6,)), ("FrozenLake", (16,)), ("Taxi", (500,)),
    ],
)  # fmt: skip
def test_vectors_are_float_arrays_of_one_shape(name, shape):
    env = VectorEnv(name, 2, seed=0)
    assert env.shape == shape
    for obs, _, step in play(env, 9):
        assert obs.shape == step.next_obs.shape == (2, *shape)
        assert obs.dtype == step.next_obs.dtype == env.obs.dtype == np.float32


def test_a_discrete_observation_becomes_a_one_hot_vector():
    env = VectorEnv("FrozenLake", 1, seed=0)
    np.testing.assert_array_equal(env.obs, np.eye(16)[:1])
    assert VectorEnv("TestDiscrete", 1, seed=0).obs.sum() == 1  # its first observation is 2


@pytest.mark.parametrize("name", ["TestSequence", "TestGraph"])
def test_observations_without_a_fixed_size_are_refused(name):
    with pytest.raises(UserError, match=f"^{name}-v0 has the observations [^\n]* no fixed size[^\n]*$"):
        VectorEnv(name, 1, seed=0)


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "scale"),
    [
        ("TestImage", (3, 4, 4), np.uint8, 255), ("TestPlanes", (2, 3, 5), np.uint8, 1),
        ("TestScreen", (2, 3, 5), np.uint8, 255), ("TestGrayImage", (1, 4, 6), np.uint8, 255),
        ("TestFloatImage", (3, 4, 5), np.float32, 1), ("TestFloatMatrix", (8,), np.float32, 1),
        ("TestBytes", (7,), np.float32, 1), ("TestVector", (3,), np.float32, 1),
        ("FrozenLake", (16,), np.float32, 1),
    ],
)  # fmt: skip
def test_pixels_are_bytes_with_channels_first(name, shape, dtype, scale):
    env = VectorEnv(name, 2, seed=0)
    assert (env.shape, env.dtype, env.scale) == (shape, dtype, scale)
    for obs, _, step in play(env, 9):
        assert obs.shape == step.next_obs.shape == (2, *shape)
        assert obs.dtype == step.next_obs.dtype == env.obs.dtype == dtype


def test_channels_are_moved_and_not_mixed():
    env = VectorEnv("TestImage", 1, seed=0)
    raw, _ = gym.make("TestImage-v0").reset(seed=int(np.random.SeedSequence([0, 0, 0]).generate_state(1)[0]))
    np.testing.assert_array_equal(env.obs[0], raw.transpose(2, 0, 1))
    for observation in (raw, env.obs[0]):
        batch, single = env.preprocess_observation(observation)
        assert single
        np.testing.assert_array_equal(batch, env.obs)
    batch, single = env.preprocess_observation(np.stack([raw, raw]))
    assert (batch.shape, batch.dtype, single) == ((2, 3, 4, 4), np.uint8, False)


def test_bytes_of_a_vector_are_divided_by_255():
    """Such as the memory of a game console: undivided, they would be inputs of up to 255."""
    env = VectorEnv("TestBytes", 2, seed=0)
    seen = np.stack([step.next_obs for step in steps_of(env, 9)])
    assert seen.max() <= 1
    assert seen.max() > 0.9
    np.testing.assert_array_equal(seen * 255, np.round(seen * 255))
    raw = np.array([0, 1, 51, 102, 204, 254, 255], np.uint8)
    expected = (raw / 255).astype(np.float32)
    for observation in (raw, raw.tolist(), expected):  # integers are raw, floats are preprocessed
        vector, single = env.preprocess_observation(observation)
        assert single
        np.testing.assert_allclose(vector[0], expected, rtol=1e-6)
    batch, single = env.preprocess_observation(np.stack([raw, raw]))
    assert not single
    np.testing.assert_allclose(batch, [expected, expected], rtol=1e-6)


def test_bytes_are_divided_wherever_they_stand_in_a_vector():
    mixed = VectorEnv("TestMixedBytes", 1, seed=0)
    raw = {"memory": np.array([255, 51], np.uint8), "place": 1}
    np.testing.assert_allclose(mixed.preprocess_observation(raw)[0], [[1, 0.2, 0, 1, 0]], rtol=1e-6)
    small = np.stack([step.next_obs for step in steps_of(VectorEnv("TestSmallBytes", 2, seed=0), 9)])
    assert set(np.unique(small)) <= set(range(8))  # bytes of another range keep their values
    assert small.max() > 1


def test_the_divisor_of_pixels_is_the_scale_of_the_network_s_input():
    assert Preprocessing("", spaces.Box(0, 255, (84, 84), np.uint8)).scale == 255
    assert Preprocessing("", spaces.Box(0, 1, (84, 84), np.uint8)).scale == 1
    frames = Preprocessing("", spaces.Box(0, 255, (2, 2), np.uint8)).to_frames(np.full((1, 2, 2), 200, np.uint8))
    assert (frames == 200).all()


@pytest.mark.parametrize(
    "name", ["CartPole", "FrozenLake", "TestDiscrete", "TestMultiDiscrete", "TestTuple", "TestDict"]
)
def test_raw_observations_are_preprocessed(name):
    """As an environment made elsewhere returns them."""
    env = VectorEnv(name, 1, seed=0)
    raw, _ = gym.make(env.name).reset(seed=11)
    expected, _ = gym.wrappers.FlattenObservation(gym.make(env.name)).reset(seed=11)
    vectors, single = env.preprocess_observation(raw)
    assert single
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, np.asarray(expected, np.float32)[None])


@pytest.mark.parametrize("name", ["CartPole", "FrozenLake", "TestDiscrete", "TestMultiDiscrete", "TestDict"])
def test_preprocessed_observations_are_accepted(name):
    env = VectorEnv(name, 3, seed=0)
    vectors, single = env.preprocess_observation(env.obs)
    assert not single
    np.testing.assert_array_equal(vectors, env.obs)
    vectors, single = env.preprocess_observation(env.obs[1])
    assert single
    np.testing.assert_array_equal(vectors, env.obs[1:2])


def test_several_raw_observations():
    vectors, single = VectorEnv("FrozenLake", 1, seed=0).preprocess_observation(np.array([3, 0, 15]))
    assert not single
    np.testing.assert_array_equal(vectors, np.eye(16)[[3, 0, 15]])
    vectors, single = VectorEnv("TestDiscrete", 1, seed=0).preprocess_observation(np.array([2, 5]))
    assert not single
    np.testing.assert_array_equal(vectors, np.eye(4)[[0, 3]])
    vectors, single = VectorEnv("CartPole", 1, seed=0).preprocess_observation(np.ones((5, 4)))
    assert (vectors.shape, single) == ((5, 4), False)


@pytest.mark.parametrize(
    ("name", "observation"),
    [
        ("CartPole", np.zeros(3)), ("CartPole", np.zeros((2, 5))), ("CartPole", np.zeros((2, 2, 4))), ("CartPole", 1),
        ("FrozenLake", 16), ("FrozenLake", -1), ("FrozenLake", np.array([0, 99])),
        ("FrozenLake", np.zeros((2, 2), int)),
        ("FrozenLake", np.zeros(15)), ("TestDiscrete", 1), ("TestDict", np.zeros(5)), ("TestDict", {"place": 1}),
        ("TestMultiDiscrete", np.array([0, 3])), ("TestMultiDiscrete", np.zeros(4)), ("CartPole", "left"),
    ],
)  # fmt: skip
def test_an_observation_of_another_space_is_refused(name, observation):
    with pytest.raises(UserError, match=f"^an observation of {name}-v."):
        VectorEnv(name, 1, seed=0).preprocess_observation(observation)


def test_a_single_frame_is_no_stack_of_frames():
    env = VectorEnv("TestImage", 1, seed=0, frame_stack=2)
    assert env.preprocess_observation(env.obs)[0].shape == (1, 6, 4, 4)
    with pytest.raises(UserError, match=r"has the shape \(6, 4, 4\)"):
        env.preprocess_observation(np.zeros((4, 4, 3), np.uint8))


@pytest.mark.parametrize(
    ("name", "frame_stack", "text"),
    [
        ("CartPole", 1, "Box(4,) float32"), ("CartPole", 2, "Box(4,) float32 as (8,) float32"),
        ("FrozenLake", 1, "Discrete(16) as (16,) float32"), ("TestImage", 1, "Box(4, 4, 3) uint8 as (3, 4, 4) uint8"),
        ("TestScreen", 1, "Box(2, 3, 5) uint8"), ("TestBytes", 1, "Box(7,) uint8 as (7,) float32"),
    ],
)  # fmt: skip
def test_the_description_names_the_space_and_the_input_of_the_network(name, frame_stack, text):
    assert VectorEnv(name, 1, seed=0, frame_stack=frame_stack).preprocessing.describe(frame_stack) == text
