"""Full, read-only or lost disks: `python tests/campaigns/full_disk.py --seed 0 --count 400`.

A command is forked, and its disk fails at one operation: at every one in turn with `--count 0`. It must end with exit
code 0 or 7 and one line, leave no partial file and no damaged checkpoint; a training continues where the disk is
whole again, and ends with the same log and weights as one without a fault.
"""

import argparse
import fcntl
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

import torch

from rlgen.core import checkpoint
from rlgen.core.errors import CheckpointError, UserError
from rlgen.core.folder import Folder
from tests.campaigns.disk_commands import SCENARIOS, TRAIN
from tests.campaigns.failing_disk import Counter, Disk
from tests.campaigns.outcomes import differences, digests

LIMITS = {"limit": (1, 50, 200, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)}  # bytes of a file
ROOM = (0, 4, 8, 12, 20, 40, 80, 160, 400)  # KiB free on a small disk, which meets writers in other languages, too
SECONDS = 120.0  # of a command, at most


def fork(words, root, *, disk=None, limit=0, patch=None, draw=True):
    """The exit code of a command line in the folder `root` and its output; -1 after `SECONDS`."""
    reader, writer = os.pipe()  # a file would be subject to the limit
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 1 << 20)
    child = os.fork()
    if not child:
        try:
            os._exit(_command(words, root, writer, disk, limit, patch, draw))
        finally:
            os._exit(99)
    os.close(writer)
    deadline = time.monotonic() + SECONDS
    while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < deadline:
        time.sleep(0.005)
    if not ended[0]:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as file:
        output = file.read().decode(errors="replace")
    return os.waitstatus_to_exitcode(ended[1]) if ended[0] else -1, output


def _command(words, root, output, disk, limit, patch, draw):
    """In the forked process: run the command line; returns its exit code."""
    from rlgen import session
    from rlgen.cli.main import main
    from rlgen.data import idx

    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    os.chdir(root)
    os.environ.update(RLGEN_OFFLINE="1", COLUMNS="200")
    idx.cache = lambda: root / "cache"
    if patch:
        patch()
    if not draw:
        session.Session.draw = session.Session.draw_curves = lambda self: None
        session.Session.draw_report = lambda self, report: None
    sys.argv = ["rlgen", *words]
    if disk:
        disk.install()
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    code = 0
    try:
        main()
    except SystemExit as exit_:
        code = exit_.code or 0
    except BaseException:
        traceback.print_exc()
        code = 98
    sys.stdout.flush()
    sys.stderr.flush()
    return code


class Campaign:
    """Commands on failing disks, in folders below `work`."""

    def __init__(self, work):
        self.work = Path(work)
        self.references, self.points = {}, {}

    def prepared(self, name):
        """A folder with a finished run, trained once."""
        root = self.work / f"prepared-{name}"
        if not root.exists():
            root.mkdir()
            code, output = fork(SCENARIOS[name].words, root)
            assert code == 0, output
        return root

    def root(self, name, number, room=None):
        """A new folder for a scenario; with `room` on a disk of its own, on which so many KiB are free."""
        root, prepared = self.work / f"{name}-{number}", SCENARIOS[name].prepared
        root.mkdir()
        if room is not None:
            used = (
                sum(4 + path.stat().st_size // 1024 for path in self.prepared(prepared).rglob("*")) if prepared else 0
            )
            mount(root, used + room)
        if prepared:
            shutil.copytree(self.prepared(prepared), root, symlinks=True, dirs_exist_ok=True)
        return root

    def count(self, name):
        """The operations of a scenario on a whole disk. What a training ends with is kept as its reference."""
        if name not in self.points:
            root, counter = self.root(name, "reference"), Counter()
            code, output = fork(
                SCENARIOS[name].words, root, disk=Disk(root, counter=counter), patch=SCENARIOS[name].patch
            )
            assert code == 0, f"{name}: {output}"
            self.points[name] = counter.value
            if name in TRAIN:
                self.references[name] = outcome(root)
            shutil.rmtree(root)
        return self.points[name]

    def cases(self, names=tuple(SCENARIOS)):
        """Every case: scenario, fault, and the operation, or the bytes of a file, where it occurs."""
        for name in names:
            for fault in SCENARIOS[name].faults:
                for at in LIMITS.get(fault) or range(1, self.count(name) + 1):
                    yield name, fault, at
            for at in ROOM if mountable() else ():
                yield name, "small", at

    def attempt(self, name, fault, at):
        """What is wrong after a command on a disk that fails; nothing where it survived."""
        scenario, root = SCENARIOS[name], self.root(name, f"{fault}-{at}", at if fault == "small" else None)
        self.count(name)
        before = {path.name for path in (root / "runs").glob("*")}
        if fault in ("limit", "small"):
            code, output = fork(scenario.words, root, limit=at if fault == "limit" else 0, patch=scenario.patch)
            root = self._whole(root) if fault == "small" else root
        else:
            disk = Disk(root, fault, at, victim=lambda: newest(root))
            code, output = fork(scenario.words, root, disk=disk, patch=scenario.patch)
        found = [*ended(fault, code, output), *left_behind(root, fault, before)]
        if not found and name in TRAIN and fault != "lost":
            found = self._continued(name, root, fault, before)
        if found:
            return [*found, *output.splitlines()[-3:]]
        shutil.rmtree(root)
        return []

    def _whole(self, root):
        """What a small disk holds, on a larger one."""
        shutil.copytree(root, copy := root.with_name(f"{root.name}-copy"), symlinks=True)
        subprocess.run(["umount", root], check=True)
        root.rmdir()
        return copy.rename(root)

    def _continued(self, name, root, fault, before):
        """What is wrong after the training is continued on a whole disk."""
        folder = next((run for run in runs(root) if name == "resume" or run.name not in before), None)
        if folder is None or not (folder.directory / "run.json").exists():
            return ["the run is gone"] if name == "resume" else []
        if folder.status != "finished" or folder.info["time"] < self.references[name]["time"]:
            words = ["resume", str(folder.directory)]
            reached = checkpoint.newest_first(folder.directory / "checkpoints")
            if name == "resume" and int(reached[0].name) < self.references[name]["time"]:
                words += SCENARIOS[name].words[1:]  # its larger budget
            code, output = fork(words, root, draw=False)
            if code:
                return [f"resume ends with exit code {code}: {output.splitlines()[-1:]}"]
        return [f"{part} differs" for part in differences(outcome(root), self.references[name])]


def ended(fault, code, output):
    """What is wrong with the end of the command."""
    if code not in (0, 7, *((2, 4) if fault == "lost" else ())):
        yield f"exit code {code}"
    if "Traceback" in output or "fault of rlgen" in output:
        yield "a traceback, or a fault of rlgen"
    lines = [line for line in output.splitlines() if line.startswith("error: ")]
    if len(lines) != (code != 0):
        yield f"{len(lines)} lines of error"


def mountable():
    """Whether this process may mount a disk."""
    return sys.platform == "linux" and os.geteuid() == 0 and shutil.which("mount") is not None


def mount(root, size):
    """Mount a disk of `size` KiB."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={max(size, 4)}k", "none", root], check=True)


def runs(root):
    """The runs in a folder."""
    return [Folder(path.parent) for path in (root / "runs").glob("*/run.json")]


def newest(root):
    """The folder of the latest run, or of all."""
    paths = sorted((root / "runs").glob("*"), key=lambda path: path.stat().st_mtime)
    return paths[-1] if paths else root / "runs"


def outcome(root):
    """Logs and weights of the only run in a folder."""
    (folder,) = runs(root)
    checkpoints = checkpoint.newest_first(folder.directory / "checkpoints")
    state = checkpoint.load(checkpoints[0]) if checkpoints else {}
    state.pop("run", None)  # scores of checkpoints that could not be written, and the clock
    found = {"time": folder.info["time"]}
    digests("state", state, found)
    for path in folder.directory.glob("*.jsonl"):
        if path.name != "timing.jsonl":
            found[path.name] = path.read_text()
    return found


def left_behind(root, fault, before):
    """Partial files, damaged checkpoints, runs that came back, and runs that seem to be trained still."""
    if fault != "read-only":
        yield from (f"{path.name} is left" for path in root.rglob("*") if path.name.startswith(".partial"))
    for folder in runs(root):
        checkpoints = checkpoint.newest_first(folder.directory / "checkpoints")
        if folder.name in before and not checkpoints:
            yield "the checkpoints are gone"
        for path in checkpoints:
            try:
                checkpoint.verify(path)
            except CheckpointError as error:
                yield str(error)
        try:
            if folder.locked():
                yield "a lock is held"
            if fault == "once" and folder.info["status"] == "running":
                yield "status running"
        except UserError as error:
            yield str(error)
    for path in root.with_name(f"{root.name}.lost").glob("*"):
        if (root / "runs" / path.name).exists():
            yield f"{path.name} came back"


def main():
    """Run the campaign; exit code 1 where anything is lost."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--count", type=int, default=400, help="cases, spread over scenarios and faults; 0: all")
    options.add_argument("--only", default="", help="SCENARIO, or SCENARIO:FAULT, or SCENARIO:FAULT:NUMBER")
    given = options.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    lost = tries = 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as work:
        campaign = Campaign(work)
        only = given.only.split(":") if given.only else []
        cases = [
            case for case in campaign.cases(tuple(only[:1]) or tuple(SCENARIOS))
            if [str(part) for part in case][: len(only)] == only
        ]  # fmt: skip
        if given.count and given.count < len(cases):
            cases = random.Random(given.seed).sample(cases, given.count)
        for case in cases:
            tries += 1
            if found := campaign.attempt(*case):
                lost += 1
                print(f"{':'.join(map(str, case))} (seed {given.seed}): {'; '.join(found)}", flush=True)
    print(f"full_disk: {tries} tries, {tries - lost} survived, {lost} lost")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
