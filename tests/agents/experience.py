"""Made-up experience, written down twice: into a replay memory and into plain lists that its draws are held to.

Every frame is a number of its own, so that what is drawn can be told apart by its frames.
"""

from typing import NamedTuple

import numpy as np

from rlgen.agents.actor import ActorInput
from rlgen.agents.replay import Replay
from rlgen.envs import Step

GAMMA = 0.5  # sums of small numbers are exact
ACTIONS = 5


class Row(NamedTuple):
    """One step of one lane as it was lived."""

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
    """A replay memory and the log of the same steps, by lane. Frames are vectors (1,) or images (2, 2, 2) of bytes."""

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
        self.twin: Replay | None = None  # another memory that is given the same
        self.log: list[list[Row]] = [[] for _ in range(self.width)]
        self.frames = 0
        self.obs = [(number,) * frame_stack for number in self.fresh()]
        self.action_mask, self.is_first = self.masked(), np.ones(self.width, bool)

    def live(self, steps, *, terminate=0.1, truncate=0.1, life=0.1, lose=0.0):
        """Store steps with random ends, now and then of both kinds; `lose` is the chance that a lane is cut."""
        for _ in range(steps):
            chance = [self.rng.random(self.width) < p for p in (terminate, truncate, life)]
            terminated, over = chance[0] | chance[2], chance[0] | chance[1]
            next_obs = [(*obs[1:], number) for obs, number in zip(self.obs, self.fresh(), strict=True)]
            next_action_mask = self.masked() & ~(terminated[:, None] & self.masks)  # none where nothing follows
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
            for lane in range(self.width):
                self.log[lane].append(Row(
                    self.obs[lane], tuple(self.action_mask[lane].tolist()), bool(self.is_first[lane]),
                    int(action[lane]), float(step.reward[lane]), bool(terminated[lane]),
                    bool(step.done[lane] | lost[lane]), next_obs[lane],
                    tuple(next_action_mask[lane].tolist()), float(recurrent_state[lane]),
                ))  # fmt: skip
            self.is_first = over | lost
            fresh, action_mask = self.fresh(), self.masked()
            self.obs = [
                (fresh[lane],) * self.frame_stack if self.is_first[lane] else next_obs[lane]
                for lane in range(self.width)
            ]
            # a lost life ends no episode: where it stands now something is allowed
            self.action_mask = np.where((self.is_first | terminated)[:, None], action_mask, next_action_mask)
        return self

    def windows(self, lane, length=None):
        """Where the windows begin that are whole, still there, and have all their frames."""
        count, rows = len(self.log[lane]), self.replay.rows
        first = 0 if count <= rows else count - rows + self.frame_stack - 1
        return range(first, max(first, count - (length or self.n) + 1))

    def walk(self, lane, begin):
        """The n-step transition that begins there, step by step, as `drawn` gives it."""
        total = 0.0
        for k in range(self.n):
            row = self.log[lane][begin + k]
            total += GAMMA**k * row.reward
            if row.done:
                break
        obs, action_mask, _, action, *_ = self.log[lane][begin]
        if row.terminated:
            return obs, action_mask, action, total, 0.0, None, None
        return obs, action_mask, action, total, GAMMA ** (k + 1), row.next_obs, row.next_action_mask

    def walks(self, seed):
        """All that can be drawn for a seed: [lane by lane, beginning by beginning]."""
        num_envs = range(seed * self.replay.num_envs, (seed + 1) * self.replay.num_envs)
        return [self.walk(lane, begin) for lane in num_envs for begin in self.windows(lane)]

    def drawn(self, batch):
        """For each seed the transitions of a batch; what follows a termination is None."""
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
        """Numbers of frames, (L, stack) -> observations as the lanes give them."""
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
