"""Observations as numbers, and back."""

import numpy as np
import pytest

from rlgen.core.errors import UserError
from rlgen.envs import VectorEnv
from rlgen.envs.numbers import Numbers

NAMES = ["CartPole", "FrozenLake", "Taxi", "Blackjack", "CliffWalking", "GridWorld", "TestMultiDiscrete", "TestDict",
         "TestBytes", "TestFloatMatrix", "TestDiscrete"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_numbers_of_an_observation_make_it_again(name):
    env = VectorEnv(name, 1, 7)
    numbers = Numbers(env)
    for _ in range(5):
        read = numbers.read(env.obs[0])
        assert len(read) == len(numbers.described)
        np.testing.assert_array_equal(numbers.write(read), env.obs[0])
        env.step(np.array([env.num_actions - 1]))


def test_a_state_number_is_several_numbers_where_these_are_known():
    described = Numbers(env := VectorEnv("Taxi", 1, 0)).described
    assert [n.name for n in described] == ["row of the taxi", "column of the taxi", "passenger", "destination"]
    row, column, passenger, destination = Numbers(env).read(env.obs[0])
    assert env.obs[0].argmax() == ((row * 5 + column) * 5 + passenger) * 4 + destination
    assert [(n.low, n.high, n.whole) for n in Numbers(VectorEnv("FrozenLake", 1, 0)).described] == [(0, 3, True)] * 2


def test_bounds_are_those_of_the_space_where_they_are_useful():
    position, velocity, *_ = Numbers(VectorEnv("CartPole", 1, 0)).described
    assert (position.name, position.high) == ("cart position (m)", pytest.approx(4.8))
    assert (velocity.low, velocity.high, velocity.whole) == (None, None, False)


def test_numbers_of_a_stack_have_an_age():
    env = VectorEnv("CartPoleHidden", 1, 0, frame_stack=2)
    numbers = Numbers(env)
    assert [n.name for n in numbers.described] == [
        "cart position (m), 1 step ago", "pole angle (rad), 1 step ago", "cart position (m)", "pole angle (rad)",
    ]  # fmt: skip
    env.step(np.array([1]))
    np.testing.assert_array_equal(numbers.write(numbers.read(env.obs[0])), env.obs[0])


def test_stacked_discrete_numbers():
    env = VectorEnv("FrozenLake", 1, 0, frame_stack=2)
    env.step(np.array([2]))
    numbers = Numbers(env)
    np.testing.assert_array_equal(numbers.write(numbers.read(env.obs[0])), env.obs[0])
    with pytest.raises(UserError, match=r"^column lies between 0 and 3, not 9"):
        numbers.write([0, 0, 0, 9])


@pytest.mark.parametrize(
    ("values", "message"),
    [([1.0], "has 4 numbers, not 1"), ([0, 0, 0, float("nan")], "finite"), ([0, 9, 0, 0], "between 0 and 4, not 9")],
)
def test_impossible_numbers_are_refused(values, message):
    with pytest.raises(UserError, match=message):
        Numbers(VectorEnv("Taxi", 1, 0)).write(values)


def test_images_have_pixels_instead():
    with pytest.raises(UserError, match="are images: cover their pixels"):
        Numbers(VectorEnv("Catch", 1, 0))
