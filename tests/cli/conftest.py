"""Command lines in a folder of their own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rlgen.cli.main import main
from tests.cli.small import SMALL


def call(monkeypatch, capsys, *words):
    monkeypatch.setattr("sys.argv", ["rlgen", *map(str, words)])
    with pytest.raises(SystemExit) as exit_:
        main()
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return exit_.value.code or 0, out, err


@pytest.fixture
def rlgen(monkeypatch, capsys, tmp_path):
    """Run a command line in a folder of its own: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RLGEN_RUNS", raising=False)
    monkeypatch.setenv("COLUMNS", "160")
    return lambda *words: call(monkeypatch, capsys, *words)


@pytest.fixture(scope="session")
def original(tmp_path_factory):
    """A small run, trained once."""
    folder = tmp_path_factory.mktemp("original")
    words = [sys.executable, "-m", "rlgen", "dqn", "cartpole", *SMALL, "--json"]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(words, cwd=folder, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


@pytest.fixture
def trained(rlgen, original, tmp_path):
    """A copy of it in the folder of this test, and what its training printed."""
    folder, printed = original
    shutil.copytree(folder / "runs", tmp_path / "runs")
    return printed
