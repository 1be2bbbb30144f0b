import importlib.util
import logging
import sys

import gymnasium as gym
import numpy as np
import pytest
import torch
from rlgen.envs import VectorEnv
from rlgen.envs.mdp import mdp

from rlgen.core.errors import UserError
from tests.envs import toy_environments

MINATAR, BOX2D = (importlib.util.find_spec(package) is not None for package in ("minatar", "Box2D"))


def play(env, steps, rng):
    """(observations before, actions, step) of random play."""
    for _ in range(steps):
        obs, actions = env.obs.copy(), rng.integers(env.num_actions, size=len(env.obs))
        yield obs, actions, env.step(actions)


@pytest.fixture
def counted(monkeypatch):
    """The true returns and lengths of the episodes of the Counting world."""
    monkeypatch.setattr(toy_environments.Counting, "finished", finished := [])
    return finished


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_step_never_leaves_its_episode(count, counted):
    """T2: no step from an episode's end to the start of the next is ever handed out, nor counted."""
    env, steps, stored, ends, starts = VectorEnv("TestCounting", count, seed=3), 200, 0, 0, []
    for obs, _, step in play(env, steps, np.random.default_rng(0)):
        np.testing.assert_array_equal(step.next_obs[:, 0], obs[:, 0])
        np.testing.assert_array_equal(step.next_obs[:, 1], obs[:, 1] + 1)
        np.testing.assert_array_equal(env.obs[~step.done], step.next_obs[~step.done])
        np.testing.assert_array_equal(env.obs[step.done, 1], 0)
        starts += env.obs[step.done, 0].tolist()
        assert (step.done | ~step.terminated).all()
        stored += count
        ends += step.done.sum()
    unfinished = int(env.obs[:, 1].sum())
    assert ends == len(counted) > 20
    assert stored == sum(length for _, length in counted) + unfinished
    assert len(set(starts)) == len(starts)  # every start is a new episode


@pytest.mark.parametrize("count", [1, 3])
def test_returns_are_the_true_ones(count, counted):
    """T3: also those of the episodes after the first."""
    env, reported, how = VectorEnv("TestCounting", count, seed=1), [], set()
    for _, _, step in play(env, 150, np.random.default_rng(0)):
        reported += step.episode_return[step.done].tolist()
        how |= set(step.terminated[step.done].tolist())
    assert reported == [value for value, _ in counted]
    assert len(reported) > 20
    assert how == {True, False}


def test_a_return_reported_is_not_overwritten_by_what_follows():
    env = VectorEnv("TestTruncated", 1, seed=0)
    steps = [step for _, _, step in play(env, 11, np.random.default_rng(0))]
    assert [step.episode_return[0] for step in steps] == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1]
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
    """T1: and its successor is the true one."""
    env = VectorEnv(world, 2, seed=0)
    *before, last = [step for _, _, step in play(env, 5, np.random.default_rng(0))]
    assert not any(step.done.any() or step.terminated.any() for step in before)
    assert last.done.tolist() == [ends] * 2
    assert last.terminated.tolist() == [terminates] * 2
    assert last.next_obs.argmax(1).tolist() == [0, 0]


def test_without_restart_a_lane_stays_where_it_ended(counted):
    env = VectorEnv("TestCounting", 6, seed=0, restart=False)
    first, ended = env.obs[:, 0].copy(), np.zeros(6)
    for obs, _, step in play(env, 12, np.random.default_rng(0)):
        over = ended > 0
        np.testing.assert_array_equal(step.next_obs[over], obs[over])
        assert not step.reward[over].any()
        assert step.done[over].all()
        ended += step.done
    assert env.episode_end.all()
    np.testing.assert_array_equal(env.obs[:, 0], first)
    assert sorted(env.episode_return) == sorted(value for value, _ in counted)
    assert len(counted) == 6


def test_lanes_and_episodes_differ_and_follow_from_the_seed():
    def starts(seed, count):
        env = VectorEnv("CartPole", count, seed)
        first = env.obs.copy()
        for _, _, step in play(env, 60, np.random.default_rng(0)):
            first = np.concatenate([first, env.obs[step.done]])
        return first

    one = starts(0, 4)
    assert len(one) > 8
    assert len(np.unique(one, axis=0)) == len(one)
    np.testing.assert_array_equal(one, starts(0, 4))
    assert not np.isin(one[:, 0], starts(1, 4)[:, 0]).any()
    np.testing.assert_array_equal(VectorEnv("CartPole", 9, 0).obs[:4], one[:4])  # a lane knows nothing of the others


RESUMED = ["CartPole", "Acrobot", "MountainCar", "FrozenLake", "Taxi", "CliffWalking", "TestChain", "TestDict",
           "TestScreen", "TestLives", "Catch", *(["MinAtar/Breakout", "MinAtar/Seaquest"] if MINATAR else []),
           *(["LunarLander"] if BOX2D else [])]  # fmt: skip


@pytest.mark.parametrize("before", [0, 37, 230])
@pytest.mark.parametrize("name", RESUMED)  # FrozenLake slips: its transitions are random
def test_resumed_in_mid_episode_the_future_is_the_same(name, before, caplog):
    """T15: every lane stands where it stood, the stack of its frames and the actions allowed there included."""
    whole, other = (VectorEnv(name, 3, seed=5, frame_stack=2, life_loss=True) for _ in range(2))
    for _ in play(whole, before, np.random.default_rng(before)):
        pass
    saved = whole.state_dict()
    frozen = {key: [x.clone() for x in value] for key, value in saved.items()}
    for _ in play(other, 5, np.random.default_rng(99)):  # an object with a past of its own
        pass
    other.load_state_dict(saved)
    np.testing.assert_array_equal(whole.episode_return, other.episode_return)
    for ours, theirs in ((whole.obs, other.obs), (whole.action_mask, other.action_mask), (whole.length, other.length)):
        np.testing.assert_array_equal(ours, theirs)
    futures = [play(env, 120, np.random.default_rng(7)) for env in (whole, other)]
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
    monkeypatch.setattr(toy_environments.Brittle, "lives", iter([9, 9, 9, 9, 2, 2, *[9] * 20]))
    rng = np.random.default_rng(0)
    whole = VectorEnv(world, 2, seed=0)
    for _ in play(whole, 5, rng):
        pass
    resumed = VectorEnv(world, 2, seed=0)
    with caplog.at_level(logging.WARNING, "rlgen"):
        resumed.load_state_dict(whole.state_dict())
    assert caplog.text.count(f"{world}-v0 does not repeat itself") == 2
    assert resumed.action_history == []
    assert resumed.length.tolist() == [0, 0]
    assert resumed.is_first.all()
    assert not resumed.episode_return.any()
    assert not resumed.episode_end.any()
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
    env = VectorEnv(world, 2, seed=0)
    assert env.shape == shape
    for obs, _, step in play(env, 9, np.random.default_rng(0)):
        assert obs.shape == step.next_obs.shape == (2, *shape)
        assert obs.dtype == step.next_obs.dtype == env.obs.dtype == np.float32


def test_a_discrete_observation_becomes_one_hot():
    env = VectorEnv("FrozenLake", 1, seed=0)
    np.testing.assert_array_equal(env.obs, np.eye(16)[:1])
    assert VectorEnv("TestDiscrete", 1, seed=0).obs.sum() == 1  # it counts from 2


@pytest.mark.parametrize("world", ["TestSequence", "TestGraph"])
def test_observations_without_a_fixed_size_are_refused(world):
    with pytest.raises(UserError, match=f"^{world}-v0 has the observations [^\n]* cannot be made a vector$"):
        VectorEnv(world, 1, seed=0)


@pytest.mark.parametrize("world", ["TestContinuous", "TestButtons", "Pendulum"])
def test_actions_that_are_not_discrete_are_refused(world):
    with pytest.raises(UserError, match=f"^{world}-v. has the actions [^\n]*only discrete ones"):
        VectorEnv(world, 1, seed=0)


def test_a_missing_module_is_one_clear_line():
    with pytest.raises(UserError, match=r"^nowhere:Nothing-v0 cannot be made: [^\n]*'nowhere': [^\n]* on PYTHONPATH$"):
        VectorEnv("nowhere:Nothing-v0", 1, seed=0)


def test_actions_may_count_from_anywhere():
    env = VectorEnv("TestVector", 4, seed=0)
    assert (env.num_actions, env.first_action) == (3, 2)
    assert env.step(np.array([0, 1, 2, 0])).reward.tolist() == [1] * 4  # the world refuses what it does not know


@pytest.mark.parametrize(
    "world", ["CartPole", "FrozenLake", "TestDiscrete", "TestMultiDiscrete", "TestTuple", "TestDict"]
)
def test_bare_observations_become_what_the_lanes_show(world):
    """As they come from an environment that someone else made."""
    env = VectorEnv(world, 1, seed=0)
    bare = gym.make(env.name)
    raw, _ = bare.reset(seed=11)
    wrapped = env.environments.envs[0]
    expected, _ = wrapped.reset(seed=11)
    vectors, single = env.preprocess_observation(raw)
    assert single
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, np.asarray(expected, np.float32)[None])


@pytest.mark.parametrize("world", ["CartPole", "FrozenLake", "TestDiscrete", "TestMultiDiscrete", "TestDict"])
def test_what_the_lanes_show_is_taken_as_well(world):
    env = VectorEnv(world, 3, seed=0)
    vectors, single = env.preprocess_observation(env.obs)
    assert not single
    np.testing.assert_array_equal(vectors, env.obs)
    vectors, single = env.preprocess_observation(env.obs[1])
    assert single
    np.testing.assert_array_equal(vectors, env.obs[1:2])


def test_several_bare_observations():
    env = VectorEnv("FrozenLake", 1, seed=0)
    vectors, single = env.preprocess_observation(np.array([3, 0, 15]))
    assert not single
    np.testing.assert_array_equal(vectors, np.eye(16)[[3, 0, 15]])
    vectors, single = VectorEnv("TestDiscrete", 1, seed=0).preprocess_observation(np.array([2, 5]))
    assert not single
    np.testing.assert_array_equal(vectors, np.eye(4)[[0, 3]])
    vectors, single = VectorEnv("CartPole", 1, seed=0).preprocess_observation(np.ones((5, 4)))
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
        VectorEnv(world, 1, seed=0).preprocess_observation(observation)


def test_pictures():
    env = VectorEnv("CartPole", 2, seed=0, render_mode="rgb_array")
    first = env.render(1)
    assert first.dtype == np.uint8
    assert first.shape[2] == 3
    for _ in range(5):
        env.step(np.zeros(2, np.int64))
    assert not np.array_equal(first, env.render(1))
    env.close()


@pytest.mark.parametrize("world", ["CliffWalking", "TestEndless"])
def test_no_episode_goes_on_for_ever(world, monkeypatch):
    """Where an environment has no limit of its own, a greedy agent may go in circles."""
    monkeypatch.setattr("rlgen.envs.vector_env.LIMIT", 30)
    steps = [step for _, _, step in play(VectorEnv(world, 1, seed=0), 30, np.random.default_rng(0))]
    assert [bool(step.done[0]) for step in steps] == [False] * 29 + [True]
    assert not steps[-1].terminated


@pytest.mark.parametrize("where", ["make", "reset", "step", "render"])
def test_a_fault_of_an_environment_is_told_in_one_line(where):
    def use():
        env = VectorEnv(f"TestFaulty-{where}-v0", 2, 0, render_mode="rgb_array")
        env.step(np.zeros(2, np.int64))
        env.render()

    with pytest.raises(UserError, match=rf"^TestFaulty-{where}-v0 failed in {where}\(\): ValueError: a wheel$"):
        use()


@pytest.mark.parametrize("frame_stack", [1, 2, 4])
@pytest.mark.parametrize("count", [1, 3])
def test_stacked_frames_never_reach_back_across_the_start_of_an_episode(frame_stack, count):
    """T11: the newest last, the first of an episode repeated before there are enough, at each place of an episode."""
    env, frames = VectorEnv("TestScreen", count, seed=0, frame_stack=frame_stack), [[] for _ in range(count)]
    single, rng = VectorEnv("TestScreen", count, seed=0), np.random.default_rng(0)
    assert env.shape == (2 * frame_stack, 3, 5)
    episode_start = np.ones(count, bool)
    for _ in range(60):
        np.testing.assert_array_equal(env.is_first, episode_start)
        for index in range(count):
            frames[index] = [*([] if episode_start[index] else frames[index]), single.obs[index]]
            expected = ([frames[index][0]] * frame_stack + frames[index])[-frame_stack:]
            np.testing.assert_array_equal(env.obs[index], np.concatenate(expected))
        actions = rng.integers(3, size=count)
        ours, theirs = env.step(actions), single.step(actions)
        np.testing.assert_array_equal(ours.next_obs[:, -2:], theirs.next_obs)  # the true successor, also at the end
        for index in range(count):
            expected = ([frames[index][0]] * frame_stack + frames[index] + [theirs.next_obs[index]])[-frame_stack:]
            np.testing.assert_array_equal(ours.next_obs[index], np.concatenate(expected))
        episode_start = theirs.episode_end


def test_vectors_are_stacked_too():
    env = VectorEnv("CartPole", 2, seed=0, frame_stack=3)
    first = env.obs[:, :4].copy()
    step = env.step(np.zeros(2, int))
    assert env.shape == (12,)
    np.testing.assert_array_equal(step.next_obs[:, :8], np.concatenate([first, first], 1))


@pytest.mark.parametrize(
    ("world", "shape", "dtype", "scale"),
    [
        ("TestImage", (3, 4, 4), np.uint8, 255), ("TestPlanes", (2, 3, 5), np.uint8, 1),
        ("TestScreen", (2, 3, 5), np.uint8, 255), ("TestGrey", (1, 4, 6), np.uint8, 255),
        ("TestHeat", (3, 4, 5), np.float32, 1), ("TestTable", (8,), np.float32, 1),
        ("TestMemory", (7,), np.float32, 255), ("TestVector", (3,), np.float32, 1),
        ("FrozenLake", (16,), np.float32, 1),
    ],
)  # fmt: skip
def test_pixels_are_bytes_with_channels_first(world, shape, dtype, scale):
    env = VectorEnv(world, 2, seed=0)
    assert (env.shape, env.dtype, env.scale) == (shape, dtype, scale)
    for obs, _, step in play(env, 9, np.random.default_rng(0)):
        assert obs.shape == step.next_obs.shape == (2, *shape)
        assert obs.dtype == step.next_obs.dtype == env.obs.dtype == dtype


def test_channels_are_moved_not_mixed():
    env = VectorEnv("TestImage", 1, seed=0)
    bare = gym.make("TestImage-v0")
    seed = int(np.random.SeedSequence([0, 0, 0]).generate_state(1)[0])
    raw, _ = bare.reset(seed=seed)
    np.testing.assert_array_equal(env.obs[0], raw.transpose(2, 0, 1))
    for observation in (raw, env.obs[0]):
        batch, single = env.preprocess_observation(observation)
        assert single
        np.testing.assert_array_equal(batch, env.obs)
    batch, single = env.preprocess_observation(np.stack([raw, raw]))
    assert (batch.shape, batch.dtype, single) == ((2, 3, 4, 4), np.uint8, False)


def test_a_single_frame_is_no_stack():
    env = VectorEnv("TestImage", 1, seed=0, frame_stack=2)
    assert env.preprocess_observation(env.obs)[0].shape == (1, 6, 4, 4)
    with pytest.raises(UserError, match=r"has the shape \(6, 4, 4\)"):
        env.preprocess_observation(np.zeros((4, 4, 3), np.uint8))


@pytest.mark.parametrize("restart", [True, False])
def test_a_lost_life_terminates_but_the_episode_goes_on(restart):
    """T12: TestLives loses a life every third step and ends with the last of three; its rewards are -2, 0, 5, ..."""
    env = VectorEnv("TestLives", 2, seed=0, restart=restart, life_loss=True, clip_reward=True)
    steps = [step for _, _, step in play(env, 12, np.random.default_rng(0))]
    assert [bool(step.terminated[1]) for step in steps[:9]] == [False, False, True] * 3
    assert [bool(step.done[1]) for step in steps[:9]] == [False, False, True] * 3
    assert [bool(step.episode_end[1]) for step in steps[:9]] == [False] * 8 + [True]
    assert [int(step.reward[1]) for step in steps[:9]] == [-1, 0, 1] * 3
    assert [int(step.episode_return[1]) for step in steps[:9]] == [-2, -2, 3, 1, 1, 6, 4, 4, 9]
    assert [int(step.next_obs.argmax(1)[1]) for step in steps[:9]] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    if restart:
        assert [int(step.episode_return[1]) for step in steps[9:]] == [-2, -2, 3]
        assert [bool(step.terminated[1]) for step in steps[9:]] == [False, False, True]
    else:
        assert env.episode_end.all()
        assert env.episode_return.tolist() == [9, 9]


def test_unless_asked_lives_and_signs_are_let_alone():
    steps = [step for _, _, step in play(VectorEnv("TestLives", 1, seed=0), 9, np.random.default_rng(0))]
    assert [bool(step.done[0]) for step in steps] == [False] * 8 + [True]
    assert [int(step.reward[0]) for step in steps] == [-2, 0, 5] * 3


def test_masks_are_those_of_where_a_lane_stands():
    """Taxi tells which moves do something; a step's mask belongs to its successor, not to a new episode's start."""
    env = VectorEnv("Taxi", 3, seed=0, max_episode_steps=7)
    envs, rng, differ = env.environments.envs, np.random.default_rng(0), 0
    assert env.action_mask.shape == (3, 6)

    def mask(state):
        return envs[0].unwrapped.action_mask(int(state)).astype(bool)

    for _ in range(40):
        step = env.step(rng.integers(6, size=3))
        for index in range(3):
            np.testing.assert_array_equal(step.next_action_mask[index], mask(step.next_obs[index].argmax()))
            np.testing.assert_array_equal(env.action_mask[index], mask(env.obs[index].argmax()))
        differ += (step.next_action_mask != env.action_mask).any()
    assert differ
    assert VectorEnv("CartPole", 3, seed=0).action_mask.tolist() == [[True]] * 3


@pytest.mark.parametrize("restart", [True, False])
def test_a_mask_needs_no_legal_action_where_nothing_follows(restart):
    env = VectorEnv("TestMasked", 2, seed=0, restart=restart)
    steps = [step for _, _, step in play(env, 8, np.random.default_rng(0))]
    assert steps[3].terminated.all()
    assert all(step.next_action_mask.any(1).all() for step in steps)
    assert steps[0].next_action_mask.tolist() == [[True, False, False]] * 2
    assert env.action_mask.any(1).all()


@pytest.mark.parametrize("world", ["TestMaskedStart", "TestMaskedStep", "TestMaskedCut"])
def test_a_mask_without_a_legal_action_is_refused(world):
    with pytest.raises(UserError, match=f"^{world}-v0 gives an action_mask without any legal action$"):
        for _ in play(VectorEnv(world, 2, seed=0), 5, np.random.default_rng(0)):
            pass


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(UserError, match=r"^TestMaskedWide-v0 failed in reset\(\): ValueError: [^\n]*$"):
        VectorEnv("TestMaskedWide", 2, seed=0)


def test_an_environment_without_a_limit_is_told_once(monkeypatch, caplog):
    monkeypatch.setattr("rlgen.envs.vector_env.LIMIT", 40)
    env = [VectorEnv("TestEndless", 2, seed=0) for _ in range(3)]
    assert [index.max_episode_steps for index in env] == [40] * 3
    assert len(caplog.records) == 1
    assert "TestEndless-v0 has no time limit" in caplog.text
    assert "--max-episode-steps" in caplog.text
    caplog.clear()
    assert VectorEnv("TestEndless", 2, seed=0, max_episode_steps=50).max_episode_steps == 50
    assert VectorEnv("CartPole", 2, seed=0).max_episode_steps == 500
    assert not caplog.records


@pytest.mark.parametrize("limit", [3, 9])
@pytest.mark.parametrize("world", ["TestTruncated", "TestEndless"])
def test_a_limit_that_is_asked_for_wins(world, limit):
    """T1: it is no termination, and it may be longer than the environment's own."""
    steps = [
        step
        for _, _, step in play(
            VectorEnv(world, 2, seed=0, max_episode_steps=limit), 2 * limit, np.random.default_rng(0)
        )
    ]
    assert [bool(step.episode_end.all()) for step in steps] == ([False] * (limit - 1) + [True]) * 2
    assert not any(step.terminated.any() for step in steps)
    assert steps[limit - 1].episode_return.tolist() == [limit] * 2


def test_sticky_actions_where_there_are_none_are_refused():
    for name in ("CartPole", "Taxi"):
        with pytest.raises(UserError, match=f"^{name}-v. knows no sticky actions: [^\n]*--repeat-action-probability$"):
            VectorEnv(name, 1, seed=0, repeat_action_probability=0.25)
    assert VectorEnv("CartPole", 1, seed=0, repeat_action_probability=0.0).num_actions == 2  # none is what it has


@pytest.mark.skipif(not BOX2D, reason="Box2D is not installed: rlgen[box2d]")
def test_lunar_lander():
    env = VectorEnv("LunarLander", 2, seed=0)
    assert (env.shape, env.num_actions, env.max_episode_steps) == ((8,), 4, 1000)


def test_without_box2d_the_way_to_get_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "Box2D", None)
    monkeypatch.delitem(sys.modules, "gymnasium.envs.box2d", raising=False)
    monkeypatch.delitem(sys.modules, "gymnasium.envs.box2d.lunar_lander", raising=False)
    with pytest.raises(
        UserError, match=r"^LunarLander-v3 cannot be made: [^\n]*pip install [^\n]*rlgen\[box2d\][^\n]*$"
    ):
        VectorEnv("LunarLander", 1, seed=0)


def test_an_environment_of_another_package_is_imported_with_it(tmp_path, monkeypatch):
    """In a process of its own `import my_games` has not been said by anybody; here the package is new."""
    (tmp_path / "my_games.py").write_text(
        "import gymnasium\n"
        "gymnasium.register('Mine-v3', 'gymnasium.envs.classic_control:CartPoleEnv', max_episode_steps=7)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    env = VectorEnv("my_games:Mine-v3", 2, seed=0)
    assert env.shape == (4,)
    assert [env.step(np.zeros(2, np.int64)).episode_end.any() for _ in range(7)][-1]
    assert mdp("my_games:Mine-v3") is None
    gym.registry.pop("Mine-v3")
