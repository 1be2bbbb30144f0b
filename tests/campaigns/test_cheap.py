from dataclasses import replace

import pytest

from rlgen.core import segments
from tests.campaigns.cheap import CASES, SAVES, Found, failures, measure

SEGMENT = 500_000  # bytes


@pytest.mark.parametrize(
    ("name", "settings", "stored", "new", "written"),
    [("small", {}, 400, 50, 400_000), ("frames", {"buffer_size": 600, "width": 8, "batch": 4}, 700, 60, 3_000_000)],
)
def test_a_save_writes_what_is_new(name, settings, stored, new, written, tmp_path, monkeypatch):
    monkeypatch.setattr(segments, "SEGMENT_BYTES", SEGMENT)
    case = CASES[name]
    settings = {**case.settings, **settings, "threads": 1}
    # The time of a save is that of the whole machine, which tests share with others.
    case = replace(case, settings=settings, stored=stored, new=new, written=written, tries=1, stall=20.0, read=20.0)
    found = measure(case, 0, tmp_path)
    assert list(failures(name, case, found)) == []
    assert len(found.stalls) == SAVES
    assert found.held > 1.5 * written or name == "small"


def test_what_is_slow_or_large_is_reported():
    found = Found(stalls=[0.1, 0.2, 0.1, 0.04, 0.02, 0.1], written=[1, 2, 3, 4, 5, 4_000_000], act=0.7)
    lines = list(failures("small", replace(CASES["small"], tries=2), found))
    assert len(lines) == 3
    assert lines[0].startswith("small, saves 0 to 2: 100 ms and 3 bytes")
    assert lines[1].startswith("small, saves 3 to 5: 20 ms and 4,000,000 bytes")
    assert lines[2] == "small: loading for acting took 0.70 s, 0.50 s allowed"
