import random

import pytest

from tests.campaigns.readers import loaded, page, pictures, tailed
from tests.campaigns.side_by_side import FULL, SHARES, campaign, readings

QUICK = {"page": page, "tail": tailed, "pictures": pictures, "last": loaded("last"), "best": loaded("best")}


def test_nothing_is_lost(tmp_path):
    counts = dict.fromkeys(SHARES, 0) | {"starts": 8, "names": 1, "seconds": 2, "latest": 10}
    assert campaign(0, counts, tmp_path) == (21, [])
    assert FULL == sum(SHARES.values()) > 200


def test_readers_of_a_run_in_training_read_whole_files(tmp_path):
    assert list(readings(tmp_path, 20, random.Random(0), QUICK, ("agent",))) == [""] * 20


@pytest.mark.slow
@pytest.mark.very_slow
def test_nothing_is_lost_of_more(tmp_path):
    counts = {
        "starts": 50,
        "commands": 2,
        "names": 2,
        "seconds": 2,
        "removals": 2,
        "readings": 26,
        "latest": 20,
        "runs": 1,
    }
    assert counts.keys() == SHARES.keys()
    assert campaign(1, counts, tmp_path) == (sum(counts.values()), [])
