"""What the replay memory costs. Prints figures; nothing here gates.

python tests/benchmarks/replay.py update        # prioritised against uniform, in whole updates and alone
python tests/benchmarks/replay.py structures    # ways to draw by priority, from 10³ to 10⁶ places
python tests/benchmarks/replay.py push          # storing a step of every lane
python tests/benchmarks/replay.py bytes         # of an Atari transition
python tests/benchmarks/replay.py device        # the same draws with the ring on an accelerator
"""

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from rlgen.agents.actor import ActorInput
from rlgen.agents.dqn import DQN
from rlgen.agents.priorities import Priorities
from rlgen.agents.replay import Replay
from rlgen.core.settings import Setup
from rlgen.envs import Step

CPU = torch.device("cpu")
SHAPES: dict[str, tuple[tuple[int, ...], Any, int]] = {  # shape, type and height of the stack
    "8 numbers": ((8,), np.float32, 1),
    "MinAtar": ((4, 10, 10), np.uint8, 1),
    "Atari": ((4, 84, 84), np.uint8, 4),
}


def best(
    *calls: Callable[[], object], rounds: int = 7, share: float = 0.05, clock: Callable[[], float] = time.thread_time
) -> list[float]:
    """Microseconds of processor time per call, the least of a few rounds that the calls take turns in."""
    least = [float("inf")] * len(calls)
    for _ in range(rounds):
        for number, call in enumerate(calls):
            start, times = clock(), 0
            while clock() < start + share:
                call()
                times += 1
            least[number] = min(least[number], 1e6 * (clock() - start) / times)
    return least


def filled(rows: int, name: str = "8 numbers", num_envs: int = 1, device: torch.device = CPU, **more: Any) -> Replay:
    """A memory that was written once over, with an end every 200 steps."""
    shape, kind, frame_stack = SHAPES[name]
    replay = Replay(
        rows * num_envs, 1, num_envs, shape, kind, frame_stack=frame_stack, gamma=0.99, seed=0, device=device, **more
    )
    push = pusher(replay, shape, kind)
    for _ in range(rows):
        push()
    return replay


def pusher(replay: Replay, shape: tuple[int, ...], kind: Any) -> Callable[[], None]:
    """What stores one more step of every lane."""
    num_envs = replay.width
    obs, action_mask, no = np.ones((num_envs, *shape), kind), np.ones((num_envs, 1), bool), np.zeros(num_envs, bool)
    action, score = np.zeros(num_envs, np.int64), np.zeros(num_envs)
    steps = [Step(np.ones(num_envs, np.float32), no, end, end, obs, action_mask, score) for end in (no, ~no)]

    def push() -> None:
        time = replay.count % 200
        replay.push(ActorInput(obs, action_mask, None, no if time else ~no), action, steps[time == 199])

    return push


def update() -> None:
    """Microseconds of draw, gather and new priorities, and of DQN's whole update, at 10⁵ transitions."""
    torch.set_num_threads(1)
    print("draw and gather, and new priorities; batch, n-step: uniform -> prioritised")
    for name, rows in (("8 numbers", 100_000), ("MinAtar", 100_000), ("Atari", 20_000)):
        for n in (1, 3):
            replays = [filled(rows, name, n_step=n, alpha=alpha) for alpha in (0.0, 0.6)]
            for size in (32, 128, 4096):
                if name == "Atari" and size == 4096:
                    continue
                priority = torch.rand(1, size)

                def draw(replay: Replay, size: int = size, priority: torch.Tensor = priority) -> None:
                    replay.prioritize(replay.sample(size, 0.5).index, priority)

                one, two = best(lambda: draw(replays[0]), lambda: draw(replays[1]))  # noqa: B023  called at once
                print(f"  {name:<10} {size:5} n={n}  {one:7.0f} -> {two:7.0f}   {two - one:+6.0f}")
    print("DQN.learn on CartPole, per update: uniform -> prioritised")
    for batch, width, updates in ((32, 64, 1), (64, 256, 1), (128, 256, 1), (64, 256, 32)):
        agents = []
        for alpha in (0.0, 0.6):
            config = DQN.Config(batch=batch, width=width, gradient_steps=updates, alpha=alpha, buffer_size=100_000)
            agents.append(DQN("CartPole", config, Setup(seed=0, threads=1)))
            agents[-1].replay = filled(100_000, alpha=alpha, n_step=config.n_step)
            agents[-1].replay.frames.obs = np.zeros((100_001, 4), np.float32)
            agents[-1].replay.frames.shape = (4,)
            agents[-1].replay.frames.aside = {
                slot: (np.zeros(4, np.float32), action_mask)
                for slot, (_, action_mask) in agents[-1].replay.frames.aside.items()
            }
        one, two = (x / updates for x in best(agents[0].learn, agents[1].learn, share=0.3))
        times = f"{one:6.0f} -> {two:6.0f}   {two / one:.2f} x"
        print(f"  batch {batch:3}, width {width:3}, {updates:2} in a burst  {times}", flush=True)


def structures() -> None:
    """Microseconds to draw and to change priorities: all in one cumulative sum, ours, a binary tree."""
    rng = np.random.default_rng(0)
    print("    places  drawn   cumulative sum      Priorities     binary tree   (draw + change)")
    for places in (1_000, 10_000, 100_000, 1_000_000):
        value = rng.random(places)
        ours, depth = Priorities(1, places), int(np.ceil(np.log2(places)))
        ours.assign(np.arange(places)[None], value)
        tree = np.zeros(2 << depth)
        tree[1 << depth : (1 << depth) + places] = value
        for level in range(depth - 1, -1, -1):
            tree[1 << level : 2 << level] = tree[2 << level : 4 << level].reshape(-1, 2).sum(1)
        for size in (32, 128, 4096):
            uniform, place = rng.random(size), rng.integers(places, size=size)

            def cumulative(uniform: Any = uniform, value: Any = value) -> Any:
                total = value.cumsum()
                return total.searchsorted(uniform * total[-1], "right")

            def binary(uniform: Any = uniform, tree: Any = tree, depth: int = depth) -> Any:
                rest, node = uniform * tree[1], np.ones(len(uniform), np.int64)
                for _ in range(depth):
                    left = tree[2 * node]
                    right = rest >= left
                    rest, node = rest - left * right, 2 * node + right
                return node - (1 << depth)

            def change(uniform: Any = uniform, place: Any = place, tree: Any = tree, depth: int = depth) -> None:
                node = place + (1 << depth)
                tree[node] = uniform
                for _ in range(depth):
                    node = node >> 1
                    tree[node] = tree[2 * node] + tree[2 * node + 1]

            calls: list[Callable[[], object]] = [
                cumulative, lambda: value.__setitem__(place, uniform), lambda: ours.draw(uniform[None]),  # noqa: B023
                lambda: ours.assign(place[None], uniform[None]), binary, change,  # noqa: B023  called at once
            ]  # fmt: skip
            times = [f"{one:6.0f} + {two:5.0f}" for one, two in zip(*[iter(best(*calls))] * 2, strict=True)]
            print(f"{places:10,} {size:6}   {'   '.join(times)}", flush=True)


def push() -> None:
    """Microseconds to store one step of every lane."""
    for name, num_envs in (("8 numbers", 1), ("8 numbers", 8), ("MinAtar", 8), ("Atari", 8)):
        replay = filled(1_000, name, num_envs, n_step=1)
        print(f"  {name:<10} {num_envs} environments  {best(pusher(replay, *SHAPES[name][:2]))[0]:6.1f}")


def weigh() -> None:
    """Bytes of all arrays per Atari transition, prioritised, an end every 200 steps."""
    num_envs, rows = 8, 1_250
    replay = filled(rows, "Atari", num_envs, n_step=3, alpha=0.5)
    replay.sample(32)
    arrays = [x for part in (replay, replay.frames, replay.priorities) for x in vars(part).values()]
    size = sum(x.nbytes for x in arrays if isinstance(x, np.ndarray) and x.base is None)
    extra = sum(x.nbytes for kept in replay.frames.aside.values() for x in kept)
    each = (size + extra) / (rows * num_envs)
    print(f"{each:.0f} bytes, {each / 84**2:.3f} frames; of these {extra / (rows * num_envs):.0f} set aside")


def device() -> None:
    """Microseconds per draw with everything on the CPU and moved, and with the ring on the accelerator."""
    target = torch.accelerator.current_accelerator() or CPU
    print(f"on {target}: draws from numpy and moved -> from a tensor there")
    for name in ("MinAtar", "Atari"):
        for alpha in (0.0, 0.6):
            replays = [filled(20_000, name, n_step=1, alpha=alpha, device=where) for where in (CPU, target)]
            if isinstance(replays[1].frames.obs, np.ndarray):
                replays[1].frames.obs = torch.from_numpy(replays[1].frames.obs)
            for size in (32, 512):

                def draw(replay: Replay, size: int = size) -> None:
                    batch = [x.to(target) for x in replay.sample(size)[:-1]]
                    batch[5].sum().item()  # waits for it

                calls = (lambda: draw(replays[0]), lambda: draw(replays[1]))  # noqa: B023  called at once
                one, two = best(*calls, clock=time.perf_counter)
                print(f"  {name:<8} {size:4} alpha {alpha}  {one:7.0f} -> {two:7.0f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tasks = {"update": update, "structures": structures, "push": push, "bytes": weigh, "device": device}
    parser.add_argument("what", choices=tasks)
    tasks[parser.parse_args().what]()
