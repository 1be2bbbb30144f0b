"""What the agents cost. Prints figures; nothing here gates.

    python tests/benchmarks/speed.py peer --peer PYTHON # steps/s beside Stable-Baselines3, in turn
    python tests/benchmarks/speed.py peer --peer PYTHON --task LunarLander --steps 10000
    python tests/benchmarks/speed.py seeds              # 8 seeds in one process against one
    python tests/benchmarks/speed.py rainbow            # an update of Rainbow against one of DQN
    python tests/benchmarks/speed.py pixels             # an update from 84 x 84 images, and a bare one
    python tests/benchmarks/speed.py atari              # environment steps/s without learning, and of bare games
    python tests/benchmarks/speed.py overhead           # of the loop and the log, against bare steps
    python tests/benchmarks/speed.py startup            # of the commands that need no torch

PYTHON is the interpreter of an environment of its own with stable-baselines3 in it.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ZOO: dict[str, dict[str, Any]] = {  # hyperparams/dqn.yml of rl-baselines3-zoo, in our words
    "CartPole": {
        "lr": 2.3e-3, "batch": 64, "buffer_size": 100_000, "learning_starts": 1_000, "gamma": 0.99,
        "target_update_interval": 10,
        "train_freq": 256, "gradient_steps": 128, "epsilon_steps": 8_000, "epsilon_end": 0.04,
    },
    "LunarLander": {
        "lr": 6.3e-4, "batch": 128, "buffer_size": 50_000, "learning_starts": 0, "gamma": 0.99,
        "target_update_interval": 250,
        "train_freq": 4, "gradient_steps": 4, "epsilon_steps": 12_000, "epsilon_end": 0.1,
    },
}  # fmt: skip
SAME = {
    "width": 256, "depth": 2, "layer_norm": False, "double": False, "n_step": 1, "loss": "huber", "tau": 1.0,
    "max_grad_norm": 10.0, "num_envs": 1, "eval_episodes": 1,
}  # fmt: skip
PLAN = {"budget", "stop_at", "log_every", "eval_every", "save_every"}  # settings that are not of an agent
PEER = """
import json, sys, time, gymnasium, torch
from stable_baselines3 import DQN
torch.set_num_threads(1)
task, steps, zoo = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
model = DQN("MlpPolicy", gymnasium.make(task), seed=0, device="cpu", policy_kwargs=dict(net_arch=[256, 256]),
            learning_rate=zoo["lr"], batch_size=zoo["batch"], buffer_size=zoo["buffer_size"], gamma=zoo["gamma"],
            learning_starts=zoo["learning_starts"], target_update_interval=zoo["target_update_interval"],
            train_freq=zoo["train_freq"], gradient_steps=zoo["gradient_steps"],
            exploration_fraction=zoo["epsilon_steps"] / steps,
            exploration_final_eps=zoo["epsilon_end"])
start = time.perf_counter()
model.learn(steps)
print(steps / (time.perf_counter() - start))
"""


def one_core() -> None:
    """Stay on one core, as the peers are measured; children inherit it."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def peer(python: str, task: str, steps: int, rounds: int) -> None:
    """Environment steps/s with the zoo's settings: ours and the peer's in turn."""
    from rlgen import envs

    one_core()
    words = [python, "-c", PEER, envs.resolve(task), str(steps), json.dumps(ZOO[task])]

    def theirs() -> float:
        return float(subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()[-1])

    in_turn(rounds, rlgen=lambda: ours(task, steps), peer=theirs)


def ours(task: str, steps: int, **settings: Any) -> float:
    """Environment steps/s of a training with the zoo's settings, of all seeds together."""
    with tempfile.TemporaryDirectory() as runs:
        file = Path(runs) / "zoo.json"
        plan = {"budget": steps, "log_every": 1_000, "eval_every": steps, "save_every": steps, "stop_at": "inf"}
        file.write_text(json.dumps({**SAME, **ZOO[task], **plan, **settings}))
        words = ["dqn", task, "--config", str(file), "--json", "--quiet", "--runs", runs]
        out = subprocess.run([sys.executable, "-m", "rlgen", *words], check=True, capture_output=True, text=True)
        row = json.loads(out.stdout)
        return float(row["time"] / row["seconds"]) * int(settings.get("seeds", 1))


def in_turn(rounds: int, **measures: Callable[[], float]) -> None:
    """Take two measures alternately; print each, their medians and the median of their ratios."""
    (name, one), (rival, other) = measures.items()
    pairs = []
    for _ in range(rounds):
        pairs.append((one(), other()))
        print(
            f"{name} {pairs[-1][0]:,.4g}  {rival} {pairs[-1][1]:,.4g}  ratio {pairs[-1][0] / pairs[-1][1]:.2f}",
            flush=True,
        )
    first, second = (statistics.median(values) for values in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"medians: {name} {first:,.4g}, {rival} {second:,.4g}, ratio {ratio:.2f}")


def seeds(rounds: int, steps: int) -> None:
    """Environment steps/s of 8 seeds side by side, summed, against those of one; the tuned settings of CartPole."""
    one_core()

    def rate(count: int) -> float:
        agent = built("dqn", "CartPole", seeds=count)
        while agent.time < agent.config.learning_starts:
            agent.step()
        start, before = time.perf_counter(), agent.time
        while agent.time < before + steps:
            agent.step()
        return float(count * (agent.time - before) / (time.perf_counter() - start))

    in_turn(rounds, eight=lambda: rate(8), one=lambda: rate(1))


def rainbow(rounds: int, updates: int) -> None:
    """Milliseconds of an update of Rainbow and of plain DQN, all else alike."""
    one_core()
    from rlgen.agents.presets import CARTPOLE

    plain = {**CARTPOLE, "double": False, "dueling": False}
    agents = {}
    for name, settings in (("rainbow", {}), ("dqn", {key: plain[key] for key in plain.keys() - PLAN})):
        agents[name] = built(name, "CartPole", **settings)
        while agents[name].time < 2_000:
            agents[name].collect()
    in_turn(rounds, **{name: lambda agent=agent: update_time(agent, updates) for name, agent in agents.items()})


def update_time(agent: Any, updates: int) -> float:
    """Milliseconds per gradient step."""
    start = time.perf_counter()
    for _ in range(max(1, updates // agent.config.gradient_steps)):
        agent.learn()
    return (
        1000
        * (time.perf_counter() - start)
        / (max(1, updates // agent.config.gradient_steps) * agent.config.gradient_steps)
    )


def pixels(rounds: int, updates: int) -> None:
    """Milliseconds of an update from 32 stacks of 84 x 84 images, ours and that of a bare loop of the same network."""
    import numpy as np
    import torch
    from torch import nn

    agent = built(
        "dqn", "Pong", n_step=1, double=False, batch=32, gradient_steps=1, buffer_size=2_000, learning_starts=0
    )
    while agent.time < 1_000:
        agent.collect()
    actions = agent.env.num_actions
    layers = (nn.Conv2d(4, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU())
    net, target = (
        nn.Sequential(*layers, nn.Flatten(), nn.Linear(3136, 512), nn.ReLU(), nn.Linear(512, actions)) for _ in range(2)
    )
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4, fused=True)
    ring, rng = np.random.default_rng(0).integers(0, 255, (2_000, 4, 84, 84), np.uint8), np.random.default_rng(1)

    def bare() -> float:
        start = time.perf_counter()
        for _ in range(updates):
            at = rng.integers(1_999, size=32)
            obs, next_obs = (torch.from_numpy(ring[i]).float() / 255 for i in (at, at + 1))
            action, reward = torch.from_numpy(rng.integers(actions, size=32)), torch.zeros(32)
            with torch.no_grad():
                y = reward + 0.99 * target(next_obs).amax(1)
            loss = nn.functional.smooth_l1_loss(net(obs).gather(1, action[:, None])[:, 0], y)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 10)
            optimizer.step()
        return 1000 * (time.perf_counter() - start) / updates

    in_turn(rounds, rlgen=lambda: update_time(agent, updates), bare=bare)


def atari(rounds: int, steps: int) -> None:
    """Environment steps/s of 8 games of Pong with random actions and no gradient steps: those of an agent, which stores
    them in its replay buffer, and those of a bare AtariVectorEnv of 8 games with the same preprocessing."""
    import numpy as np
    from ale_py import AtariVectorEnv

    agent = built("dqn", "Pong", epsilon_end=1.0, buffer_size=20_000)
    rng, games = np.random.default_rng(0), agent.config.num_envs
    bare = AtariVectorEnv(
        game="pong", num_envs=games, repeat_action_probability=0.25, noop_max=30, frameskip=4, stack_num=4, maxpool=True
    )
    bare.reset(seed=np.arange(games))
    calls = steps // agent.config.train_freq

    def rate(step: Callable[[], object], steps_each: int, count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            step()
        return count * steps_each / (time.perf_counter() - start)

    def step() -> None:
        bare.step(rng.integers(agent.env.num_actions, size=games))

    in_turn(
        rounds,
        rlgen=lambda: rate(agent.collect, agent.config.train_freq, calls),
        bare=lambda: rate(step, games, calls * agent.config.train_freq // games),
    )


def built(algorithm: str, task: str, **settings: Any) -> Any:
    """An agent with its tuned settings, those given replaced."""
    from rlgen import catalog, envs
    from rlgen.core.config import resolve
    from rlgen.core.settings import Setup

    entry = catalog.find(algorithm)
    config = resolve(entry.config, *entry.presets(task, envs.resolve(task)), settings)
    return entry.algorithm(task, config, Setup(seed=0))


def overhead(rounds: int) -> None:
    """Seconds a run of the preset spends outside its steps, evaluations apart: in `fit`, the log, the checkpoints.

    Both are taken in the same run: two runs differ by more than what is sought.
    """
    from rlgen.core.fit import fit
    from rlgen.session import prepare

    one_core()
    shares = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as runs:
            given = {"budget": 10_000}
            session = prepare("dqn", "CartPole", given, runs=Path(runs))
            step, inside = session.algorithm.step, 0.0

            def timed() -> Any:
                nonlocal inside
                start = time.perf_counter()
                metrics = step()  # noqa: B023  called in this round alone
                inside += time.perf_counter() - start
                return metrics

            session.algorithm.step = timed  # type: ignore[method-assign]
            scores = itertools.count()  # each evaluation the best so far, and so saved: the worst case
            session.algorithm.evaluate = lambda s=scores: {"eval_return": float(next(s))}  # type: ignore[method-assign]
            with session.run:
                start = time.perf_counter()
                fit(session.algorithm, session.run, session.plan)
                whole = time.perf_counter() - start
        shares.append((whole - inside) / inside)
        print(f"steps {inside:.2f} s, the rest {1000 * (whole - inside):.0f} ms, {100 * shares[-1]:.2f} %", flush=True)
    print(f"median overhead of fit and Run: {100 * statistics.median(shares):.2f} %")


def startup(rounds: int) -> None:
    """Wall-clock seconds of commands that look and do not train."""
    command = str(Path(sys.executable).with_name("rlgen"))
    for words in (["--help"], ["runs"], ["dqn", "--help"]):
        seconds = []
        for _ in range(rounds):
            start = time.perf_counter()
            subprocess.run([command, *words], check=True, capture_output=True)
            seconds.append(time.perf_counter() - start)
        print(f"rlgen {' '.join(words):<12} median {statistics.median(seconds):.3f} s, best {min(seconds):.3f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["peer", "seeds", "rainbow", "pixels", "atari", "overhead", "startup"])
    parser.add_argument("--task", choices=ZOO, default="CartPole")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8_000)
    parser.add_argument("--updates", type=int, default=128)
    parser.add_argument("--peer", default="peers/bin/python")
    given = parser.parse_args()
    {
        "peer": lambda: peer(given.peer, given.task, given.steps, given.rounds),
        "seeds": lambda: seeds(given.rounds, given.steps),
        "rainbow": lambda: rainbow(given.rounds, given.updates),
        "pixels": lambda: pixels(given.rounds, given.updates),
        "atari": lambda: atari(given.rounds, given.steps),
        "overhead": lambda: overhead(given.rounds),
        "startup": lambda: startup(given.rounds),
    }[given.what]()
