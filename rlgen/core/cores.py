"""CPU cores of this process, and their division among processes side by side. Imports no torch.

Control groups (containers, SLURM, systemd): https://docs.kernel.org/admin-guide/cgroup-v2.html, `cpu.max`, and
https://docs.kernel.org/scheduler/sched-bwc.html, `cpu.cfs_quota_us`.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")  # of the system's files
VARIABLE = "OMP_NUM_THREADS"


def available() -> int:
    """Number of CPU cores that this process may use: by its affinity and by the quotas of its control groups.

    Of a quota of 1.5 cores that is 1: threads that wait for each other would all wait for the one without a core.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(affinity, math.floor(min(quota(ROOT), affinity))))


def threads() -> int:
    """Threads for a process alone: OMP_NUM_THREADS where it is set, else one per available core."""
    return _typed() or available()


def share(workers: int) -> int:
    """Threads for each of `workers` processes side by side, 1 or more; OMP_NUM_THREADS is their upper bound.

    All have the same number, since results are rounded by it: that of a run does not depend on who trained it.
    """
    equal = max(1, available() // workers)
    return min(equal, _typed() or equal)


def environment(workers: int) -> dict[str, str]:
    """The environment variables of each of `workers` processes side by side: `threads` is `share` in them."""
    return {**os.environ, VARIABLE: str(share(workers))}


def quota(root: Path) -> float:
    """Cores by the least quota of the control groups of this process and those above; infinity without any.

    `root` is the folder that holds `proc` and `sys`.
    """
    try:
        return min((cores for group in _groups(root) for cores in _quotas(group)), default=math.inf)
    except ValueError:  # files of another form than the kernel documents
        return math.inf


def _typed() -> int:
    """The first number of OMP_NUM_THREADS, that of the outermost level; 0 where it is not a positive number."""
    first = os.environ.get(VARIABLE, "").split(",")[0].strip()
    return int(first) if first.isascii() and first.isdecimal() else 0


def _groups(root: Path) -> Iterator[Path]:
    """Folders of the control groups of this process that may limit its CPU time, with those above them."""
    paths: dict[str, str] = {}  # by controller, "" being version 2
    for line in _lines(root / "proc/self/cgroup"):  # 4:cpu,cpuacct:/docker/1a2b
        _, controllers, path = line.split(":", 2)
        paths |= dict.fromkeys(controllers.split(","), path)
    for line in _lines(root / "proc/self/mountinfo"):  # 32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
        mount, _, system = line.partition(" - ")
        (top, place), (kind, _, options) = mount.split()[3:5], system.split()[:3]
        controller = "" if kind == "cgroup2" else "cpu"
        if not kind.startswith("cgroup") or controller not in ("", *options.split(",")) or controller not in paths:
            continue
        own, folder = PurePosixPath(paths[controller]), root / place.lstrip("/")
        inner = own.relative_to(top) if own.is_relative_to(top) and ".." not in own.parts else PurePosixPath()
        yield from (folder / each for each in (inner, *inner.parents))


def _quotas(group: Path) -> Iterator[float]:
    """The limit of a control group in cores, if there is one: CPU time per period of the clock."""
    for line in _lines(group / "cpu.max"):  # version 2: `150000 100000`, or `max 100000`
        limit, period = line.split()
        if limit != "max":
            yield int(limit) / int(period)
    limits, periods = (_lines(group / f"cpu.cfs_{name}_us") for name in ("quota", "period"))  # version 1
    for limit, period in zip(limits, periods, strict=False):
        if int(limit) > 0:  # -1: none
            yield int(limit) / int(period)


def _lines(path: Path) -> list[str]:
    """Lines of a file of the system, none where it cannot be read."""
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
