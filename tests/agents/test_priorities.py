import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlgen.agents.priorities import WIDTH, Priorities


def filled(seeds, places, seed=0):
    priorities, rng = Priorities(seeds, places), np.random.default_rng(seed)
    value = rng.random((seeds, places)) * 10.0 ** rng.integers(-8, 8, (seeds, places))
    value[rng.random((seeds, places)) < 0.3] = 0
    value[:, places // 2] = 1
    priorities.assign(np.tile(np.arange(places), (seeds, 1)), value)
    return priorities, value


def drawn_in_full(value, uniform):
    """The place in the cumulative sum of all priorities."""
    return np.stack(
        [np.searchsorted(v.cumsum(), u * v.cumsum()[-1], "right") for v, u in zip(value, uniform, strict=True)]
    )


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seeds=st.sampled_from([1, 3]),
    places=st.integers(1, 5 * WIDTH),
    size=st.sampled_from([1, 40]),
    seed=st.integers(0, 99),
)
def test_draws_agree_with_the_cumulative_sum_of_all_priorities(seeds, places, size, seed):
    priorities, value = filled(seeds, places, seed)
    uniform = np.random.default_rng(seed).random((seeds, size))
    place, priority = priorities.draw(uniform)
    assert (place == drawn_in_full(value, uniform)).mean() > 0.99  # except for rounding at a boundary
    assert np.array_equal(priority, np.take_along_axis(value, place, 1))
    assert (priority > 0).all()


@pytest.mark.parametrize("size", [31, 4096])
def test_the_ends_of_the_range_are_valid_places(size):
    """T5: rounding selects no place without a priority, and none past the last."""
    priorities = Priorities(2, 1000)
    place = np.tile([3, 500, 998], (2, 1))
    priorities.assign(place, np.array([[1e-9, 0.1, 1e9], [0.7, 0.1, 1e-12]]))
    for end in (0.0, np.nextafter(1, 0)):
        drawn, priority = priorities.draw(np.full((2, size), end))
        assert set(drawn.ravel().tolist()) <= {3, 500, 998}
        assert (priority > 0).all()
    assert (priorities.draw(np.zeros((2, size)))[0] == 3).all()


def test_rounding_at_the_edge_of_a_block_selects_no_place_without_a_priority():
    """T5: a block's sum and its running sum differ in their last bits."""
    seeds = 300
    priorities, rng = Priorities(seeds, 2 * WIDTH), np.random.default_rng(0)
    value = rng.random((seeds, 2 * WIDTH)) * 10.0 ** rng.integers(-3, 3, (seeds, 2 * WIDTH))
    value[:, [0, WIDTH - 1, WIDTH, 2 * WIDTH - 1]] = 0
    priorities.assign(np.tile(np.arange(2 * WIDTH), (seeds, 1)), value)
    middle = (priorities.sums[:, 0] / priorities.sums.sum(1))[:, None]
    for edge in (middle, np.full((seeds, 1), np.nextafter(1, 0))):
        near = edge + np.spacing(edge) * np.arange(-8, 9 if edge is middle else 1)
        assert (priorities.draw(near)[1] > 0).all()


@pytest.mark.parametrize("seeds", [1, 2])
def test_frequencies_are_proportional_to_priorities(seeds):
    """T5: chi-square, for each seed with its own priorities."""
    size, places = 60_000, 150
    priorities, rng = Priorities(seeds, places), np.random.default_rng(0)
    value = rng.random((seeds, places)) + 0.05
    priorities.assign(np.tile(np.arange(places), (seeds, 1)), value)
    drawn, _ = priorities.draw(rng.random((seeds, size)))
    for places_drawn, share in zip(drawn, value / value.sum(1, keepdims=True), strict=True):
        expected = size * share
        statistic = ((np.bincount(places_drawn, minlength=places) - expected) ** 2 / expected).sum()
        assert abs(statistic - (places - 1)) < 4 * (2 * (places - 1)) ** 0.5


def test_sums_do_not_drift():
    """T5: after 10⁵ changes over sixteen orders of magnitude each sum is that of its block, to the last bit."""
    priorities, rng = Priorities(2, 700), np.random.default_rng(1)
    value = np.zeros((2, 700))
    for _ in range(1600):
        place = rng.integers(700, size=(2, 32))
        new = 10.0 ** rng.uniform(-8, 8, (2, 32))
        priorities.assign(place, new)
        for s in range(2):
            value[s, place[s]] = new[s]  # of a place given twice the last one counts
    assert np.array_equal(priorities.of[:, :700], value)
    other = Priorities(2, 700)
    other.load(value)
    assert np.array_equal(priorities.sums, other.sums)
    np.testing.assert_allclose(priorities.sums.sum(1), value.sum(1), rtol=1e-14)


def test_few_changes_and_many_at_once_agree():
    priorities, value = filled(2, 300)
    other = Priorities(2, 300)
    for place in np.random.default_rng(0).permutation(300).tolist():
        other.assign(np.full((2, 1), place), value[:, [place]])
    assert np.array_equal(priorities.sums, other.sums)
    uniform = np.random.default_rng(2).random((2, 5000))
    whole = priorities.draw(uniform)[0]
    parts = [other.draw(part)[0] for part in np.split(uniform, 100, 1)]
    assert np.array_equal(whole, np.concatenate(parts, 1))


def test_scaling_changes_no_draw():
    priorities, _ = filled(2, 300)
    uniform = np.random.default_rng(3).random((2, 500))
    before, priority = priorities.draw(uniform)
    priorities.scale(4.0)
    after, larger = priorities.draw(uniform)
    assert np.array_equal(before, after)
    assert np.array_equal(4 * priority, larger)
