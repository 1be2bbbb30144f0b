"""Logs, compared with the checksums of their lines and the count of lines in run.json."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rlgen.core import logs
from rlgen.core.description import logged
from rlgen.core.files import Refused
from rlgen.verify.damage import Damage


def check(directory: Path, info: Mapping[str, Any], *, ended: bool) -> Iterator[Damage]:
    """Damage to the logs of the run in `directory`; of one that has not `ended`, the last line may be incomplete."""
    for name in (*logs.WRITTEN, logs.QUALITY):
        try:
            found = logs.read(directory / name)
        except OSError as error:
            reason = str(error) if isinstance(error, Refused) else error.strerror or str(error)
            yield Damage(name, f"cannot be read: {reason}", "a copy of the file: without it `rlgen resume` stops")
            continue
        expected = logged(info, name)
        lost = found.lost(expected)
        unchecked = expected > 0 and bool(found.lines) and not found.checked
        torn = ended and bool(found.torn)
        if lost or found.damaged or unchecked or torn:
            total = max(expected, lost + len(found.lines))
            text = f"{lost:,} of {total:,} lines damaged or missing" if lost else "damaged between whole lines"
            if unchecked:
                text = "lines have no checksums"
            aside = f"; `rlgen resume` keeps damaged ones in {name}{logs.ASIDE}" if found.damaged and lost else ""
            again = "; `rlgen plot --quality` measures what is missing" if name == logs.QUALITY else ""
            yield Damage(name, text, f"the other {len(found.lines):,} lines are read{aside}{again}")
