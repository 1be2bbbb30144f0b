import math

import pytest

from rlgen.core.errors import UserError
from rlgen.ui.actions import fields


def test_fields_are_returned_as_they_were_sent():
    request = {"row": 3, "z": [1, -2.5], "of": "test"}
    assert fields.whole(request, "row", 0, 3) == 3
    assert fields.numbers(request, "z", 2) == [1.0, -2.5]
    assert fields.choice(request, "of", ("test", "sample")) == "test"
    assert fields.whole({}, "row", 0, 3, 1) == 1
    assert fields.choice({}, "of", ("test", "sample"), "sample") == "sample"
    assert fields.numbers({}, "z", 1, default=[4.0]) == [4.0]


@pytest.mark.parametrize("value", [-1, 4, 1.0, True, "2", None, [1]])
def test_whole_numbers_have_bounds(value):
    with pytest.raises(UserError, match="row must be a whole number from 0 to 3"):
        fields.whole({"row": value}, "row", 0, 3)


@pytest.mark.parametrize(
    "value", [[1.0], [1.0, math.nan], [1.0, math.inf], [1.0, 2e6], [1.0, "2"], [1.0, True], "12", 1]
)
def test_lists_have_a_length_and_finite_numbers(value):
    with pytest.raises(UserError, match="z must be a list of 2 numbers"):
        fields.numbers({"z": value}, "z", 2)


def test_other_words_and_missing_fields_are_refused_in_one_short_line():
    with pytest.raises(UserError, match="of must be test or sample") as caught:
        fields.choice({"of": "x" * 1000}, "of", ("test", "sample"))
    assert len(str(caught.value)) < 100
    with pytest.raises(UserError, match="no row"):
        fields.whole({}, "row", 0, 1)
