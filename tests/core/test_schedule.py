import numpy as np
import pytest

from rlgen.core.schedule import cosine, linear


@pytest.mark.parametrize(("start", "end"), [(1.0, 0.05), (0.0, 2.0), (0.3, 0.3)])
def test_linear(start, end):
    times = [0, 1, 37, 99, 100, 101, 10**12]
    assert [linear(start, end, 100, time) for time in times] == pytest.approx(np.interp(times, [0, 100], [start, end]))
    assert linear(start, end, 100, 0) == start
    assert linear(start, end, 100, 100) == end


@pytest.mark.parametrize(("start", "end"), [(1.0, 0.01), (0.0, 2.0), (0.3, 0.3)])
def test_cosine(start, end):
    assert [cosine(start, end, 90, time) for time in (0, 90, 91, 10**12)] == pytest.approx([start, end, end, end])
    halfway, third = (start + end) / 2, end + (start - end) * 0.75
    assert [cosine(start, end, 90, time) for time in (45, 30)] == pytest.approx([halfway, third])
