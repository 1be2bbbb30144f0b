"""Campaign: a checkpoint stalls the training briefly, writes what is new, and is read for acting without the rest.

Between two saves an agent acts at random and makes a gradient step. A try is of three saves in a row: other work of the
machine may hold up two of them, so the fastest counts. The bytes that are written are those of each.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

import rlgen
from rlgen.core import checkpoint
from rlgen.session import Session, prepare

ENDLESS = 10**9
SAVES = 3  # of a try


class Frames(gym.Env[Any, Any]):
    """Pictures of 84 x 84 bytes, in episodes of 1,000 steps."""

    observation_space = gym.spaces.Box(0, 255, (1, 84, 84), np.uint8)
    action_space = gym.spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.count = 0
        self.first = self.np_random.integers(0, 256, (1, 84, 84), np.uint8)
        return self.first.copy(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.count += 1
        return self.first + np.uint8(self.count % 256), float(action), self.count >= 1_000, False, {}


gym.register("CampaignFrames-v0", Frames)


@dataclass(frozen=True)
class Case:
    """A training whose saves are timed."""

    task: str
    settings: dict[str, Any]
    stored: int  # rows in the replay buffer before the first save
    new: int  # rows between two saves
    stall: float  # seconds that a save after the first may take
    written: int  # bytes that it may write
    tries: int
    read: float  # seconds that loading for acting may take


SMALL = Case("CartPole", {}, 20_000, 500, 0.030, 3_000_000, 50, 0.5)
FRAMES = Case(
    "CampaignFrames-v0",
    {"buffer_size": 100_000, "frame_stack": 4, "train_freq": 100},
    100_500, 10_000, 0.300, 100_000_000, 5, 1.0,
)  # fmt: skip
CASES = {"small": SMALL, "frames": FRAMES}


@dataclass
class Found:
    """What was measured."""

    stalls: list[float] = field(default_factory=list)  # seconds
    computing: list[float] = field(default_factory=list)  # seconds of all cores, without waiting for them or the disk
    first: float = 0.0  # seconds of the first save
    written: list[int] = field(default_factory=list)  # bytes of files that no earlier checkpoint holds
    held: int = 0  # bytes of a checkpoint
    act: float = 0.0  # seconds to load what acting needs
    all: float = 0.0  # seconds to load everything
    lost: list[str] = field(default_factory=list)


def measure(case: Case, seed: int, runs: Path) -> Found:
    """Times and bytes of the saves of one training, and times of loading it."""
    settings = {"learning_starts": ENDLESS, "epsilon_end": 1.0, "seed": seed, **case.settings}
    session = prepare("dqn", case.task, settings, runs=runs)
    agent: Any = session.algorithm
    found = Found()
    with session.run as run:
        run.resume(agent)
        _live(session, case.stored)
        run.best_time = agent.time + case.new  # three checkpoints are kept
        began = time.perf_counter()
        run.save(agent)
        found.first = time.perf_counter() - began
        known = _files(run.directory)
        for _ in range(SAVES * case.tries):
            _live(session, case.new)
            agent.learn()
            began, used = time.perf_counter(), time.process_time()
            run.save(agent)
            found.stalls.append(time.perf_counter() - began)
            found.computing.append(time.process_time() - used)
            files = _files(run.directory)
            found.written.append(sum(size for key, size in files.items() if key not in known))
            known = files
        newest = checkpoint.newest_first(run.directory / "checkpoints")[0]
        found.held = sum(path.stat().st_size for path in newest.iterdir())
        expected = agent.predict(agent.env.obs)[0]
        found.lost += [f"{p.name}: {why}" for p, why in _damaged(run.directory)]
    for name, options in (("act", {}), ("all", {"experience": True})):
        began = time.perf_counter()
        loaded = rlgen.load(run, **options)
        setattr(found, name, time.perf_counter() - began)
        if not np.array_equal(loaded.predict(agent.env.obs)[0], expected):
            found.lost.append(f"loaded to {name}, it acts differently")
        if loaded.replay.count != (agent.replay.count if options else 0):
            found.lost.append(f"loaded to {name}, its replay buffer has {loaded.replay.count:,} rows")
    return found


def failures(name: str, case: Case, found: Found) -> Iterator[str]:
    """One line for each try, and for each load, that is not as promised."""
    for number in range(case.tries):
        tried = slice(SAVES * number, SAVES * (number + 1))
        seconds, size = min(found.stalls[tried]), max(found.written[tried])
        if seconds > case.stall or size > case.written:
            yield (
                f"{name}, saves {tried.start} to {tried.stop - 1}: {1e3 * seconds:.0f} ms and {size:,} bytes, where"
                f" {1e3 * case.stall:.0f} ms and {case.written:,} are allowed"
            )
    yield from (f"{name}: {line}" for line in found.lost)
    if found.act > case.read:
        yield f"{name}: loading for acting took {found.act:.2f} s, {case.read:.2f} s allowed"


def summary(name: str, found: Found) -> str:
    """The measurements in one line."""
    stalls = sorted(1e3 * seconds for seconds in found.stalls)
    return (
        f"{name}: first save {1e3 * found.first:.0f} ms, later ones {statistics.median(stalls):.0f} ms in the median,"
        f" {stalls[-1]:.0f} ms at most, {1e3 * statistics.median(found.computing):.0f} ms of them computing;"
        f" {max(found.written) / 1e6:.1f} MB written of {found.held / 1e6:.1f} MB;"
        f" loaded in {found.act:.2f} s for acting, {found.all:.2f} s for training"
    )


def _live(session: Session, steps: int) -> None:
    """So many environment steps with random actions, and a row of the log."""
    agent: Any = session.algorithm
    until = agent.time + steps
    while agent.time < until:
        session.run.collect(agent.step())
    session.run.flush(agent.time)


def _files(directory: Path) -> dict[int, int]:
    """Bytes of each file of the checkpoints, by its number in the file system."""
    return {path.stat().st_ino: path.stat().st_size for path in directory.glob("checkpoints/*/*")}


def _damaged(directory: Path) -> Iterator[tuple[Path, str]]:
    for folder in checkpoint.newest_first(directory / "checkpoints"):
        try:
            checkpoint.verify(folder)
        except rlgen.UserError as error:
            yield folder, str(error)


def main() -> int:
    """Run the campaign; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=None, help="of tries of each agent; by default 50 and 5")
    parser.add_argument("--runs", type=Path, default=None, help="folder to work in; its disk is what is measured")
    options = parser.parse_args()
    tries, lost = 0, 0
    for name, case in CASES.items():
        case = replace(case, tries=options.count or case.tries)
        with tempfile.TemporaryDirectory(dir=options.runs) as folder:
            found = measure(case, options.seed, Path(folder))
        wrong = list(failures(name, case, found))
        print(*wrong, summary(name, found), sep="\n", flush=True)
        tries, lost = tries + case.tries + 1, lost + min(len(wrong), case.tries + 1)
    print(f"cheap: {tries} tries, {tries - lost} survived, {lost} lost")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
