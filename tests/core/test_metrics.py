import pytest
import torch

from rlgen.core.metrics import numbers, present, reduce_steps, rounded, stack


def test_stacked_values_are_in_double_precision():
    stacked = stack([1, 0.1, torch.tensor(2.0**24 + 1, dtype=torch.float64), torch.tensor(3)])
    assert stacked.dtype == torch.float64
    assert stacked.tolist() == [1, 0.1, 2**24 + 1, 3]
    assert stack([torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])]).shape == (2, 2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_values_of_several_devices_keep_their_order():
    values = [torch.tensor(float(i), device="cuda" if i % 2 else "cpu") for i in range(6)]
    assert stack([*values, 6.0]).tolist() == list(range(7))


def test_means_over_steps_and_sums_of_totals():
    assert reduce_steps(torch.tensor([1.0, 2.0])).item() == 1.5
    assert reduce_steps(torch.tensor([[1.0, 5.0], [2.0, 6.0]])).tolist() == [1.5, 5.5]
    assert reduce_steps(torch.ones(3, 2, 4)).tolist() == [[3.0] * 4] * 2


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1 / 3, 0.333333),
        (torch.tensor(123456789.0), 123457000.0),
        (torch.tensor([2.0]), 2.0),  # one seed
        (torch.tensor([2.0, 1 / 3]), [2.0, 0.333333]),
        (torch.tensor([[6.0], [4.0]]), 1.5),
        (torch.tensor([[6.0, 0.0], [4.0, 0.0]]), [1.5, None]),
        (torch.tensor([[0.0, 0.0], [0.0, 0.0]]), None),
        (torch.tensor([[0.0], [0.0]]), None),
        (torch.tensor([[0.0, 0.0], [1.0, 0.0]]), [0.0, None]),  # a mean of zero is a number
    ],
)
def test_values_in_a_row(value, expected):
    assert numbers(value) == expected


def test_rounding():
    assert rounded(1234567) == 1234567
    assert rounded(1234567.0) == 1234570.0


def test_present():
    assert present(2.0) == [2.0]
    assert present([1.0, None, 0.0]) == [1.0, 0.0]
