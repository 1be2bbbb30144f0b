"""Modules that the run.json of a run names: they are imported with permission alone, because an import runs code."""

import sys
from contextlib import suppress
from importlib.util import find_spec

from rlgen.core.errors import UserError


class Untrusted(UserError):
    """A run would import a module without permission."""


def check(run: str, module: str | None) -> None:
    """Raise Untrusted where the use of `run` would import `module`; one that has been imported runs nothing more."""
    if module is None or module in sys.modules:
        return
    raise Untrusted(
        f"{run} would import the Python module {module!r}{_place(module)}, which registers its environment and may run"
        " any code: where you trust the run and the module, add --trust (in Python: trust=True)"
    )


def _place(module: str) -> str:
    """The file of a module or, of one within a package, that of the package, whose import is not needed to tell."""
    with suppress(Exception):
        if (spec := find_spec(module.partition(".")[0])) is None:
            return " (not installed here)"
        if spec.origin:
            return f" from {spec.origin}"
    return ""
