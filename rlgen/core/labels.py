"""Note and tags of a run: a file beside run.json, so that no process in training overwrites them."""

from pathlib import Path
from typing import Any

from rlgen.core import seal
from rlgen.core.errors import UserError
from rlgen.core.files import json_object, replacing

FILE = "labels.json"
LENGTH = 40  # characters of a tag, at most


def read(directory: Path) -> dict[str, Any]:
    """`note` and `tags` of the run in `directory`, those that are set; empty for an unreadable file."""
    try:
        saved = json_object(directory / FILE, finite=False)
    except OSError:
        return {}
    note, tags = saved.get("note"), saved.get("tags")
    labels: dict[str, Any] = {"note": note} if isinstance(note, str) and note else {}
    if isinstance(tags, list) and (words := [tag for tag in tags if isinstance(tag, str)]):
        labels["tags"] = words
    return labels


def write_note(directory: Path, text: str) -> None:
    """Replace the note; an empty text removes it."""
    _write(directory, {**read(directory), "note": text.strip()})


def add_tags(directory: Path, tags: list[str]) -> None:
    """Add tags that the run does not have yet. Raises UserError for a tag of several words."""
    for tag in tags:
        if not tag or len(tag) > LENGTH or "," in tag or not tag.isprintable() or any(map(str.isspace, tag)):
            raise UserError(f"tag {tag!r}: a tag is one word of at most {LENGTH} letters, without a comma")
    _write(directory, {**read(directory), "tags": list(dict.fromkeys([*read(directory).get("tags", []), *tags]))})


def remove_tags(directory: Path, tags: list[str]) -> None:
    """Remove tags. Raises UserError for a tag that the run does not have."""
    known = read(directory).get("tags", [])
    for tag in tags:
        if tag not in known:
            raise UserError(f"{directory.name} has no tag {tag!r}: it has {', '.join(known) or 'none'}")
    _write(directory, {**read(directory), "tags": [tag for tag in known if tag not in tags]})


def _write(directory: Path, labels: dict[str, Any]) -> None:
    with replacing(directory / FILE) as partial:
        partial.write_bytes(seal.dump({key: value for key, value in labels.items() if value}))
