import numpy as np
import pytest

from rlgen.lessons.estimates import Estimate
from rlgen.lessons.schema import Finding, Value
from rlgen.lessons.text import complete, interval, number, parse, sentence, significant

SHARE = Value(label="", metric="", percent=True)
COUNT = Value(label="", metric="", unit="images")


@pytest.mark.parametrize(
    ("x", "digits", "text"),
    [
        (0.012345, 3, "0.0123"), (1234.5, 3, "1,230"), (1234567.0, 3, "1,230,000"), (0, 3, "0"), (15.0, 3, "15"),
        (9.996, 3, "10.0"), (-0.5, 2, "-0.50"), (1e-9, 3, "1.00e-09"), (3430.0, 6, "3,430"), (99.95, 3, "100"),
    ],
)  # fmt: skip
def test_numbers_have_significant_digits(x, digits, text):
    assert significant(x, digits) == text


def test_units():
    assert number(0.0123, SHARE) == "1.23 %"
    assert number(0.0123, SHARE, difference=True) == "1.23 points"
    assert number(4500, COUNT) == "4,500 images"
    assert number(float("inf"), COUNT) == "never"


def test_intervals():
    estimate = Estimate(np.array([0.10, 0.12]))
    assert interval(estimate, SHARE) == f"11 % ({100 * estimate.low:.2f} to {100 * estimate.high:.1f})"
    assert interval(Estimate(np.array([0.5])), SHARE) == "50 %"
    assert interval(Estimate(np.array([0.5, 0.5])), SHARE) == "50 %"
    assert interval(Estimate(np.array([0.5, np.nan, np.nan])), SHARE) == "diverged in 2 of 3 seeds"


def test_the_sentence_follows_the_interval():
    finding = Finding(compare="a.v - b.v", more="rose by {difference}", less="fell by {difference}", unclear="open")
    comparison = parse(finding.compare)

    def said(values):
        return sentence(finding, Estimate(np.array(values)), comparison, SHARE)

    assert said([0.02, 0.02]) == "rose by 2 points"
    assert said([-0.02, -0.02]) == "fell by 2 points"
    assert said([-0.02, 0.03]) == "open"


def test_a_finding_may_have_another_threshold():
    finding = Finding(compare="a.v / b.v", than=2, more="more: {difference}", less="less", unclear="open")
    assert sentence(finding, Estimate(np.array([3.0, 3.0])), parse(finding.compare), SHARE) == "more: 3 times"
    assert sentence(finding, Estimate(np.array([1.5, 1.5])), parse(finding.compare), SHARE) == "less"
    ratio = Finding(compare="a.v / b.v", more="more", less="less", unclear="open")
    assert sentence(ratio, Estimate(np.array([1.5, 1.5])), parse(ratio.compare), SHARE) == "more"  # than 1


def test_placeholders():
    assert parse("sgd-0.1.loss").left.condition == "sgd-0.1"
    assert parse("a-1.v / b.w").right.value == "w"
    assert complete("{a.v} and {b}", lambda name: name.upper()) == "A.V and B"
