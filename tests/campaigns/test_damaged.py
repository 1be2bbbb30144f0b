"""A small share of the campaign of damaged files."""

import shutil

import pytest

from rlgen.core import logs
from tests.campaigns.damaged import Damage, Original, campaign, failures


@pytest.mark.slow
def test_nothing_is_lost(tmp_path):
    tries, lost = campaign(0, 32, tmp_path, ("gan", "qlearning"))
    assert lost == []
    assert tries == 32


@pytest.mark.slow
@pytest.mark.very_slow
def test_nothing_is_lost_of_many(tmp_path):
    assert campaign(1, 200, tmp_path) == (200, [])


def test_the_campaign_notices_what_it_looks_for(tmp_path, monkeypatch):
    original = Original.train("qlearning", tmp_path)
    place = (original.directory / "metrics.jsonl").read_bytes().index(b'"time": 1') + len(b'"time": ')
    flip = Damage("metrics.jsonl", "flip", place, 1)  # the digit 1 becomes a 3
    monkeypatch.setattr(logs, "is_intact", lambda line: line.endswith(b'"}'))  # checksums are not compared
    shutil.copytree(original.directory, tmp_path / "copy")
    found = list(failures(original, flip, tmp_path / "copy"))
    assert "verify does not notice it" in found
