import importlib.util
import logging

import numpy as np
import pytest
import torch

from rlgen.core.errors import UserError
from rlgen.envs import VectorEnv
from tests.envs import toy_environments
from tests.envs.playing import play, steps_of

MINATAR, BOX2D = (importlib.util.find_spec(package) is not None for package in ("minatar", "Box2D"))


@pytest.mark.parametrize("num_envs", [1, 2, 7])
def test_a_step_never_leaves_its_episode(num_envs, finished):
    """T2: no step from the end of an episode to the start of the next is ever returned or counted."""
    env, stored, ends, starts = VectorEnv("TestCounting", num_envs, seed=3), 0, 0, []
    for obs, _, step in play(env, 200):
        np.testing.assert_array_equal(step.next_obs[:, 0], obs[:, 0])
        np.testing.assert_array_equal(step.next_obs[:, 1], obs[:, 1] + 1)
        np.testing.assert_array_equal(env.obs[~step.done], step.next_obs[~step.done])
        np.testing.assert_array_equal(env.obs[step.done, 1], 0)
        np.testing.assert_array_equal(env.last_length[step.done], step.next_obs[step.done, 1])
        starts += env.obs[step.done, 0].tolist()
        assert (step.done | ~step.terminated).all()
        stored += num_envs
        ends += step.done.sum()
    unfinished = int(env.obs[:, 1].sum())
    assert ends == len(finished) > 20
    assert stored == sum(length for _, length in finished) + unfinished
    assert len(set(starts)) == len(starts)  # every start is a new episode


@pytest.mark.parametrize("num_envs", [1, 3])
def test_returns_are_the_true_ones(num_envs, finished):
    """T3: also those of the episodes after the first."""
    env, reported, terminated = VectorEnv("TestCounting", num_envs, seed=1), [], set()
    for _, _, step in play(env, 150):
        reported += step.episode_return[step.done].tolist()
        terminated |= set(step.terminated[step.done].tolist())
    assert reported == [value for value, _ in finished]
    assert len(reported) > 20
    assert terminated == {True, False}


def test_the_return_of_a_step_is_not_overwritten_by_the_next_steps():
    steps = steps_of(VectorEnv("TestTruncated", 1, seed=0), 11)
    assert [step.episode_return[0] for step in steps] == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1]
    assert [bool(step.done[0]) for step in steps] == [False, False, False, False, True] * 2 + [False]


@pytest.mark.parametrize(
    ("name", "ends", "terminates"),
    [
        ("TestTruncated", True, False),
        ("TestTerminated", True, True),
        ("TestBoth", True, True),
        ("TestEndless", False, False),
    ],
)
def test_a_time_limit_is_no_termination_unless_both_happen(name, ends, terminates):
    """T1: and the successor is the true one."""
    *before, last = steps_of(VectorEnv(name, 2, seed=0), 5)
    assert not any(step.done.any() or step.terminated.any() for step in before)
    assert last.done.tolist() == [ends] * 2
    assert last.terminated.tolist() == [terminates] * 2
    assert last.next_obs.argmax(1).tolist() == [0, 0]


def test_without_restart_an_environment_stays_in_its_terminal_state(finished):
    env = VectorEnv("TestCounting", 6, seed=0, restart=False)
    first, ended = env.obs[:, 0].copy(), np.zeros(6)
    for obs, _, step in play(env, 12):
        before = ended > 0
        np.testing.assert_array_equal(step.next_obs[before], obs[before])
        assert not step.reward[before].any()
        assert step.done[before].all()
        assert not env.is_first.any()
        ended += step.done
    assert env.episode_end.all()
    np.testing.assert_array_equal(env.obs[:, 0], first)
    assert sorted(env.episode_return) == sorted(value for value, _ in finished)
    assert len(finished) == 6


@pytest.mark.parametrize("name", ["CartPole", "GridWorld", "Catch", "FrozenLake"])
def test_the_picture_after_the_last_step_is_that_of_the_terminal_state(name):
    env, other = (VectorEnv(name, 1, 0, restart=restart, render_mode="rgb_array") for restart in (False, True))
    for _, actions, step in play(env, 600):
        other.step(actions)
        if step.episode_end[0]:
            break
    assert env.episode_end.all()
    terminal = env.render()
    assert not np.array_equal(terminal, other.render())  # the first frame of the next episode
    env.step(np.zeros(1, np.int64))
    np.testing.assert_array_equal(env.render(), terminal)


def test_environments_and_episodes_differ_and_depend_on_the_seed():
    def starts(seed, num_envs):
        env = VectorEnv("CartPole", num_envs, seed)
        first = env.obs.copy()
        for _, _, step in play(env, 60):
            first = np.concatenate([first, env.obs[step.done]])
        return first

    one = starts(0, 4)
    assert len(one) > 8
    assert len(np.unique(one, axis=0)) == len(one)
    np.testing.assert_array_equal(one, starts(0, 4))
    assert not np.isin(one[:, 0], starts(1, 4)[:, 0]).any()
    np.testing.assert_array_equal(VectorEnv("CartPole", 9, 0).obs[:4], one[:4])  # however many there are


RESUMED = ["CartPole", "Acrobot", "MountainCar", "FrozenLake", "Taxi", "CliffWalking", "TestChain", "TestDict",
           "TestScreen", "TestLives", "Catch", *(["MinAtar/Breakout", "MinAtar/Seaquest"] if MINATAR else []),
           *(["LunarLander"] if BOX2D else [])]  # fmt: skip


@pytest.mark.parametrize("before", [0, 37, 230])
@pytest.mark.parametrize("name", RESUMED)  # the transitions of FrozenLake are random
def test_after_loading_a_state_in_mid_episode_the_future_is_the_same(name, before, caplog):
    """T15: observations, the stack of their frames and the allowed actions."""
    whole, other = (VectorEnv(name, 3, seed=5, frame_stack=2, life_loss=name == "TestLives") for _ in range(2))
    for _ in play(whole, before, np.random.default_rng(before)):
        pass
    saved = whole.state_dict()
    frozen = {key: [x.clone() for x in value] for key, value in saved.items()}
    for _ in play(other, 5, np.random.default_rng(99)):  # an object that has been in use
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
    for key, value in frozen.items():  # later steps do not change a saved state
        for then, now in zip(value, saved[key], strict=True):
            assert torch.equal(then, now)
    assert not other.restarted.any()
    assert "not deterministic" not in caplog.text


@pytest.mark.parametrize("name", ["TestNondeterministic", "TestUnstableLength"])
def test_an_environment_that_is_not_deterministic_begins_its_next_episode(name, caplog, monkeypatch):
    """The repeated actions reach another observation, or the end of the episode before the last of them."""
    monkeypatch.setattr(toy_environments.UnstableLength, "lengths", iter([9, 9, 9, 9, 2, 2, *[9] * 20]))
    rng = np.random.default_rng(0)
    whole = VectorEnv(name, 2, seed=0)
    for _ in play(whole, 5, rng):
        pass
    resumed = VectorEnv(name, 2, seed=0)
    with caplog.at_level(logging.WARNING, "rlgen"):
        resumed.load_state_dict(whole.state_dict())
    assert f"{name}-v0 is not deterministic given its seed and actions: 2 of 2 episodes" in caplog.text
    assert len(caplog.records) == 1
    assert resumed.restarted.all()
    assert resumed.action_history == []
    assert resumed.length.tolist() == [0, 0]
    assert resumed.is_first.all()
    assert not resumed.episode_return.any()
    assert not resumed.episode_end.any()
    assert (resumed.episode == whole.episode + 1).all()
    assert sum(1 for _ in play(resumed, 30, rng)) == 30


@pytest.mark.parametrize("name", ["CliffWalking", "TestEndless"])
def test_an_environment_without_a_limit_is_truncated_at_ours(name, monkeypatch):
    """A greedy policy may go in circles."""
    monkeypatch.setattr("rlgen.envs.vector_env.LIMIT", 30)
    steps = steps_of(VectorEnv(name, 1, seed=0), 30)
    assert [bool(step.done[0]) for step in steps] == [False] * 29 + [True]
    assert not steps[-1].terminated


def test_our_limit_is_logged_once_and_only_where_an_episode_reaches_it(monkeypatch, caplog):
    monkeypatch.setattr("rlgen.envs.vector_env.LIMIT", 7)
    for name in ("TestTerminated", "TestTruncated", "TestMasked"):  # no limit but short, and limits of their own
        steps_of(VectorEnv(name, 2, seed=0), 9)
    env = [VectorEnv("TestEndless", 2, seed=0) for _ in range(3)]
    assert [each.max_episode_steps for each in env] == [7] * 3
    steps_of(env[0], 6)
    assert not caplog.records
    for each in env:
        steps_of(each, 15)
    assert len(caplog.records) == 1
    assert "TestEndless-v0 has no time limit: an episode was truncated after 7 steps" in caplog.text
    assert "--max-episode-steps" in caplog.text
    caplog.clear()
    steps_of(VectorEnv("TestEndless", 2, seed=0, max_episode_steps=8), 20)
    assert VectorEnv("CartPole", 2, seed=0).max_episode_steps == 500
    assert not caplog.records


@pytest.mark.parametrize("limit", [3, 9])
@pytest.mark.parametrize("name", ["TestTruncated", "TestEndless"])
def test_a_given_limit_replaces_that_of_the_environment(name, limit):
    """T1: it is no termination, and it may be longer than the environment's own."""
    steps = steps_of(VectorEnv(name, 2, seed=0, max_episode_steps=limit), 2 * limit)
    assert [bool(step.episode_end.all()) for step in steps] == ([False] * (limit - 1) + [True]) * 2
    assert not any(step.terminated.any() for step in steps)
    assert steps[limit - 1].episode_return.tolist() == [limit] * 2


@pytest.mark.parametrize("frame_stack", [1, 2, 4])
@pytest.mark.parametrize("num_envs", [1, 3])
def test_stacked_frames_never_reach_back_across_the_start_of_an_episode(frame_stack, num_envs):
    """T11: the newest last; the first frame of an episode is repeated until there are enough."""
    env, frames = VectorEnv("TestScreen", num_envs, seed=0, frame_stack=frame_stack), [[] for _ in range(num_envs)]
    single, rng = VectorEnv("TestScreen", num_envs, seed=0), np.random.default_rng(0)
    assert env.shape == (2 * frame_stack, 3, 5)
    is_first = np.ones(num_envs, bool)
    for _ in range(60):
        np.testing.assert_array_equal(env.is_first, is_first)
        for index in range(num_envs):
            frames[index] = [*([] if is_first[index] else frames[index]), single.obs[index]]
            expected = ([frames[index][0]] * frame_stack + frames[index])[-frame_stack:]
            np.testing.assert_array_equal(env.obs[index], np.concatenate(expected))
        actions = rng.integers(3, size=num_envs)
        ours, theirs = env.step(actions), single.step(actions)
        np.testing.assert_array_equal(ours.next_obs[:, -2:], theirs.next_obs)  # the true successor, also at the end
        for index in range(num_envs):
            expected = ([frames[index][0]] * frame_stack + frames[index] + [theirs.next_obs[index]])[-frame_stack:]
            np.testing.assert_array_equal(ours.next_obs[index], np.concatenate(expected))
        is_first = theirs.episode_end


def test_vectors_are_stacked_too():
    env = VectorEnv("CartPole", 2, seed=0, frame_stack=3)
    first = env.obs[:, :4].copy()
    step = env.step(np.zeros(2, int))
    assert env.shape == (12,)
    np.testing.assert_array_equal(step.next_obs[:, :8], np.concatenate([first, first], 1))


@pytest.mark.parametrize("restart", [True, False])
def test_a_lost_life_terminates_the_learned_return_and_not_the_episode(restart):
    """T12: TestLives loses a life every third step and ends with the last of three; its rewards are -2, 0, 5, ..."""
    env = VectorEnv("TestLives", 2, seed=0, restart=restart, life_loss=True, clip_reward=True)
    steps = steps_of(env, 12)
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


def test_by_default_lives_and_the_size_of_rewards_are_unchanged():
    steps = steps_of(VectorEnv("TestLives", 1, seed=0), 9)
    assert [bool(step.done[0]) for step in steps] == [False] * 8 + [True]
    assert [int(step.reward[0]) for step in steps] == [-2, 0, 5] * 3


@pytest.mark.parametrize(("name", "num_envs"), [("CartPole", 8), ("CartPole", 1), ("Taxi", 2)])
def test_life_loss_without_lives_is_refused(name, num_envs):
    with pytest.raises(UserError, match=f"^{name}-v. has no lives: leave out --life-loss$"):
        VectorEnv(name, num_envs, seed=0, life_loss=True)


def test_repeated_actions_are_refused_where_the_environment_has_none():
    for name in ("CartPole", "Taxi"):
        with pytest.raises(UserError, match=f"^{name}-v. has no repeated actions: [^\n]*--repeat-action-probability$"):
            VectorEnv(name, 1, seed=0, repeat_action_probability=0.25)
    assert VectorEnv("CartPole", 1, seed=0, repeat_action_probability=0.0).num_actions == 2  # never is what it has


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("CartPole", {"environment": "CartPole-v1", "observations": "Box(4,) float32", "actions": "Discrete(2)",
                      "episode limit": "500 steps"}),
        ("Taxi", {"environment": "Taxi-v4", "observations": "Discrete(500) as (500,) float32",
                  "actions": "Discrete(6), with action masks", "episode limit": "200 steps"}),
        ("TestVector", {"environment": "TestVector-v0", "observations": "Box(3,) float32",
                        "actions": "Discrete(3), the first one 2", "episode limit": "4 steps"}),
    ],
)  # fmt: skip
def test_the_description_names_spaces_and_limit(name, expected):
    assert VectorEnv(name, 1, seed=0).describe() == expected


def test_the_description_has_the_given_limit():
    assert VectorEnv("CartPole", 1, 0, max_episode_steps=12_345).describe()["episode limit"] == "12,345 steps"
