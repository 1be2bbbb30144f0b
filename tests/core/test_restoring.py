import pytest

from rlgen.core.errors import CheckpointError, UserError
from rlgen.core.restoring import check_time, check_type, fitting


@pytest.mark.parametrize(
    "error", [KeyError("a"), AttributeError("x\ny"), TypeError(), RecursionError("deep"), OSError(2, "x")]
)
def test_whatever_fails_is_a_checkpoint_that_does_not_fit(error):
    with (
        pytest.raises(CheckpointError, match="the checkpoint of run-1 does not fit its settings") as caught,
        fitting("the checkpoint of run-1"),
    ):
        raise error
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("error", [UserError("mine"), MemoryError()])
def test_what_is_clear_already_stays(error):
    with pytest.raises(type(error)) as caught, fitting("x"):
        raise error
    assert caught.value is error


@pytest.mark.parametrize(
    ("value", "saved"),
    [
        (0, "x"),
        (0, True),
        (0.5, [1]),
        ("x", 1),
        (True, 1),
        ([], {}),
        ({}, []),
        ((0, 0.0), [0, 0.0]),
        ((0, 0.0), (0,)),
        ((0, 0.0), (0, {})),
        (0, {"a": 1}),
    ],
)
def test_plain_values_keep_their_type(value, saved):
    with pytest.raises(TypeError, match="expected"):
        check_type(value, saved)


@pytest.mark.parametrize(
    ("value", "saved"), [(0, 1), (0, 0.5), (0.5, 1), (None, "x"), (1, None), ("a", "b"), ([], [1])]
)
def test_values_of_the_same_type_fit(value, saved):
    check_type(value, saved)


@pytest.mark.parametrize("time", [-1, 0.5, None, "1", True, 2**63, float("nan"), []])
def test_a_time_is_an_integer(time):
    with pytest.raises(ValueError, match="its time is"):
        check_time(time)


def test_a_time_is_the_expected_one():
    check_time(5)
    check_time(5, 5)
    with pytest.raises(ValueError, match="its time is 5 in the folder of 6"):
        check_time(5, 6)
