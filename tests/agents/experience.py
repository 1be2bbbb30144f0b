"""Random experience, stored twice: in a replay buffer and in plain lists that draws are compared with.

Every frame is a number of its own, which identifies it in a draw.
"""

from typing import NamedTuple

import numpy as np

from rlgen.agents.actor import ActorInput
from rlgen.agents.replay import Replay
from rlgen.envs import Step

GAMMA = 0.5  # sums of small numbers are exact
ACTIONS = 5


class Row(NamedTuple):
    """One step of one environment."""

    obs: tuple[int, ...]  # numbers of the frames, oldest first
    action_mask: tuple[bool, ...]
    is_first: bool
    action: int
    reward: float
    terminated: bool
    done: bool
    next_obs: tuple[int, ...]
    next_action_mask: tuple[bool, ...]
    recurrent_state: float


class Experience:
    """A replay buffer and a log of the same steps by environment. Frames: vectors (1,) or byte images (2, 2, 2)."""

    def __init__(
        self, buffer_size=40, seeds=1, num_envs=1, *, n=1, frame_stack=1, masks=True, image=False, seed=0, **more
    ):
        self.rng = np.random.default_rng(seed)
        self.n, self.frame_stack, self.image, self.masks, self.width = n, frame_stack, image, masks, seeds * num_envs
        shape, dtype = ((2 * frame_stack, 2, 2), np.uint8) if image else ((frame_stack,), np.float32)
        self.replay = Replay(
            buffer_size, seeds, num_envs, shape, dtype, ACTIONS if masks else 1,
            frame_stack=frame_stack, n_step=n, gamma=GAMMA, seed=seed, recurrent_size=1, **more,
        )  # fmt: skip
        self.twin: Replay | None = None  # another buffer with the same steps
        self.log: list[list[Row]] = [[] for _ in range(self.width)]
        self.frames = 0
        self.obs = [(number,) * frame_stack for number in self.fresh()]
        self.action_mask, self.is_first = self.masked(), np.ones(self.width, bool)

    def live(self, steps, *, terminate=0.1, truncate=0.1, life=0.1, lose=0.0):
        """Store steps with random ends, at times of both kinds; `lose` is the probability of a cut environment."""
        for _ in range(steps):
            chance = [self.rng.random(self.width) < p for p in (terminate, truncate, life)]
            terminated, over = chance[0] | chance[2], chance[0] | chance[1]
            next_obs = [(*obs[1:], number) for obs, number in zip(self.obs, self.fresh(), strict=True)]
            next_action_mask = self.masked() & ~(terminated[:, None] & self.masks)  # no action after a termination
            recurrent_state = self.rng.random(self.width).astype(np.float32)
            after = self.pictures(next_obs)
            if not self.image:
                after[terminated] = np.nan
            step = Step(
                reward=self.rng.integers(-4, 5, self.width).astype(np.float32), terminated=terminated,
                done=terminated | over, episode_end=over, next_obs=after, next_action_mask=next_action_mask,
                episode_return=np.zeros(self.width),
            )  # fmt: skip
            action = self.rng.integers(ACTIONS, size=self.width)
            lost = (self.rng.random(self.width) < lose) & ~over
            for replay in (self.replay, self.twin) if self.twin is not None else (self.replay,):
                inputs = self.pictures(self.obs), self.action_mask, recurrent_state[:, None], self.is_first
                replay.push(ActorInput(*inputs), action, step)
                if lost.any():
                    replay.cut(lost)
            for env_index in range(self.width):
                self.log[env_index].append(Row(
                    self.obs[env_index], tuple(self.action_mask[env_index].tolist()), bool(self.is_first[env_index]),
                    int(action[env_index]), float(step.reward[env_index]), bool(terminated[env_index]),
                    bool(step.done[env_index] | lost[env_index]), next_obs[env_index],
                    tuple(next_action_mask[env_index].tolist()), float(recurrent_state[env_index]),
                ))  # fmt: skip
            self.is_first = over | lost
            fresh, action_mask = self.fresh(), self.masked()
            self.obs = [
                (fresh[env_index],) * self.frame_stack if self.is_first[env_index] else next_obs[env_index]
                for env_index in range(self.width)
            ]
            # a lost life does not end the episode: the next observation has an allowed action
            self.action_mask = np.where((self.is_first | terminated)[:, None], action_mask, next_action_mask)
        return self

    def windows(self, env_index, length=None):
        """First steps of the stored windows, with all their frames."""
        count, rows = len(self.log[env_index]), self.replay.rows
        first = 0 if count <= rows else count - rows + self.frame_stack - 1
        return range(first, max(first, count - (length or self.n) + 1))

    def walk(self, env_index, begin):
        """The n-step transition that begins there, step by step, as `drawn` has it."""
        total = 0.0
        for k in range(self.n):
            row = self.log[env_index][begin + k]
            total += GAMMA**k * row.reward
            if row.done:
                break
        obs, action_mask, _, action, *_ = self.log[env_index][begin]
        if row.terminated:
            return obs, action_mask, action, total, 0.0, None, None
        return obs, action_mask, action, total, GAMMA ** (k + 1), row.next_obs, row.next_action_mask

    def walks(self, seed):
        """All transitions of a seed."""
        num_envs = range(seed * self.replay.num_envs, (seed + 1) * self.replay.num_envs)
        return [self.walk(env_index, begin) for env_index in num_envs for begin in self.windows(env_index)]

    def drawn(self, batch):
        """The transitions of a batch for each seed, with None after a termination."""
        drawn = []
        for obs, action_mask, action, reward, discount, next_obs, next_action_mask, *_ in zip(*batch, strict=True):
            columns = self.numbers(obs), action_mask, action, reward, discount, self.numbers(next_obs), next_action_mask
            rows = zip(*(x.tolist() for x in columns), strict=True)
            drawn.append([(tuple(o), tuple(m), *numbers, *((tuple(p), tuple(k)) if numbers[-1] else (None, None)))
                          for o, m, *numbers, p, k in rows])  # fmt: skip
        return drawn

    def fresh(self):
        self.frames += self.width
        return range(self.frames - self.width, self.frames)

    def masked(self):
        if not self.masks:
            return np.ones((self.width, 1), bool)
        action_mask = self.rng.random((self.width, ACTIONS)) < 0.5
        action_mask[np.arange(self.width), self.rng.integers(ACTIONS, size=self.width)] = True
        return action_mask

    def pictures(self, obs):
        """Numbers of frames, (L, stack) -> observations of the environments."""
        numbers = np.array(obs)
        if not self.image:
            return numbers.astype(np.float32)
        channels = np.stack([numbers // 250, numbers % 250], -1)[..., None, None] * np.ones((2, 2))
        return channels.reshape(self.width, -1, 2, 2).astype(np.uint8)

    def numbers(self, obs):
        """Observations (B, ...) -> the numbers of their frames, (B, stack)."""
        if not self.image:
            return obs.long()
        high, low = obs.long().view(len(obs), -1, 2, 2, 2).unbind(2)  # (B, stack, H, W)
        assert (high == high[..., :1, :1]).all()
        assert (low == low[..., :1, :1]).all()
        return high[..., 0, 0] * 250 + low[..., 0, 0]
