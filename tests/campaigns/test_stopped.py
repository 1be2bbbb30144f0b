import random
import signal

import pytest

from tests.campaigns.stopped import Campaign, Try


@pytest.mark.parametrize(
    "tried",
    [
        Try("qlearning", signal.SIGTERM, "evaluating", 1, slow=True),
        Try("qlearning", signal.SIGINT, "training", 2, twice=True),
    ],
    ids=str,
)
def test_a_share_of_the_campaign(tried, tmp_path):
    campaign = Campaign(tmp_path, random.Random(0), commands=False)
    assert campaign.attempt(tried) == ""
    assert campaign.hits == 1
