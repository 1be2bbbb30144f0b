"""Findings about a run: its state, its files, and those of its kind of algorithm."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from rlgen import preparation, provenance
from rlgen.core import logs
from rlgen.core.description import logged
from rlgen.core.errors import UserError
from rlgen.core.findings import Finding, Record
from rlgen.core.folder import Folder

EVALUATIONS = 5  # after the untrained one; fewer are too few for a curve
STOPPED = {"interrupted": "stopped before its end", "stale": "its process died", "failed": "it stopped with an error"}


def findings(folder: Folder, weights: bool = True, trust: bool = False) -> list[Finding]:
    """Findings about the run; with `weights` its newest checkpoint is loaded. Raises UserError for a foreign folder.

    With `trust` the module of its environment may be imported.
    """
    entry = preparation.entry_of(folder)
    try:
        record = Record.of(folder)
        found = [*_state(record, folder), *_files(folder), *_evaluations(record)]
        algorithm, failed = _load(folder, trust) if weights else (None, [])
        module: Any = import_module(f"{entry.kind.package}.{entry.kind.findings}")
        return [*found, *failed, *module.findings(record, algorithm)]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{folder.name}: its run.json or log is not of this rlgen ({error!r})") from None


def _state(record: Record, folder: Folder) -> Iterator[Finding]:
    status, reached, info = folder.status, record.info["time"], record.info
    share = reached / info["plan"]["budget"]
    if status == "diverged":
        rate = float(record.config.get("lr", 1e-3)) / 3
        text = f"the training diverged after {reached:,}: {info.get('error')}"
        yield Finding("diverged", "problem", text, reached, f"{record.again} --lr {rate:.2g}")
    elif status in STOPPED:
        text = f"{STOPPED[status]}, at {share:.0%} of its budget"
        yield Finding("not finished", "problem", text, share, f"rlgen resume {record.run}")
    now = {name: version for name, version in provenance.versions().items() if name != "rlgen"}
    other = {n: v for n, v in (info.get("versions") or {}).items() if n in now and now[n] != v}
    if other:
        text = "trained with " + ", ".join(f"{name} {version}, now {now[name]}" for name, version in other.items())
        text += ": a resume is not exact to the bit"
        yield Finding("other versions", "note", text, len(other))


def _files(folder: Folder) -> Iterator[Finding]:
    from rlgen.core import checkpoint
    from rlgen.core.errors import CheckpointError

    again = f"rlgen resume {folder.directory}"
    checkpoints = checkpoint.newest_first(folder.directory / "checkpoints")
    digests: dict[tuple[int, ...], str] = {}  # of files, which checkpoints share
    for path in checkpoints:
        try:
            checkpoint.verify(path, digests=digests)
        except CheckpointError as error:
            yield Finding("damaged checkpoint", "problem", str(error), int(path.name), again)
    if not checkpoints and not folder.locked():
        yield Finding("no checkpoint", "problem", "there is no checkpoint to load or to resume from", 0, again)
    for name in logs.WRITTEN:
        log = folder.log(name)
        if lost := max(len(log.damaged), log.lost(logged(folder.info, name))):
            text = f"{lost:,} line{'s' * (lost > 1)} of {name} damaged or missing"
            yield Finding("damaged log", "problem", text, lost, f"rlgen verify {folder.directory}")


def _evaluations(record: Record) -> Iterator[Finding]:
    times = {time for name, points in record.series.items() if name.startswith("eval_") for time, _ in points if time}
    if len(times) < EVALUATIONS:
        every = max(1, record.info["plan"]["budget"] // (2 * EVALUATIONS))
        text = f"{len(times)} evaluation{'s' * (len(times) != 1)}: too few to separate a trend from chance"
        yield Finding("too few evaluations", "note", text, len(times), f"{record.again} --eval-every {every}")


def _load(folder: Folder, trust: bool) -> tuple[Any, list[Finding]]:
    """The trained algorithm, or the finding that it cannot be loaded."""
    from rlgen import session

    try:
        return session.restore(folder, trust=trust, experience=True), []
    except UserError as error:
        return None, [Finding("cannot be loaded", "problem", str(error), 0)]
