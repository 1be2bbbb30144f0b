from rlgen.core.tables import table


def test_columns_are_as_wide_as_their_widest_cell():
    assert table(["name", "n"], [["a", "10"], ["longer", ""]]) == ["name    n", "a       10", "longer"]


def test_rows_may_be_indented():
    assert table(["x"], [["1"]], indent=2) == ["  x", "  1"]
