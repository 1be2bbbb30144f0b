"""A run folder, checked part by part."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlgen.core import description, files, inventory, seal, studies
from rlgen.core.errors import CheckpointError, UserError
from rlgen.core.folder import Folder
from rlgen.verify import checkpoints, logs, pictures
from rlgen.verify.damage import Damage

UNENDED = ("created", "running")  # states of a run in training, and of one that was killed


@dataclass(frozen=True)
class Report:
    """What was found in the folder of a run."""

    directory: Path
    damages: list[Damage]
    trained: bool = False  # whether a process trains it now: only what does not change is checked

    @property
    def whole(self) -> bool:
        """Whether nothing is damaged or missing."""
        return not self.damages


def verify(directory: Path) -> Report:
    """Check everything in the folder of a run; nothing is changed, and no code of the run is imported.

    Of a study its study.json is checked: its runs are checked one by one.
    """
    if studies.is_study(directory):
        return Report(directory, list(_study(directory)))
    trained = Folder(directory).locked()
    damages: dict[str, Damage] = {}
    for damage in _damages(directory, trained):
        damages.setdefault(damage.part, damage)  # the first says most
    return Report(directory, list(damages.values()), trained)


def repair(directory: Path) -> bool:
    """Put the copy in the place of a damaged run.json; returns whether that was needed. Raises CheckpointError."""
    try:
        description.read(directory, sealed=True)
        return False
    except UserError:
        pass
    try:
        info, _ = inventory.read(directory)
    except FileNotFoundError:
        raise CheckpointError(f"{directory} has no copy of its run.json: it cannot be repaired") from None
    description.write(directory, info)
    return True


def _damages(directory: Path, trained: bool) -> Iterator[Damage]:
    try:
        files.refuse_links(directory)
    except OSError as error:
        yield Damage(".", str(error), "the rest of the folder")
    copy, found, damaged = _inventory(directory)
    yield from damaged
    info, more = _description(directory, copy)
    yield from more
    if "lines" in info and copy is None and not damaged and not trained:
        yield Damage(inventory.FILE, "is missing", "`rlgen resume` writes it again")
    ended = not trained and info.get("status") not in UNENDED
    yield from logs.check(directory, info, ended=ended)
    if not trained:  # a training deletes earlier ones
        yield from checkpoints.checkpoints(directory, info)
        yield from checkpoints.portraits(directory)
        yield from pictures.check(directory, found if ended else None)


def _study(directory: Path) -> Iterator[Damage]:
    try:
        content = files.read_bytes(directory / studies.FILE)
        files.parse(content)
        fault = "" if seal.is_intact(content) else "was changed after it was written"
    except (OSError, ValueError) as error:
        fault = f"cannot be read: {error}"
    if fault:
        yield Damage(studies.FILE, fault, "the runs of the study, which are checked one by one")


def _inventory(
    directory: Path,
) -> tuple[dict[str, Any] | None, Mapping[str, inventory.Entry] | None, list[Damage]]:
    """The copy of run.json and the files of a run, None without them, and damage to their file."""
    try:
        copy, found = inventory.read(directory)
        return copy, found, []
    except FileNotFoundError:
        return None, None, []
    except CheckpointError as error:
        return None, None, [Damage(inventory.FILE, str(error), "`rlgen resume` writes it again")]


def _description(directory: Path, copy: Mapping[str, Any] | None) -> tuple[Mapping[str, Any], list[Damage]]:
    """The content of run.json or of its copy, and damage to it."""
    saved = "its weights and its log" if copy is None else f"the copy: `rlgen verify {directory} --repair`"
    try:
        info = description.read(directory, sealed=True)
        wrong = description.fault(info)
    except UserError as error:
        info, wrong = dict(copy or {}), str(error)
    return info, [Damage(description.FILE, wrong, saved)] if wrong else []
