"""Seals: the sha256 of a JSON file as its last entry, so that a byte that was changed afterwards is noticed."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

SEAL = "sha256"  # name of the last entry
END = re.compile(rb'\n  "sha256": "([0-9a-f]{64})"\n}\n\Z')
REST = re.compile(rb'"sha256"|[0-9a-f]{60,64}"?\s*}?\s*\Z')  # what damage leaves of a seal


def dump(facts: Mapping[str, Any]) -> bytes:
    """A JSON object with its seal."""
    covered = json.dumps({**facts, SEAL: ""}, indent=2)[: -len('"\n}')].encode()
    return covered + hashlib.sha256(covered).hexdigest().encode() + b'"\n}\n'


def is_intact(content: bytes) -> bool:
    """Whether a JSON file is as it was written; true for one that was written without a seal."""
    found = END.search(content, max(0, len(content) - 200))
    if found is None:
        return not REST.search(content, max(0, len(content) - 200))
    return hashlib.sha256(content[: found.start(1)]).hexdigest().encode() == found[1]
