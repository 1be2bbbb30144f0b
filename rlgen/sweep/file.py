"""A study in a TOML file: settings of every trial, a table [search], and [sweep] with options of the command."""

import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from rlgen.core import files
from rlgen.core.config import word
from rlgen.core.errors import UserError, did_you_mean

Parts = tuple[dict[str, Any], dict[str, str], dict[str, Any]]


def read(path: Path, options: Collection[str]) -> Parts:
    """Settings, the texts of the search and options of the command. Raises UserError."""
    try:
        found = tomllib.loads(files.read_text(path))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path} is not valid TOML: {error}") from None
    search, own = found.pop("search", {}), found.pop("sweep", {})
    for name, part in (("search", search), ("sweep", own)):
        if not isinstance(part, dict):
            raise UserError(f"{path}: {name} is a table, [{name}]")
    own = {name.replace("-", "_"): value for name, value in own.items()}
    for name in own:
        if name not in options:
            raise UserError(f"{path}: [sweep] has no {name!r}{did_you_mean(name, options)}")
    settings = {name.replace("-", "_"): value for name, value in found.items()}
    return settings, {name.replace("-", "_"): _text(value) for name, value in search.items()}, own


def _text(value: Any) -> str:
    """A value of TOML as it would be typed."""
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return word(value) if isinstance(value, bool) else str(value)
