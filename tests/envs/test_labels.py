"""Names of actions, and keys of a keyboard for them."""

import pytest

from rlgen.envs import VectorEnv
from rlgen.envs.labels import ACTIONS, action_names, base, idle, keys
from rlgen.envs.names import resolve


def test_the_names_are_those_of_the_documentation():
    assert action_names(VectorEnv("CartPole", 1, 0)) == ["push left", "push right"]
    assert action_names(VectorEnv("Taxi", 1, 0))[4:] == ["pick up", "drop off"]


@pytest.mark.parametrize("name", ACTIONS)
def test_every_listed_environment_has_as_many_actions(name):
    if base(name) == "LunarLander":
        pytest.importorskip("Box2D")
    env = VectorEnv(resolve(name.split("/")[-1]), 1, 0)
    assert action_names(env) == list(ACTIONS[name])
    env.close()


def test_an_environment_without_names_has_numbers():
    assert action_names(VectorEnv("TestIdentity", 1, 0)) == ["action 0", "action 1", "action 2", "action 3"]


def test_names_of_games():
    pytest.importorskip("minatar")
    assert action_names(VectorEnv("MinAtar/Breakout-v1", 1, 0)) == ["no-op", "left", "right"]


def test_atari_names():
    pytest.importorskip("ale_py")
    assert action_names(VectorEnv("Pong", 1, 0))[:4] == ["noop", "fire", "right", "left"]


def test_arrows_find_the_direction_in_the_name():
    assert keys(["left", "down", "right", "up"]) == {
        "1": 0, "2": 1, "3": 2, "4": 3, "ArrowLeft": 0, "ArrowDown": 1, "ArrowRight": 2, "ArrowUp": 3,
    }  # fmt: skip
    pong = keys(["noop", "fire", "right", "left", "rightfire", "leftfire"])
    assert (pong["ArrowRight"], pong["ArrowLeft"], pong[" "]) == (2, 3, 1)
    assert "ArrowUp" not in pong
    assert keys(["action 0", "action 1"]) == {"1": 0, "2": 1}


def test_ten_actions_have_number_keys():
    found = keys([f"action {number}" for number in range(12)])
    assert (found["9"], found["0"], len(found)) == (8, 9, 10)


@pytest.mark.parametrize(("names", "number"), [(["left", "stay", "right"], 1), (["push left", "push right"], None)])
def test_the_action_that_does_nothing(names, number):
    assert idle(names) == number
