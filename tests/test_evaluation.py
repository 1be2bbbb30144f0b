"""Scores, samples and recorded episodes of what was trained."""

import json

import gymnasium as gym
import numpy as np
import pytest
import torch

import rlgen
from rlgen import evaluation
from rlgen.core.errors import UserError
from rlgen.envs import VectorEnv
from rlgen.report import pictures

SIDE = 64


class Steps(gym.Env):
    """Its picture is as bright as its episode is long so far: 10 per step. Episodes have three to six steps."""

    observation_space = gym.spaces.Box(0, 1, (1,), np.float32)
    action_space = gym.spaces.Discrete(2, start=5)
    metadata = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.time, self.end = 0, 3 + int(self.np_random.integers(4))
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.time += 1
        return np.zeros(1, np.float32), 2.0 + action - 5, self.time == self.end, False, {}

    def render(self):
        return np.full((SIDE, SIDE, 3), 10 * self.time, np.uint8)


gym.register("TestSteps-v0", Steps)


class Player:
    """An agent that takes action 6 in the first step and 5 in all others."""

    def make_env(self, num_envs, seed, **options):
        return VectorEnv(f"{__name__}:TestSteps-v0" if ":" in __name__ else "TestSteps-v0", num_envs, seed, **options)

    def predict(self, observation, state, episode_start, deterministic, action_mask):
        assert deterministic
        assert action_mask is None
        return 5 + episode_start.astype(np.int64), state


@pytest.mark.parametrize("episodes", [1, 4])
def test_a_recorded_episode_ends_with_its_terminal_state_and_its_return(episodes, monkeypatch):
    captions = []
    monkeypatch.setattr(pictures, "caption", lambda frame, text: captions.append(text) or frame)
    frames, returns, fps = evaluation.record(Player(), episodes, seed=3)
    brightness = [int(frame[0, 0, 0]) // 10 for frame in frames]
    expected, rest = [], list(brightness)
    for episode_return in returns:
        steps = int((episode_return - 1) / 2)
        assert 3 <= steps <= 6
        expected += [*range(steps + 1), *[steps] * 4]  # from the first state to the terminal one, held for a second
    assert rest == expected
    assert fps == 4
    for i, episode_return in enumerate(returns):
        assert f"episode {i + 1}   step {int((episode_return - 1) / 2)}   return {episode_return:g}" in captions
        assert f"episode {i + 1}   step 0   return 0" in captions
    assert len(captions) == sum(int((r - 1) / 2) + 1 for r in returns)


def test_recorded_episodes_are_fresh_and_repeatable():
    _, first, _ = evaluation.record(Player(), 8, seed=3)
    assert evaluation.record(Player(), 8, seed=3)[1] == first
    assert evaluation.record(Player(), 8, seed=4)[1] != first


@pytest.mark.parametrize(("task", "options"), [("FrozenLake", {}), ("Taxi", {"max_episode_steps": 12})])
def test_the_last_caption_has_the_return_that_is_printed(tmp_path, monkeypatch, task, options):
    captions = []
    monkeypatch.setattr(pictures, "caption", lambda frame, text: captions.append(text) or frame)
    run = rlgen.train("qlearning", task, runs=tmp_path, budget=400, eval_episodes=2, final_episodes=2, **options)
    _, (episode_return,), _ = evaluation.record(rlgen.load(run), 1, seed=0)
    assert captions[-1].endswith(f"return {episode_return:,.6g}")


class Labels:
    """A model that notes the labels it is asked for."""

    num_classes = 10

    def __init__(self):
        self.calls = []

    def label(self, name):
        return int(name)

    def sample(self, count, *, seed, labels=None):
        self.calls.append((count, seed, labels))
        return torch.zeros(count, 1, 2, 2)


def test_two_billion_samples_of_a_class_allocate_no_two_billion_labels(monkeypatch):
    model, full = Labels(), torch.full
    monkeypatch.setattr(torch, "full", lambda shape, *rest, **more: full(_small(shape), *rest, **more))
    parts = evaluation.samples(model, 2_000_000_000, label="3")
    (start, images), (then, _) = next(parts), next(parts)
    assert (start, then, images.shape) == (0, 1_000, (1_000, 1, 2, 2))
    assert all(torch.as_tensor(labels).unique().tolist() == [3] for _, _, labels in model.calls)
    assert model.calls[0][1] == 0 != model.calls[1][1]


def _small(shape):
    """The shape, unless a tensor of it would fill the memory."""
    assert torch.Size(shape).numel() < 1_000_000
    return shape


def test_progress_counts_the_samples():
    done = []
    parts = list(evaluation.samples(Labels(), 2_500, progress=done.append))
    assert [start for start, _ in parts] == [0, 1_000, 2_000]
    assert done == [1_000, 1_000, 500]


def test_a_grid_that_a_model_does_not_have():
    class Model:
        def grids(self, seed):
            return {"samples": None, "interpolations": None}

    with pytest.raises(UserError, match=r"this model has no manifold; --latent 2 .*: it draws samples, interpolations"):
        evaluation.grid(Model(), "manifold")
    with pytest.raises(UserError, match=r"this model has no completions: it draws samples, interpolations"):
        evaluation.grid(Model(), "completions")


def test_a_score_is_json(tmp_path):
    run = rlgen.train("qlearning", "FrozenLake", runs=tmp_path, budget=400, eval_episodes=2)
    score = evaluation.score(rlgen.load(run), 5, seed=1)
    assert json.loads(json.dumps(score)) == score
    assert len(score["returns"]) == score["episodes"] == 5
    assert score["score"] == score["mean"] == pytest.approx(np.mean(score["returns"]))
