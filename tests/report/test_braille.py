import time

import numpy as np
import pytest

from rlgen.report.braille import Curve, chart


def curve(y, name="loss", marked=False):
    return Curve(name, np.arange(len(y), dtype=float), np.array(y, float), marked)


def plain(lines):
    return [line.plain for line in lines]


def test_a_diagonal_goes_from_the_lower_left_to_the_upper_right():
    legend, *rows = plain(chart("loss per image", [curve([0, 1, 2, 3])], 17, 5))
    assert legend.startswith("loss per")
    assert rows[0].startswith("       3 ")
    assert rows[-1].startswith("       0 ")
    cells = [row[9:] for row in rows]
    columns = [[i for i, c in enumerate(row) if c != " "] for row in cells]
    assert columns[-1][0] == 0
    assert columns[0][-1] == 7
    means = [sum(found) / len(found) for found in columns]
    assert means == sorted(means, reverse=True)


def test_size_and_legend():
    lines = chart("accuracy", [curve([0, 1]), curve([0.2, 0.875], "test", True)], 50, 8)
    assert len(lines) == 8
    assert max(len(line) for line in plain(lines)) <= 50
    assert plain(lines)[0] == "accuracy  ─ loss 1  ● test 0.875"


def test_evaluations_are_marked_at_their_places():
    rows = plain(chart("x", [curve([5, 5, 9], marked=True)], 30, 6))[1:]
    assert rows[0].rstrip().endswith("●")
    assert rows[-1].count("●") == 2


def test_a_logarithmic_axis_shows_positive_values_evenly():
    rows = plain(chart("x", [curve([1, 10, 100, 0, -5])], 30, 8, log=True))
    assert rows[1].startswith("     100 ")
    assert rows[-1].startswith("       1 ")
    assert rows[0].endswith("loss 100")


@pytest.mark.parametrize(
    "y", [[], [np.nan], [3.0], [2.0, 2.0, 2.0], [np.inf, 1.0], [np.nan, 1.0, np.nan, 2.0], [1e300, -1e300]]
)
@pytest.mark.parametrize("width", [10, 40])
def test_empty_constant_and_broken_curves_are_drawn(y, width):
    lines = plain(chart("x", [curve(y)], width, 5))
    assert all(len(line) <= width for line in lines)
    assert len(lines) == (5 if np.isfinite(y).any() else 1)


def test_without_unicode_every_character_is_ascii():
    assert "\n".join(plain(chart("x", [curve([0, 1]), curve([1, 0], "b", True)], 40, 6, unicode=False))).isascii()


def test_a_long_series_keeps_its_peaks_and_is_quick():
    y = np.zeros(100_000)
    y[54_321] = 7.0
    began = time.perf_counter()
    rows = plain(chart("x", [curve(y)], 80, 10))
    assert time.perf_counter() - began < 2.0
    assert rows[1].startswith("       7 ")
    assert rows[1][9:].strip()
