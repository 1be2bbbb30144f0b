import numpy as np
import pytest
import torch

from rlgen.agents.frames import Frames
from rlgen.envs import VectorEnv


@pytest.mark.parametrize("frame_stack", [2, 255, 256, 257, 300])
def test_stacks_of_any_height_begin_with_the_first_frame_of_the_episode(frame_stack):
    """T11: also above 256 frames, beyond a counter of one byte."""
    steps = 700
    env = VectorEnv("MountainCar", 1, seed=0, frame_stack=frame_stack, max_episode_steps=600)
    frames = Frames(800, 1, env.shape, np.float32, 1, frame_stack, torch.device("cpu"))
    expected = []
    for time in range(steps):
        obs, is_first = env.obs, env.is_first
        expected.append(obs[0].copy())
        frames.write(time, obs, env.action_mask, is_first, env.step(np.array([2 * (time // 9 % 2)])))
    slots = np.arange(steps)
    stored, _ = frames.at(slots)
    np.testing.assert_array_equal(stored.numpy(), expected)
    np.testing.assert_array_equal(np.flatnonzero(frames.is_first(slots)), [0, 600])
