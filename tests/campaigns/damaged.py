"""Files of runs are flipped, cut or deleted: `python tests/campaigns/damaged.py [--seed 0] [--count 1000]`.

`rlgen verify` notices each, a whole checkpoint is loaded or none, and of a log the damaged lines alone are lost.
"""

import argparse
import hashlib
import logging
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg"}  # before torch is imported
sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout of this file

import torch

from rlgen import preparation, session, verify
from rlgen.core import checkpoint, labels, logs, portraits
from rlgen.core.errors import UserError
from rlgen.core.folder import Folder
from rlgen.core.ring import Ring
from rlgen.core.run import Run
from tests.cases import CASES

VICTIMS = ("dqn with everything", "gan", "classify", "qlearning")
UNDAMAGED = ("run.lock",)  # holds nothing
KINDS = ("flip", "flip", "cut", "delete", "remove")
UNUSED = "labels.json"  # of which a deletion removes a note, as the user may


@dataclass
class Original:
    """A finished run, and what its undamaged parts hold."""

    directory: Path
    algorithm: Any
    states: dict[int, str] = field(default_factory=dict)  # time of each checkpoint -> digest of the state in it
    weights: dict[int, str] = field(default_factory=dict)  # the same of the weights alone
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # of each log

    @classmethod
    def train(cls, case: str, runs: Path) -> "Original":
        """Train a case of `tests.cases` in two parts, so that its log was cut once."""
        algorithm, task, settings = CASES[case]
        half = {**settings, "budget": settings["budget"] // 2}
        directory = session.prepare(algorithm, task, half, runs=runs, name=case.replace(" ", "-")).run.directory
        for budget in (half["budget"] + 1, settings["budget"]):
            opened = session.reopen(Folder(directory), {"budget": budget})
            opened.train(quiet=True)
        labels.write_note(directory, "a note")
        original = cls(directory, opened.algorithm)
        for folder in checkpoint.newest_first(directory / "checkpoints"):
            saved = checkpoint.load(folder)
            del saved["run"]
            original.algorithm.load_state_dict(saved)
            original.states[int(folder.name)] = digest(original.algorithm.state_dict())
            original.weights[int(folder.name)] = digest(original.algorithm.learned_dict())
        original.rows = {name: Folder(directory).rows(name) for name in logs.WRITTEN}
        return original


@dataclass(frozen=True)
class Damage:
    """What is done to a file of a run, by its path in the folder."""

    path: str
    kind: str  # flip, cut, delete, or remove: its folder
    place: int = 0  # byte
    bit: int = 0

    @classmethod
    def draw(cls, directory: Path, chance: random.Random) -> "Damage":
        """Damage to any file of a run; to each of its logs as often as to all of its checkpoints."""
        files = sorted(path for path in directory.rglob("*") if path.is_file() and path.name not in UNDAMAGED)
        parts = [[path] for path in files if path.parent == directory]
        folders = sorted({path.relative_to(directory).parts[0] for path in files if path.parent != directory})
        parts += [[path for path in files if path.is_relative_to(directory / folder)] for folder in folders]
        path = chance.choice(chance.choice(parts))
        size, kind = path.stat().st_size, chance.choice(KINDS)
        if path.name == UNUSED and kind in ("delete", "remove"):
            kind = "flip"
        name = path.relative_to(directory).as_posix()
        return cls(name, kind, chance.randrange(max(1, size)), chance.randrange(8)) if size else cls(name, "delete")

    def do(self, directory: Path) -> None:
        """Damage the file."""
        path = directory / self.path
        if self.kind == "remove" and path.parent != directory:
            shutil.rmtree(path.parent)
            return
        content = bytearray(path.read_bytes())
        path.unlink()  # checkpoints may share it
        if self.kind == "flip":
            content[self.place] ^= 1 << self.bit
        if self.kind in ("flip", "cut"):
            path.write_bytes(content if self.kind == "flip" else content[: self.place])


def digest(state: Any) -> str:
    """Of every tensor and number in a state."""
    found = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            found.update(value.detach().cpu().numpy().tobytes())
        elif isinstance(value, Ring):
            rows = [number % value.capacity for number in range(value.first, value.end)]
            add({name: torch.as_tensor(column)[rows] for name, column in value.columns.items()})
        elif isinstance(value, dict):
            for key, item in value.items():
                found.update(str(key).encode())
                add(item)
        elif isinstance(value, list | tuple):
            for item in value:
                add(item)
        elif isinstance(value, bool | int | float | str) or value is None:
            found.update(repr(value).encode())

    add(state)
    return found.hexdigest()


def failures(original: Original, damage: Damage, directory: Path) -> Iterator[str]:
    """What is wrong after `damage` to the run in `directory`, a copy of `original`."""
    damage.do(directory)
    whole = {name: _whole(directory / name) for name in logs.WRITTEN}
    if verify.verify(directory).whole:
        yield "verify does not notice it"
    if damage.path == "run.json":
        yield from _repaired(directory, original)
    try:
        preparation.saved_settings(Folder(directory))
        Run(directory).load(original.algorithm)
        if digest(original.algorithm.learned_dict()) != original.weights.get(original.algorithm.time):
            yield "eval loaded what no checkpoint holds"
    except UserError:
        pass
    if damage.path.startswith("portraits/"):
        try:
            time = int(damage.path.split("/")[1])
            if portraits.nearest(directory, time) == time:
                Run(directory).load(original.algorithm, at=time)
                yield "a damaged portrait is loaded"
        except UserError:
            pass
    with Run(directory) as run:
        run.resume(original.algorithm)
    if digest(original.algorithm.state_dict()) != original.states.get(original.algorithm.time):
        yield "resume loaded what no checkpoint holds"
    for name, rows in original.rows.items():
        expected = [row for row in rows if row["time"] <= original.algorithm.time]
        found = Folder(directory).rows(name)
        kept = [row for row in expected if row in whole[name]] if name == damage.path else expected
        if found != kept:
            yield f"{name} has {len(found)} of {len(kept)} rows"
        if name == damage.path and damage.kind == "flip" and len(expected) - len(kept) > 1:
            yield f"{len(expected) - len(kept)} lines of {name} lost by one byte"


def _repaired(directory: Path, original: Original) -> Iterator[str]:
    """What is wrong after the repair of run.json."""
    verify.repair(directory)
    if not (report := verify.verify(directory)).whole:
        yield f"not whole after --repair: {report.damages[0]}"
    config = "config", "setup", "task"
    infos = [Folder(path).info for path in (directory, original.directory)]
    if any(infos[0][name] != infos[1][name] for name in config):
        yield "other settings after --repair"


def _whole(path: Path) -> list[dict[str, Any]]:
    """The rows of the undamaged lines of a log."""
    return logs.read(path).rows if path.exists() else []


def campaign(seed: int, count: int, work: Path, names: tuple[str, ...] = VICTIMS) -> tuple[int, list[str]]:
    """Damage runs `count` times; returns how often, and a line for each failure."""
    logging.getLogger("rlgen").addHandler(logging.NullHandler())  # warnings of each loss
    originals = [Original.train(name, work / "runs") for name in names]
    lost = [f"{o.directory.name} is not whole: {d}" for o in originals for d in verify.verify(o.directory).damages]
    done: Counter[str] = Counter()
    for number in range(count):
        chance = random.Random(f"{seed} {number}")
        original = originals[number % len(originals)]
        damage, directory = Damage.draw(original.directory, chance), work / "copy"
        shutil.copytree(original.directory, directory)
        try:
            wrong = list(failures(original, damage, directory))
        except Exception as error:
            wrong = [f"{type(error).__name__}: {error}"]
        lost += [f"seed {seed}, try {number}, {original.directory.name}, {damage}: {text}" for text in wrong]
        done[damage.kind] += 1
        shutil.rmtree(directory)
    return done.total(), lost


def main() -> int:
    """Run the campaign from the command line."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--count", type=int, default=1_000)
    given = words.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as work:
        tries, lost = campaign(given.seed, given.count, Path(work))
    print(*lost, sep="\n", end="\n" if lost else "")
    wrong = len({line.split(",")[1] for line in lost})
    print(f"damaged: {tries} tries, {tries - wrong} survived, {wrong} lost")
    return int(bool(lost))


if __name__ == "__main__":
    sys.exit(main())
