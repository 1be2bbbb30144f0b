"""A small share of the campaign of kills, and what it counts as lost."""

import subprocess
import sys
from pathlib import Path

import pytest

from rlgen.core.files import replacing
from tests.campaigns import outcomes
from tests.campaigns.killed import Kill

CAMPAIGN = Path(__file__).parent / "killed.py"


@pytest.mark.slow
def test_killed_runs_resume_to_the_same_bits():
    """In a process of its own: one with threads cannot be forked."""
    words = ["--case", "qlearning", "--case", "ae", "--count", "4", "--commands", "0"]
    done = subprocess.run([sys.executable, CAMPAIGN, *words], capture_output=True, text=True)
    assert "killed: 4 tries, 4 survived, 0 lost" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize("kill", [Kill(57), Kill(57, torn=True), Kill(3, delay=0.125)])
def test_a_kill_is_read_as_it_is_printed(kill):
    assert Kill.parse(str(kill)) == kill


def test_outcomes_differ_by_name(tmp_path):
    for name, text in {
        "run.json": '{"time": 5, "pid": 1}',
        "curves.png": "a",
        "timing.jsonl": '{"time": 1, "rate": 2}\n',
    }.items():
        with replacing(tmp_path / name) as partial:
            partial.write_text(text)
    before = outcomes.outcome(tmp_path)
    (tmp_path / "run.json").write_text('{"pid": 2, "time": 5}')
    (tmp_path / "timing.jsonl").write_text('{"time": 1, "rate": 3}\n')
    assert outcomes.differences(before, outcomes.outcome(tmp_path)) == []
    (tmp_path / "curves.png").write_text("b")
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / ".partial-1-x").touch()
    (tmp_path / ".partial-1-begun").mkdir()
    (tmp_path / "run.json").write_text('{"pid": 2, "time": 6}')
    assert outcomes.differences(before, outcomes.outcome(tmp_path)) == [
        "curves.png",
        "run.json/time",
        "samples/.partial-1-x",
    ]
