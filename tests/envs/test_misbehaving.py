"""What becomes of environments that misbehave; `tests/campaigns/environments.py` has them trained and repeated."""

import logging

import numpy as np
import pytest

from rlgen.core.errors import EnvironmentFault
from rlgen.envs import VectorEnv, inspection
from tests.envs.misbehaving import AT, LENGTH, WAYS
from tests.envs.playing import play, steps_of

PROCESS = {"sleeps", "spins", "swallows", "forks"}  # in a process of their own, in the campaign
REFUSED = [way for way, end in WAYS.items() if not end.startswith(("works", "warns")) and way not in PROCESS]


@pytest.fixture(autouse=True)
def told(caplog):
    """The warnings of this test: each is told once in a process."""
    inspection._warn_once.cache_clear()
    caplog.set_level(logging.WARNING, "rlgen")
    return caplog


@pytest.mark.parametrize("way", REFUSED)
def test_it_stops_in_one_line_that_names_environment_step_and_seed(way):
    with pytest.raises(EnvironmentFault) as caught:
        for _ in play(VectorEnv(f"Misbehaving-{way}", 2, seed=3), 5 * LENGTH):
            pass
    message, episode = str(caught.value), caught.value.episode
    assert message.startswith(f"Misbehaving-{way}-v0 {WAYS[way]}")
    assert "\n" not in message
    assert "--lr" not in message
    place = f"step {len(episode['actions'])}" if episode["actions"] else "the start"
    assert f", at {place} of the episode with seed {episode['seed']} in copy " in message
    assert len(episode["actions"]) == episode["step"]
    if way not in ("closes-itself", "space-changes") and not way.startswith("reset"):
        assert episode["step"] == AT
        assert caught.value.code == 8


@pytest.mark.parametrize("way", [way for way, end in WAYS.items() if end == "works"])
def test_it_works(way, told):
    steps = steps_of(VectorEnv(f"Misbehaving-{way}", 2, seed=0), 2 * LENGTH)
    assert [bool(step.episode_end.all()) for step in steps] == ([False] * (LENGTH - 1) + [True]) * 2
    assert {float(step.reward[0]) for step in steps} == {1.0}
    assert all(np.isfinite(step.next_obs).all() for step in steps)
    assert not told.records


@pytest.mark.parametrize("way", [way for way, end in WAYS.items() if end.startswith("warns") and way != "forks"])
def test_it_warns_once(way, told, monkeypatch):
    monkeypatch.setattr(inspection, "FIRST", 3 * LENGTH)
    for _ in range(2):
        env = VectorEnv(f"Misbehaving-{way}", 1, seed=0)
        assert len(steps_of(env, LENGTH)) == LENGTH
        env.close()
    expected = f"Misbehaving-{way}-v0 {WAYS[way].removeprefix('warns ')}"
    if "outside" in expected:
        expected = expected.replace(" outside", " returned an observation outside")
    assert [record.message.startswith(expected) for record in told.records] == [True] * (2 if "close" in way else 1)


def test_an_observation_that_is_changed_later_is_kept_as_it_was():
    env = VectorEnv("Misbehaving-mutates", 1, seed=0)
    steps = steps_of(env, 3)
    assert [float(step.next_obs[0, 1]) for step in steps] == pytest.approx([1 / LENGTH, 2 / LENGTH, 3 / LENGTH])


def test_one_step_in_a_thousand_is_inspected_after_the_first_ones(monkeypatch, told):
    """A change of behaviour late in the training is found, at a negligible cost."""
    monkeypatch.setattr(inspection, "FIRST", 2)
    monkeypatch.setattr(inspection, "PERIOD", 50)
    env = VectorEnv("Misbehaving-observation-outside", 1, seed=0)
    steps_of(env, 40)
    assert not told.records
    steps_of(env, 80)
    assert len(told.records) == 1


@pytest.mark.parametrize(("restart", "limit"), [(False, 30), (True, 10**9)])
def test_an_evaluation_of_an_endless_environment_ends(restart, limit, monkeypatch, told):
    """A time limit of 10⁹ steps is none. In training it stands, for nothing waits for the end of an episode there."""
    from rlgen.envs import vector_env

    monkeypatch.setattr(vector_env, "LIMIT", 30)
    vector_env._warn_once.cache_clear()
    env = VectorEnv("Misbehaving-endless", 2, seed=0, restart=restart)
    assert env.max_episode_steps == limit
    steps_of(env, 31)
    assert env.cut.tolist() == [not restart] * 2
    assert ("truncated after 30 steps" in told.text) is not restart
