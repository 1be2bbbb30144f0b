"""Films of agents with their values, and of several ages."""

import numpy as np
import pytest

from rlgen import film
from rlgen.agents.episode import record
from rlgen.agents.tabular import QLearning
from rlgen.core.errors import UserError
from rlgen.core.settings import Setup
from tests.envs import toy_environments  # noqa: F401  # registers its environments


def table(task="FrozenLake", seed=0, **settings):
    agent = QLearning(task, QLearning.Config(**settings), Setup(seed=0, threads=1))
    agent.q[:] = np.random.default_rng(seed).random(agent.q.shape)
    return agent


def test_a_film_has_every_step_and_the_terminal_state():
    agent = table()
    episode = record(agent, 3, frames=False)
    made = film.film([agent], ["a"], 3)
    frames = list(made.frames)
    assert len(frames) == len(episode) + 1 + round(made.fps)
    assert len({frame.shape for frame in frames}) == 1
    assert frames[-1] is frames[len(episode)]
    assert len({frame.tobytes() for frame in frames}) == len(episode) + 1
    assert (made.returns, made.fps) == ([episode.score], agent.env.fps)


def test_ages_stand_side_by_side_and_wait_for_the_longest():
    agents = [table(seed=seed) for seed in (0, 1, 2)]
    lengths = [len(record(agent, 5, frames=False)) for agent in agents]
    assert len(set(lengths)) > 1
    made = film.film(agents, ["a", "b", "c"], 5)
    frames = list(made.frames)
    assert len(frames) == max(lengths) + 1 + round(made.fps)
    width = frames[0].shape[1] // 3
    shortest = int(np.argmin(lengths))
    column = [frame[:, shortest * width : (shortest + 1) * width] for frame in frames]
    assert all((column[-1] == each).all() for each in column[lengths[shortest] :])
    assert not (column[0] == column[-1]).all()


def test_without_values_the_frames_have_captions(monkeypatch):
    captions = []
    monkeypatch.setattr(film.pictures, "caption", lambda frame, text: captions.append(text) or frame)
    agent = table()
    made = film.film([agent, agent], ["early", "late"], 0, values=False)
    frames = list(made.frames)
    assert frames[0].shape == (256, 512, 3)
    assert captions[:2] == ["early   step 0   return 0", "late   step 0   return 0"]
    assert captions[-1].endswith(f"return {made.returns[0]:g}")


def test_long_episodes_are_drawn_in_larger_steps(monkeypatch):
    monkeypatch.setattr(film, "FRAMES", 4)
    agent = table("FrozenLake", max_episode_steps=30)
    agent.q[:] = [1, 0, 0, 0]  # left, for ever
    episode = record(agent, 1, frames=False)
    every = -(-len(episode) // 4)
    made = film.film([agent], ["a"], 1)
    assert made.fps == agent.env.fps / every
    assert len(list(made.frames)) == -(-len(episode) // every) + 1 + max(1, round(made.fps))


def test_an_episode_that_ends_between_two_frames_shows_its_terminal_state(monkeypatch):
    monkeypatch.setattr(film, "WIDE", 3)
    agents = [table(seed=seed) for seed in (0, 1, 2)]
    made = film.film(agents, ["a", "b", "c"], 5, values=False)
    last = list(made.frames)[-1]
    for place, agent in enumerate(agents):
        own = list(film.film([agent], ["abc"[place]], 5, values=False).frames)[-1]
        np.testing.assert_array_equal(last[:, place * own.shape[1] : (place + 1) * own.shape[1]], own)


def test_an_environment_without_pictures_is_named():
    with pytest.raises(UserError, match="TestIdentity"):
        film.film([table("TestIdentity")], ["a"], 0)
