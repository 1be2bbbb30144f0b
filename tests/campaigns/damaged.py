"""Files of runs are flipped, cut or deleted: `python tests/campaigns/damaged.py [--seed 0] [--count 1000]`.

`rlgen verify` notices each, what is loaded is a whole checkpoint or nothing, and of a log the damaged lines alone are
lost.
"""

import argparse
import hashlib
import json
import logging
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg"}  # before torch is imported
sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout of this file

import torch

from rlgen import session, verify
from rlgen.core import labels, logs
from rlgen.core.errors import UserError
from rlgen.core.folder import Folder
from rlgen.core.run import Run
from tests.cases import CASES

VICTIMS = ("dqn with everything", "gan", "ae", "classify")  # those of these names that there are
TIMES = 8  # a log is damaged so many times as often as its share of files
UNNOTICED = ("run.lock",)  # holds nothing
Digests = dict[int, str]  # time of a checkpoint -> digest of the state in it


@dataclass
class Original:
    """A finished run: what its undamaged parts hold."""

    directory: Path
    states: Digests = field(default_factory=dict)
    portraits: Digests = field(default_factory=dict)
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @classmethod
    def train(cls, case: str, runs: Path) -> "Original":
        """Train the case `case` of `tests.cases`, in two parts."""
        algorithm, task, settings = CASES[case]
        begun = session.prepare(algorithm, task, {**settings, "budget": settings["budget"] // 2}, runs=runs)
        begun.train(quiet=True)
        directory = begun.run.directory
        session.reopen(Folder(directory), {"budget": settings["budget"]}).train(quiet=True)
        labels.write_note(directory, "a note")
        original = cls(directory)
        for folder in Folder.checkpoints(directory):
            original.states[int(folder.name)] = _loaded(directory, folder.name, runs)
        original.rows = {name: Folder(directory).rows(name) for name in logs.WRITTEN}
        return original
