import numpy as np
import pytest
import torch

from rlgen.core.ring import Ring


def ring(capacity, first, end):
    """Row i holds i and -i, wherever it stands; a place without a row holds 999."""
    one, two = torch.full((capacity, 2), 999), torch.full((capacity,), 999.0)
    for i in range(first, end):
        one[i % capacity], two[i % capacity] = i, -i
    return Ring({"one": one, "two": two}, first, end)


@pytest.mark.parametrize(("first", "end"), [(0, 0), (0, 3), (0, 5), (4, 8), (5, 10), (7, 12), (9, 9), (1003, 1007)])
def test_pieces_are_the_rows_in_order(first, end):
    found = list(ring(5, first, end).pieces())
    numbers = [number for start, rows in found for number in range(start, start + len(rows["two"]))]
    assert numbers == list(range(first, end))
    assert torch.cat([rows["two"] for _, rows in found] or [torch.zeros(0)]).tolist() == [-float(i) for i in numbers]
    assert len(found) <= 2


@pytest.mark.parametrize(("first", "end"), [(3, 3), (3, 4), (3, 8), (4, 6), (7, 8)])
def test_rows_of_a_range_may_pass_the_end_of_the_columns(first, end):
    rows = ring(5, 3, 8).rows(first, end)
    assert rows["one"].tolist() == [[i, i] for i in range(first, end)]
    assert rows["two"].tolist() == [-float(i) for i in range(first, end)]


def test_rows_that_do_not_pass_the_end_are_not_copied():
    whole = ring(5, 0, 5)
    whole.rows(1, 3)["two"][:] = 7
    assert whole.columns["two"].tolist() == [0, 7, 7, -3, -4]


@pytest.mark.parametrize(("first", "end"), [(0, 0), (0, 3), (2, 7), (13, 18)])
def test_a_ring_is_filled_from_another_one(first, end):
    saved, own = ring(5, first, end), ring(5, 0, 0)
    own.fill(saved)
    for name, x in saved.columns.items():
        assert torch.equal(own.columns[name], x)


def test_arrays_are_filled_in_place():
    array = np.zeros((4, 3), np.float32)
    Ring({"x": torch.from_numpy(array)}, 0, 0).put(3, {"x": torch.arange(6.0).view(2, 3)})
    assert array.tolist() == [[3, 4, 5], [0, 0, 0], [0, 0, 0], [0, 1, 2]]


def test_a_row_is_counted_in_bytes():
    columns = {
        "frames": torch.zeros(7, 2, 84, 84, dtype=torch.uint8),
        "reward": torch.zeros(7, 2),
        "no": torch.zeros(7, 0),
    }
    assert Ring(columns, 0, 0).row_bytes == 2 * 84 * 84 + 8


class Lacking(Ring):
    """Without one of its pieces."""

    def __init__(self, ring, left_out):
        super().__init__(ring.columns, ring.first, ring.end)
        self.left_out = left_out

    def pieces(self):
        return (piece for number, piece in enumerate(super().pieces()) if number != self.left_out)


@pytest.mark.parametrize(
    ("saved", "reason"),
    [
        (ring(6, 0, 6), "rows 0 to 6, of 5 places"),
        (ring(6, 3, 2), "rows 3 to 2, of 5 places"),
        (ring(6, -1, 2), "rows -1 to 2, of 5 places"),
        (Lacking(ring(5, 3, 8), 0), "lacks rows 3 to 5"),
        (Lacking(ring(5, 3, 8), 1), "lacks rows 5 to 8"),
        (Ring({"one": torch.zeros(5, 2)}, 0, 2), "holds rows of"),
        (Ring({"one": torch.zeros(5, 2), "two": torch.zeros(5)}, 0, 2), "one of shape .* and torch.float32"),
        (Ring({"one": torch.ones(5, 1).long(), "two": torch.zeros(5)}, 0, 2), r"one of shape \(2, 1\)"),
        (Ring({"one": torch.ones(5, 2).long(), "two": torch.zeros(4)}, 0, 5), r"two of shape \(4,\)"),
    ],
)
def test_what_does_not_fit_is_refused(saved, reason):
    with pytest.raises(ValueError, match=reason):
        ring(5, 0, 0).fill(saved)
