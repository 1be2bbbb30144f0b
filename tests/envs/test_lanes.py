import importlib.util
import logging

import gymnasium as gym
import numpy as np
import pytest
import torch

from envs import Lanes
from rlgen.core.errors import UserError
from tests.envs import worlds


def play(lanes, steps, rng):
    """(observations before, actions, step) of random play."""
    for _ in range(steps):
        obs, actions = lanes.obs.copy(), rng.integers(lanes.actions, size=len(lanes.obs))
        yield obs, actions, lanes.step(actions)


@pytest.fixture
def counted(monkeypatch):
    """The true returns and lengths of the episodes of the Counting world."""
    monkeypatch.setattr(worlds.Counting, "finished", finished := [])
    return finished


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_step_never_leaves_its_episode(count, counted):
    lanes, steps, stored, ends, starts = Lanes("TestCounting", count, seed=3), 200, 0, 0, []
    for obs, _, step in play(lanes, steps, np.random.default_rng(0)):
        np.testing.assert_array_equal(step.next_obs[:, 0], obs[:, 0])
        np.testing.assert_array_equal(step.next_obs[:, 1], obs[:, 1] + 1)
        np.testing.assert_array_equal(lanes.obs[~step.done], step.next_obs[~step.done])
        np.testing.assert_array_equal(lanes.obs[step.done, 1], 0)
        starts += lanes.obs[step.done, 0].tolist()
        assert (step.done | ~step.terminated).all()
        stored += count
        ends += step.done.sum()
    unfinished = int(lanes.obs[:, 1].sum())
    assert ends == len(counted) > 20
    assert stored == sum(length for _, length in counted) + unfinished
    assert len(set(starts)) == len(starts)  # every start is a new episode


@pytest.mark.parametrize("count", [1, 3])
def test_returns_are_the_true_ones(count, counted):
    lanes, reported, how = Lanes("TestCounting", count, seed=1), [], set()
    for _, _, step in play(lanes, 150, np.random.default_rng(0)):
        reported += step.score[step.done].tolist()
        how |= set(step.terminated[step.done].tolist())
    assert reported == [value for value, _ in counted]
    assert len(reported) > 20
    assert how == {True, False}


def test_a_return_reported_is_not_overwritten_by_what_follows():
    lanes = Lanes("TestTruncated", 1, seed=0)
    steps = [step for _, _, step in play(lanes, 11, np.random.default_rng(0))]
    assert [step.score[0] for step in steps] == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1]
    assert [bool(step.done[0]) for step in steps] == [False, False, False, False, True] * 2 + [False]


@pytest.mark.parametrize(
    ("world", "ends", "terminates"),
    [
        ("TestTruncated", True, False),
        ("TestTerminated", True, True),
        ("TestBoth", True, True),
        ("TestEndless", False, False),
    ],
)
def test_a_time_limit_is_no_termination_unless_both_happen(world, ends, terminates):
    lanes = Lanes(world, 2, seed=0)
    *before, last = [step for _, _, step in play(lanes, 5, np.random.default_rng(0))]
    assert not any(step.done.any() or step.terminated.any() for step in before)
    assert last.done.tolist() == [ends] * 2
    assert last.terminated.tolist() == [terminates] * 2
    assert last.next_obs.argmax(1).tolist() == [0, 0]


def test_without_restart_a_lane_stays_where_it_ended(counted):
    lanes = Lanes("TestCounting", 6, seed=0, restart=False)
    first, ended = lanes.obs[:, 0].copy(), np.zeros(6)
    for obs, _, step in play(lanes, 12, np.random.default_rng(0)):
        over = ended > 0
        np.testing.assert_array_equal(step.next_obs[over], obs[over])
        assert not step.reward[over].any()
        assert step.done[over].all()
        ended += step.done
    assert lanes.over.all()
    np.testing.assert_array_equal(lanes.obs[:, 0], first)
    assert sorted(lanes.score) == sorted(value for value, _ in counted)
    assert len(counted) == 6


def test_lanes_and_episodes_differ_and_follow_from_the_seed():
    def starts(seed, count):
        lanes = Lanes("CartPole", count, seed)
        first = lanes.obs.copy()
        for _, _, step in play(lanes, 60, np.random.default_rng(0)):
            first = np.concatenate([first, lanes.obs[step.done]])
        return first

    one = starts(0, 4)
    assert len(one) > 8
    assert len(np.unique(one, axis=0)) == len(one)
    np.testing.assert_array_equal(one, starts(0, 4))
    assert not np.isin(one[:, 0], starts(1, 4)[:, 0]).any()
    np.testing.assert_array_equal(Lanes("CartPole", 9, 0).obs[:4], one[:4])  # a lane knows nothing of the others


RESUMED = ["CartPole", "Acrobot", "MountainCar", "FrozenLake", "Taxi", "CliffWalking", "TestChain", "TestDict"]


@pytest.mark.parametrize("before", [0, 37, 230])
@pytest.mark.parametrize("name", RESUMED)  # FrozenLake slips: its transitions are random
def test_resumed_in_mid_episode_the_future_is_the_same(name, before, caplog):
    whole, other = Lanes(name, 3, seed=5), Lanes(name, 3, seed=5)
    for _ in play(whole, before, np.random.default_rng(before)):
        pass
    saved = whole.state_dict()
    frozen = {key: [x.clone() for x in value] for key, value in saved.items()}
    for _ in play(other, 5, np.random.default_rng(99)):  # an object with a past of its own
        pass
    other.load_state_dict(saved)
    np.testing.assert_array_equal(whole.score, other.score)
    np.testing.assert_array_equal(whole.obs, other.obs)
    futures = [play(lanes, 120, np.random.default_rng(7)) for lanes in (whole, other)]
    for (obs, _, step), (obs_, _, step_) in zip(*futures, strict=True):
        np.testing.assert_array_equal(obs, obs_)
        for ours, theirs in zip(step, step_, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    for key, value in frozen.items():  # what was saved does not move with the play that follows
        for then, now in zip(value, saved[key], strict=True):
            assert torch.equal(then, now)
    assert "does not repeat itself" not in caplog.text


@pytest.mark.parametrize("world", ["TestForgetful", "TestBrittle"])
def test_a_world_that_does_not_repeat_itself_is_noticed_and_its_episode_started_again(world, caplog, monkeypatch):
    """It leads elsewhere, or ends before all its actions are played again."""
    monkeypatch.setattr(worlds.Brittle, "lives", iter([9, 9, 9, 9, 2, 2, *[9] * 20]))
    rng = np.random.default_rng(0)
    whole = Lanes(world, 2, seed=0)
    for _ in play(whole, 5, rng):
        pass
    resumed = Lanes(world, 2, seed=0)
    with caplog.at_level(logging.WARNING, "rlgen"):
        resumed.load_state_dict(whole.state_dict())
    assert caplog.text.count(f"{world}-v0 does not repeat itself") == 2
    assert resumed.played == []
    assert resumed.length.tolist() == [0, 0]
    assert resumed.start.all()
    assert not resumed.score.any()
    assert not resumed.over.any()
    assert (resumed.episode == whole.episode + 1).all()
    assert sum(1 for _ in play(resumed, 30, rng)) == 30


@pytest.mark.parametrize(
    ("world", "shape"),
    [
        ("TestVector", (3,)), ("TestDiscrete", (4,)), ("TestMultiDiscrete", (5,)),
        ("TestTuple", (4,)), ("TestDict", (6,)), ("FrozenLake", (16,)), ("Taxi", (500,)),
    ],
)  # fmt: skip
def test_vectors_are_float_arrays_of_one_shape(world, shape):
    lanes = Lanes(world, 2, seed=0)
    assert lanes.shape == shape
    for obs, _, step in play(lanes, 9, np.random.default_rng(0)):
        assert obs.shape == step.next_obs.shape == (2, *shape)
        assert obs.dtype == step.next_obs.dtype == lanes.obs.dtype == np.float32


def test_a_discrete_observation_becomes_one_hot():
    lanes = Lanes("FrozenLake", 1, seed=0)
    np.testing.assert_array_equal(lanes.obs, np.eye(16)[:1])
    assert Lanes("TestDiscrete", 1, seed=0).obs.sum() == 1  # it counts from 2


@pytest.mark.parametrize("world", ["TestSequence", "TestGraph"])
def test_observations_without_a_fixed_size_are_refused(world):
    with pytest.raises(UserError, match=f"^{world}-v0 has the observations [^\n]* cannot be made a vector$"):
        Lanes(world, 1, seed=0)


@pytest.mark.parametrize("world", ["TestContinuous", "TestButtons", "Pendulum"])
def test_actions_that_are_not_discrete_are_refused(world):
    with pytest.raises(UserError, match=f"^{world}-v. has the actions [^\n]*only discrete ones"):
        Lanes(world, 1, seed=0)


@pytest.mark.skipif(importlib.util.find_spec("Box2D") is not None, reason="Box2D is installed")
def test_a_missing_package_is_named_with_the_way_to_get_it():
    with pytest.raises(UserError, match=r"^LunarLander-v3 cannot be made: [^\n]*pip install [^\n]*box2d[^\n]*$"):
        Lanes("LunarLander", 1, seed=0)


def test_a_missing_module_is_one_clear_line():
    with pytest.raises(UserError, match=r"^nowhere:Nothing-v0 cannot be made: [^\n]*$"):
        Lanes("nowhere:Nothing-v0", 1, seed=0)


def test_actions_may_count_from_anywhere():
    lanes = Lanes("TestVector", 4, seed=0)
    assert (lanes.actions, lanes.first_action) == (3, 2)
    assert lanes.step(np.array([0, 1, 2, 0])).reward.tolist() == [1] * 4  # the world refuses what it does not know


@pytest.mark.parametrize(
    "world", ["CartPole", "FrozenLake", "TestDiscrete", "TestMultiDiscrete", "TestTuple", "TestDict"]
)
def test_bare_observations_become_what_the_lanes_show(world):
    """As they come from an environment that someone else made."""
    lanes = Lanes(world, 1, seed=0)
    bare = gym.make(lanes.name)
    raw, _ = bare.reset(seed=11)
    wrapped = lanes.worlds.envs[0]
    expected, _ = wrapped.reset(seed=11)
    vectors, single = lanes.vectors(raw)
    assert single
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, np.asarray(expected, np.float32)[None])


@pytest.mark.parametrize("world", ["CartPole", "FrozenLake", "TestDiscrete", "TestMultiDiscrete", "TestDict"])
def test_what_the_lanes_show_is_taken_as_well(world):
    lanes = Lanes(world, 3, seed=0)
    vectors, single = lanes.vectors(lanes.obs)
    assert not single
    np.testing.assert_array_equal(vectors, lanes.obs)
    vectors, single = lanes.vectors(lanes.obs[1])
    assert single
    np.testing.assert_array_equal(vectors, lanes.obs[1:2])


def test_several_bare_observations():
    lanes = Lanes("FrozenLake", 1, seed=0)
    vectors, single = lanes.vectors(np.array([3, 0, 15]))
    assert not single
    np.testing.assert_array_equal(vectors, np.eye(16)[[3, 0, 15]])
    vectors, single = Lanes("TestDiscrete", 1, seed=0).vectors(np.array([2, 5]))
    assert not single
    np.testing.assert_array_equal(vectors, np.eye(4)[[0, 3]])
    vectors, single = Lanes("CartPole", 1, seed=0).vectors(np.ones((5, 4)))
    assert (vectors.shape, single) == ((5, 4), False)


@pytest.mark.parametrize(
    ("world", "observation"),
    [
        ("CartPole", np.zeros(3)), ("CartPole", np.zeros((2, 5))), ("CartPole", np.zeros((2, 2, 4))), ("CartPole", 1),
        ("FrozenLake", 16), ("FrozenLake", -1), ("FrozenLake", np.array([0, 99])),
        ("FrozenLake", np.zeros((2, 2), int)),
        ("FrozenLake", np.zeros(15)), ("TestDiscrete", 1), ("TestDict", np.zeros(5)), ("TestDict", {"place": 1}),
        ("TestMultiDiscrete", np.array([0, 3])), ("TestMultiDiscrete", np.zeros(4)), ("CartPole", "left"),
    ],
)  # fmt: skip
def test_an_observation_from_elsewhere_is_refused(world, observation):
    with pytest.raises(UserError, match=f"^an observation of {world}-v."):
        Lanes(world, 1, seed=0).vectors(observation)


def test_pictures():
    lanes = Lanes("CartPole", 2, seed=0, render_mode="rgb_array")
    first = lanes.render(1)
    assert first.dtype == np.uint8
    assert first.shape[2] == 3
    for _ in range(5):
        lanes.step(np.zeros(2, np.int64))
    assert not np.array_equal(first, lanes.render(1))
    lanes.close()


@pytest.mark.parametrize("world", ["CliffWalking", "TestEndless"])
def test_no_episode_goes_on_for_ever(world, monkeypatch):
    """Where an environment has no limit of its own, a greedy agent may go in circles."""
    monkeypatch.setattr("envs.lanes.LIMIT", 30)
    steps = [step for _, _, step in play(Lanes(world, 1, seed=0), 30, np.random.default_rng(0))]
    assert [bool(step.done[0]) for step in steps] == [False] * 29 + [True]
    assert not steps[-1].terminated


@pytest.mark.parametrize("where", ["make", "reset", "step", "render"])
def test_a_fault_of_an_environment_is_told_in_one_line(where):
    def use():
        lanes = Lanes(f"TestFaulty-{where}-v0", 2, 0, render_mode="rgb_array")
        lanes.step(np.zeros(2, np.int64))
        lanes.render()

    with pytest.raises(UserError, match=rf"^TestFaulty-{where}-v0 failed in {where}\(\): ValueError: a wheel$"):
        use()
