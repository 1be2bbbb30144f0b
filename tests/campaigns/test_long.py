"""What the campaign of long trainings measures, and what it counts as lost."""

import pytest

from tests.campaigns.long import Sample, Watched, tenth


def watched(memory=0.0, seconds=0.0, handles=0):
    """A training whose memory, processor time per step and open files grow by a share of the first."""
    made, spent = Watched("x", "qlearning", "FrozenLake", {}), 0.0
    for i in range(100):
        spent += 1 + seconds * i / 100
        made.samples.append(Sample(i, spent, int(1e8 * (1 + memory * i / 100)), 10 + handles * i, 3))
    return made


def test_a_training_that_stays_as_it_is_loses_nothing():
    assert watched(memory=0.005, seconds=0.01).losses() == []
    assert watched().figures().endswith("handles 10 -> 10, threads 3 -> 3, last tenth +0.0% of processor time")


@pytest.mark.parametrize(
    ("growth", "message"),
    [
        ({"memory": 0.1}, "memory grows by"),
        ({"seconds": 0.2}, "the last tenth takes"),
        ({"handles": 1}, "handles change: "),
    ],
)
def test_what_grows_is_lost(growth, message):
    (loss,) = watched(**growth).losses()
    assert loss.startswith(message)


def test_the_warm_up_may_grow():
    made = watched()
    for each in made.samples[:15]:
        each.memory, each.handles = each.memory // 2, 5
    assert made.losses() == []


@pytest.mark.slow
def test_a_training_is_sampled_in_equal_parts(tmp_path):
    options = {"budget": 2_000, "eval_every": 1_000, "eval_episodes": 2, "final_episodes": 2}
    made = Watched("x", "qlearning", "FrozenLake", options)
    made.train(tmp_path)
    times = [each.time for each in made.samples]
    assert 15 <= len(times) <= 101
    assert times == sorted(times)
    assert {each.threads for each in made.samples[len(times) // 5 :]} == {made.samples[-1].threads}
    assert tenth(made.samples, -1).seconds > 0
