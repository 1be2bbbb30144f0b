"""Tuned presets of the classifiers, by algorithm and dataset. Imports no torch."""

from typing import Any


def _plan(budget: int, log_every: int, eval_every: int, save_every: int) -> dict[str, int]:
    return {"budget": budget, "log_every": log_every, "eval_every": eval_every, "save_every": save_every}


TUNED: dict[str, dict[str, dict[str, Any]]] = {  # algorithm -> dataset[:preset] -> settings
    "classify": {
        "mnist": _plan(600_000, 5_000, 60_000, 60_000),
        "digits": _plan(60_000, 2_000, 10_000, 10_000),
    },
}
