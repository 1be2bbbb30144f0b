import pytest

from rlgen.core.folder import Folder
from tests.campaigns.environments import ALGORITHMS, Campaign, Case
from tests.envs.misbehaving import WAYS

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.mark.parametrize(
    ("case", "end"),
    [
        (Case("observation-nan", "dqn", at=19, share=0.3, num_envs=2, seeds=1, seed=0), "stops"),
        (Case("state-negative", "qlearning", at=2, share=1.0, num_envs=1, seeds=2, seed=1), "stops"),
        (Case("observation-outside", "qrdqn", at=7, share=1.0, num_envs=1, seeds=1, seed=0), "warns"),
    ],
    ids=lambda case: getattr(case, "way", ""),
)
def test_nothing_is_lost(case, end, tmp_path):
    made = Campaign(tmp_path)
    assert made.attempt(case, 0) == ""
    assert made.ends == {end: 1}


def test_a_run_that_an_environment_stopped_is_failed_with_the_reason(tmp_path):
    made = Campaign(tmp_path)
    case = Case("raises-exit", "dqn", at=7, share=1.0, num_envs=1, seeds=1, seed=0)
    made._resumed = lambda case, folder, place: f"{folder.status}: {folder.info['error']}"
    message = made.attempt(case, 0)
    assert message.startswith(f"failed: {case.name} failed in step(): SystemExit: 3")
    assert Folder.all(tmp_path / "try-0" / "runs")


def test_a_failure_of_another_kind_is_lost(tmp_path, monkeypatch):
    """The campaign notices what is not as documented."""
    monkeypatch.setitem(WAYS, "raises", "failed in step(): ValueError")
    case = Case("raises", "dqn", at=1, share=1.0, num_envs=1, seeds=1, seed=0)
    assert "ZeroDivisionError" in Campaign(tmp_path).attempt(case, 0)


def test_every_way_to_misbehave_is_drawn_with_algorithms_that_learn_from_it():
    import random

    draw = random.Random(0)
    cases = [Case.drawn(way, draw) for way in WAYS for _ in range(20)]
    assert {case.algorithm for case in cases} == set(ALGORITHMS)
    assert {case.num_envs for case in cases} == {1, 2, 3}
    assert {case.at for case in cases} == {1, 2, 7, 19}
