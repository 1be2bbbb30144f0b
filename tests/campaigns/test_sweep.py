"""A small share of the campaign of studies."""

import subprocess
import sys
from pathlib import Path

import pytest

CAMPAIGN = Path(__file__).parent / "sweep.py"


@pytest.mark.slow
def test_killed_studies_lose_and_double_no_trial():
    """In a process of its own: one with threads cannot be forked."""
    pytest.importorskip("optuna")
    done = subprocess.run([sys.executable, CAMPAIGN, "--count", "4"], capture_output=True, text=True)
    assert ", 4 survived, 0 lost" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0
