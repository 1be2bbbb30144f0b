import pytest

from tests.campaigns.diverging import Case, applies, campaign, cases, survive
from tests.cases import CASES


@pytest.mark.parametrize(
    "case",
    [
        Case("dqn", "rate", "always", 0.5),
        Case("dqn", "weight", "once", 0.5),
        Case("classify with seeds", "seed", "stop", 0.5),
        Case("ae", "batch", "stop", 0.5),
        Case("qlearning", "weight", "stop", 0.5),
    ],
    ids=str,
)
def test_nothing_is_lost(case, tmp_path):
    assert survive(case, tmp_path) == ""


@pytest.mark.slow
@pytest.mark.very_slow
def test_nothing_is_lost_of_many(tmp_path):
    assert campaign(1, 60, tmp_path) == []


def test_every_algorithm_with_weights_is_broken_in_every_way_that_applies():
    chosen = cases(0, 400)
    covered = {CASES[case.name][0] for case in chosen}
    assert covered == {algorithm for algorithm, _, _ in CASES.values()} - {"knn", "stack"}
    assert {(case.kind, case.way) for case in chosen} == {
        (kind, way) for kind in ("rate", "batch", "weight", "seed") for way in ("stop", "once", "always")
    } - {("rate", "once")}
    assert not applies("knn", "weight", "stop")
