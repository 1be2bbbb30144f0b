"""The page of `rlgen ui` and `rlgen report`: runs, their curves and pictures, and panels that interact with a run."""

from collections.abc import Mapping
from typing import Any


def panels(info: Mapping[str, Any]) -> list[str]:
    """Names of the interactive panels for a run with this run.json, by its kind and its algorithm. Imports no torch."""
    from rlgen.catalog import CATALOG, OF_RUNS
    from rlgen.kinds import KINDS

    kind, entry = KINDS.get(str(info.get("kind"))), (CATALOG | OF_RUNS).get(str(info.get("algorithm")))
    if entry is None or entry.kind is not kind:
        return list(kind.interactive if kind else ())
    return list(entry.panels(str(info.get("task"))))
