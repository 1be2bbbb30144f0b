"""Small faults, each with the test file that must notice it: `python tests/mutations.py` reports those that survive.

Every fault is applied alone, in a copy of the checkout, and its test file is run there. A fault survives if that file
still passes. `tests/faults/*.toml` hold the faults, a file per room; run on demand, not in CI.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).parents[1]
FAULTS = Path(__file__).parent / "faults"
SECONDS, MEMORY = 900, 8 * 2**30  # of one test file: a fault may be a loop without an end
IGNORED = shutil.ignore_patterns(".git", "runs", "__pycache__", ".*_cache", "build", "dist")


@dataclass(frozen=True)
class Mutation:
    """One fault: `old`, found exactly once in `file`, becomes `new`; `test` must then fail."""

    room: str
    file: str
    old: str
    new: str
    test: str

    def apply(self, root: Path) -> str:
        """Write the fault into the copy `root`; returns the text of the file before it."""
        text = (root / self.file).read_text()
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file} holds {text.count(self.old)} times, not once: {self.old!r}")
        (root / self.file).write_text(text.replace(self.old, self.new))
        return text

    def survives(self, root: Path) -> bool:
        """Whether the test passes in the copy `root` with the fault applied; the copy is restored."""
        text = self.apply(root)
        try:
            return run(root, self.test) == 0
        finally:
            (root / self.file).write_text(text)


def load(pattern: str = "") -> list[Mutation]:
    """All faults of the rooms, or those with `pattern` in their room, file, text or test."""
    faults = [
        Mutation(path.stem, **fault)
        for path in sorted(FAULTS.glob("*.toml"))
        for fault in tomllib.loads(path.read_text())["mutation"]
    ]
    return [fault for fault in faults if any(pattern in value for value in vars(fault).values())]


def run(root: Path, test: str) -> int:
    """Exit code of pytest for a test file, slow tests too, to its first failure, with `MEMORY` and `SECONDS`."""
    options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-m", "not very_slow"]
    command = [sys.executable, "-m", "pytest", *options, test]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    try:
        limited = partial(resource.setrlimit, resource.RLIMIT_AS, (MEMORY, MEMORY))
        done = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, timeout=SECONDS, preexec_fn=limited
        )
    except subprocess.TimeoutExpired:
        return 124
    return done.returncode


def main() -> int:
    """Apply every fault; exit code 1 if one survives or a test file fails without a fault."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("pattern", nargs="?", default="", help="only faults with this text in them")
    options.add_argument("--jobs", type=int, default=2, help="copies of the checkout tested side by side")
    options.add_argument("--list", action="store_true", help="list the faults and check that each can be applied")
    given = options.parse_args()
    faults = load(given.pattern)
    with tempfile.TemporaryDirectory() as folder:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(1 if given.list else given.jobs):
            copies.put(Path(shutil.copytree(ROOT, Path(folder) / str(number), ignore=IGNORED)))
        if given.list:
            root, stale = copies.get(), 0
            for fault in faults:
                print(f"{fault.room}  {fault.file}  {fault.test}\n  - {fault.old!r}\n  + {fault.new!r}")
                try:
                    (root / fault.file).write_text(fault.apply(root))
                except (OSError, ValueError) as error:
                    stale += 1
                    print(f"  does not apply: {error}")
            print(f"{len(faults)} faults, {stale} of them do not apply")
            return 1 if stale else 0

        def attempt(fault: Mutation | str) -> bool:
            root = copies.get()
            try:
                return run(root, fault) != 0 if isinstance(fault, str) else fault.survives(root)
            finally:
                copies.put(root)

        with ThreadPoolExecutor(given.jobs) as workers:
            tests = sorted({fault.test for fault in faults})
            broken = [test for test, bad in zip(tests, workers.map(attempt, tests), strict=True) if bad]
            for test in broken:
                print(f"fails without a fault: {test}")
            survivors = 0
            for fault, survived in zip(faults, workers.map(attempt, faults), strict=True):
                survivors += survived
                print(
                    f"{'SURVIVED' if survived else 'noticed '}  {fault.file}: {fault.old!r} -> {fault.new!r}",
                    flush=True,
                )
    print(f"{len(faults)} faults, {survivors} survived, {len(broken)} test files fail without a fault")
    return 1 if survivors or broken else 0


if __name__ == "__main__":
    sys.exit(main())
