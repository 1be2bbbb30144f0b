import sys
from importlib.util import find_spec

import gymnasium as gym
import pytest

from rlgen.core.errors import UserError
from rlgen.envs import VectorEnv
from rlgen.envs.names import canonical, listing, resolve, short

needs_ale = pytest.mark.skipif(find_spec("ale_py") is None, reason="ale-py is not installed: rlgen[atari]")
NEWEST = max((name for name in gym.registry if name.startswith("CartPole-v")), key=lambda name: int(name[10:]))


@pytest.mark.parametrize("name", ["CartPole", "cartpole", "CARTPOLE", "CartPole-v1", "cartpole-V1"])
def test_letter_case_and_version_are_optional(name):
    assert resolve(name) == NEWEST == "CartPole-v1"
    assert canonical(name) == ("CartPole", None)


def test_an_older_version_is_taken_where_it_is_given():
    assert resolve("CartPole-v0") == resolve("cartpole-v0") == "CartPole-v0"


def test_versions_are_compared_as_numbers():
    gym.register("TestVersions-v2", entry_point="nowhere:Nothing")
    gym.register("TestVersions-v10", entry_point="nowhere:Nothing")
    assert resolve("testversions") == "TestVersions-v10"
    assert short("TestVersions-v10") == "TestVersions"
    assert short("TestVersions-v2") == "TestVersions-v2"


def test_a_namespace_is_optional_and_names_without_one_come_first():
    gym.register("somewhere/TestPlanet-v3", entry_point="nowhere:Nothing")
    assert resolve("testplanet") == resolve("somewhere/testplanet") == resolve("TestPlanet-v3")
    assert resolve("testplanet") == "somewhere/TestPlanet-v3"
    gym.register("TestPlanet-v1", entry_point="nowhere:Nothing")
    assert resolve("TestPlanet") == "TestPlanet-v1"
    assert resolve("somewhere/TestPlanet") == "somewhere/TestPlanet-v3"


def test_a_name_with_a_module_is_unchanged():
    assert resolve("some.module:Thing-v0") == "some.module:Thing-v0"


@pytest.mark.parametrize(
    ("name", "similar"), [("CartPol", "CartPole"), ("mountan-car", "MountainCar"), ("frozenlak", "FrozenLake")]
)
def test_an_unknown_name_is_answered_with_similar_ones(name, similar):
    with pytest.raises(UserError, match=f"^no environment '{name}': did you mean .*{similar}[^\n]*$"):
        resolve(name)


@pytest.mark.parametrize("name", ["Pong", "pong", "Pong-v5", "ale/pong", "ALE/Pong-v5"])
def test_atari_games_have_their_newest_id(name):
    assert resolve(name) == "ALE/Pong-v5"
    assert short("ALE/Pong-v5") == "Pong"


@needs_ale
def test_games_that_only_ale_py_registers():
    assert resolve("frostbite") == resolve("ALE/Frostbite") == "ALE/Frostbite-v5"
    assert resolve("Pong") == "ALE/Pong-v5"
    assert short("ALE/Frostbite-v5") == "Frostbite"
    with pytest.raises(UserError, match=r"did you mean Frostbite\?$"):
        resolve("Frostbit")


@needs_ale
def test_every_id_of_ale_py_is_preprocessed_or_refused_with_the_right_name():
    """All but ALE/...-v5 observe raw frames; none may be trained on without a warning."""
    import ale_py

    gym.register_envs(ale_py)
    ids = [spec.id for spec in gym.registry.values() if str(spec.entry_point).startswith("ale_py")]
    accepted = [identity for identity in ids if identity.startswith("ALE/")]
    refused = [identity for identity in ids if identity not in accepted]
    assert len(accepted) > 100
    assert len(refused) > 200
    for identity in accepted:
        assert resolve(identity) == identity
    for identity in refused:
        game = f"ALE/{identity.split('NoFrameskip')[0].split('-v')[0]}-v5"
        assert game in accepted
        for name in (identity, identity.lower()):
            with pytest.raises(UserError, match=f"raw frames [^\n]* is {game}, type {short(game)}"):
                resolve(name)


@pytest.mark.parametrize(
    ("name", "game", "reason"),
    [
        ("PongNoFrameskip-v4", "Pong", "raw frames"), ("Pong-v4", "Pong", "raw frames"), ("Pong-v0", "Pong", "raw"),
        ("PongDeterministic-v4", "Pong", "raw frames"), ("PongDeterministic-v0", "Pong", "raw frames"),
        ("PongNoFrameskip", "Pong", "raw frames"), ("ALE/PongDeterministic-v4", "Pong", "raw frames"),
        ("Pong-ram-v4", "Pong", "128 bytes"), ("Pong-ramDeterministic-v4", "Pong", "128 bytes"),
        ("Pong-ramNoFrameskip-v0", "Pong", "128 bytes"), ("ALE/Pong-ram-v5", "Pong", "128 bytes"),
        ("breakoutnoframeskip-v4", "Breakout", "raw frames"), ("Pong-ram", "Pong", "128 bytes"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("installed", [True, False])
def test_old_names_of_atari_games_are_refused(name, game, reason, installed, monkeypatch):
    """Those of earlier versions of ale-py too, and without ale-py as well."""
    if not installed:
        monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(UserError, match=f"^{name} observes [^\n]*{reason}[^\n]* ALE/{game}-v5, type {game}") as caught:
        resolve(name)
    assert ("--repeat-action-probability 0" in str(caught.value)) == name.endswith("-v4")


def test_other_names_with_such_endings_are_not_mistaken_for_atari_games():
    for name in ("Breakout-v7", "CartPole-v3", "CartPoleNoFrameskip-v4"):
        with pytest.raises(UserError, match=f"^no environment '{name}'"):
            resolve(name)


@needs_ale
def test_raw_frames_are_refused_under_any_name():
    """The name of the module does not matter, nor a name of the user's own; wrappers or the memory are accepted."""
    for name in ("ale_py:PongNoFrameskip-v4", "ale_py:Pong-v4"):
        with pytest.raises(UserError, match="raw frames"):
            VectorEnv(name, 1, seed=0)
    gym.register("TestMyPong-v0", entry_point="ale_py.env:AtariEnv", kwargs={"game": "pong"})
    gym.register("mine/TestMyPong-v1", entry_point="ale_py.env:AtariEnv", kwargs={"game": "pong"})
    for name in ("TestMyPong-v0", "testmypong-v0", "mine/TestMyPong-v1"):
        with pytest.raises(UserError, match=r"raw frames [^\n]* is ALE/Pong-v5, type Pong$"):
            resolve(name)
    kwargs = {"game": "pong", "obs_type": "ram", "frameskip": 4}
    gym.register("TestMemoryPong-v0", entry_point="ale_py.env:AtariEnv", kwargs=kwargs, max_episode_steps=99)
    env = VectorEnv("TestMemoryPong", 1, seed=0)
    assert (env.shape, env.scale) == ((128,), 1)
    assert 0.5 < env.obs.max() <= 1


def test_without_ale_py_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(UserError, match=r"^no environment 'qqqqqq': `rlgen list[^\n]*pip install 'rlgen\[atari\]'`$"):
        resolve("qqqqqq")


def test_a_game_of_two_families_is_the_atari_game_unless_minatar_is_named():
    assert resolve("Breakout") == "ALE/Breakout-v5"
    assert resolve("MinAtar/Breakout") == "MinAtar/Breakout-v1"


def test_a_name_without_similar_ones_is_answered_with_the_list():
    with pytest.raises(UserError, match=r"^no environment 'qqqqqqqq': `rlgen list envs`[^\n]*$"):
        resolve("qqqqqqqq")


@pytest.mark.parametrize(
    "identity", ["CartPole-v1", "Acrobot-v1", "FrozenLake8x8-v1", "CartPole-v0", "phys2d/CartPole-v1"]
)
def test_a_short_name_resolves_to_its_id(identity):
    assert resolve(short(identity)) == identity


def test_short_names_lack_the_newest_version_only():
    assert short("CartPole-v1") == "CartPole"
    assert short("CartPole-v0") == "CartPole-v0"
    assert short("some.module:Thing-v0") == "some.module:Thing-v0"


def test_everything_listed_exists():
    rows = list(listing())
    assert ("CartPole", "CartPole-v1") in [row[:2] for row in rows]
    assert len({name for name, *_ in rows}) == len(rows)
    for name, identity, origin in rows:
        assert identity in gym.registry or identity.startswith("ALE/")  # ale-py registers those
        assert short(identity) == name
        assert origin.endswith(": included") or "pip install 'rlgen[" in origin
