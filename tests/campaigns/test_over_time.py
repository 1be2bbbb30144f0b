import pytest

from tests.campaigns.over_time import CHECKS, fixtures, loads, survive

EVERY = [(name, check) for name in fixtures() for check in CHECKS]
QUICK = [(name, check) for name, check in EVERY if check is loads or name == "schema_2/dqn"]


def test_the_fixtures_are_of_every_kind():
    assert {name.split("/")[1] for name in fixtures()} == {"dqn", "vae", "classify"}


def _id(value):
    return value if isinstance(value, str) else value.__name__


@pytest.mark.parametrize(("name", "check"), QUICK, ids=_id)
def test_nothing_is_lost(name, check, tmp_path):
    assert survive(name, check, tmp_path) == ""


@pytest.mark.slow
@pytest.mark.very_slow
@pytest.mark.parametrize(("name", "check"), [case for case in EVERY if case not in QUICK], ids=_id)
def test_nothing_is_lost_of_the_others(name, check, tmp_path):
    assert survive(name, check, tmp_path) == ""
