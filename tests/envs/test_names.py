import sys
from importlib.util import find_spec

import gymnasium as gym
import pytest
from rlgen.envs.names import listing, resolve, short

from rlgen.core.errors import UserError

NEWEST = max((name for name in gym.registry if name.startswith("CartPole-v")), key=lambda name: int(name[10:]))


@pytest.mark.parametrize("name", ["CartPole", "cartpole", "CARTPOLE", "CartPole-v1", "cartpole-V1"])
def test_case_and_version_may_be_left_out(name):
    assert resolve(name) == NEWEST == "CartPole-v1"


def test_an_older_version_is_taken_at_its_word():
    assert resolve("CartPole-v0") == resolve("cartpole-v0") == "CartPole-v0"


def test_the_newest_version_wins_in_numbers_not_in_letters():
    gym.register("TestVersions-v2", entry_point="nowhere:Nothing")
    gym.register("TestVersions-v10", entry_point="nowhere:Nothing")
    assert resolve("testversions") == "TestVersions-v10"
    assert short("TestVersions-v10") == "TestVersions"
    assert short("TestVersions-v2") == "TestVersions-v2"


def test_a_namespace_may_be_left_out_but_bare_names_go_first():
    gym.register("somewhere/TestPlanet-v3", entry_point="nowhere:Nothing")
    assert resolve("testplanet") == resolve("somewhere/testplanet") == resolve("TestPlanet-v3")
    assert resolve("testplanet") == "somewhere/TestPlanet-v3"
    gym.register("TestPlanet-v1", entry_point="nowhere:Nothing")
    assert resolve("TestPlanet") == "TestPlanet-v1"
    assert resolve("somewhere/TestPlanet") == "somewhere/TestPlanet-v3"


def test_a_module_is_left_to_gymnasium():
    assert resolve("some.module:Thing-v0") == "some.module:Thing-v0"


@pytest.mark.parametrize(
    ("name", "meant"), [("CartPol", "CartPole"), ("mountan-car", "MountainCar"), ("frozenlak", "FrozenLake")]
)
def test_a_near_miss_is_answered_with_what_was_meant(name, meant):
    with pytest.raises(UserError, match=f"^no environment '{name}': did you mean .*{meant}[^\n]*$"):
        resolve(name)


@pytest.mark.parametrize("name", ["Pong", "pong", "Pong-v5", "ale/pong", "ALE/Pong-v5"])
def test_atari_games_go_by_their_newest_name(name):
    assert resolve(name) == "ALE/Pong-v5"
    assert short("ALE/Pong-v5") == "Pong"


@pytest.mark.skipif(find_spec("ale_py") is None, reason="ale-py is not installed: rlgen[atari]")
def test_games_that_only_ale_py_knows():
    """It also registers them under older names without a namespace, which go last."""
    assert resolve("frostbite") == resolve("ALE/Frostbite") == "ALE/Frostbite-v5"
    assert resolve("Pong") == "ALE/Pong-v5"
    assert short("ALE/Frostbite-v5") == "Frostbite"
    assert resolve("PongNoFrameskip-v4") == "PongNoFrameskip-v4"
    with pytest.raises(UserError, match=r"did you mean Frostbite\?$"):
        resolve("Frostbit")


def test_without_ale_py_the_way_to_get_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(UserError, match=r"^no environment 'qqqqqq': `rlgen list`[^\n]*pip install 'rlgen\[atari\]'`$"):
        resolve("qqqqqq")


def test_a_game_of_two_families_is_atari_s_unless_minatar_is_named():
    assert resolve("Breakout") == "ALE/Breakout-v5"
    assert resolve("MinAtar/Breakout") == "MinAtar/Breakout-v1"


def test_nonsense_is_told_where_to_look():
    with pytest.raises(UserError, match=r"^no environment 'qqqqqqqq': `rlgen list`[^\n]*$"):
        resolve("qqqqqqqq")


@pytest.mark.parametrize(
    "identity", ["CartPole-v1", "Acrobot-v1", "FrozenLake8x8-v1", "CartPole-v0", "phys2d/CartPole-v1"]
)
def test_a_short_name_leads_back(identity):
    assert resolve(short(identity)) == identity


def test_short_leaves_out_the_newest_version_only():
    assert short("CartPole-v1") == "CartPole"
    assert short("CartPole-v0") == "CartPole-v0"
    assert short("some.module:Thing-v0") == "some.module:Thing-v0"


def test_everything_described_exists():
    described = list(listing())
    assert ("CartPole", "CartPole-v1") in [entry[:2] for entry in described]
    assert len({name for name, *_ in described}) == len(described)
    for name, identity, whence in described:
        assert identity in gym.registry or identity.startswith("ALE/")  # those are ale-py's to register
        assert short(identity) == name
        assert whence
