"""The text of a lesson: placeholders become measured numbers, findings the sentence that the interval selects."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlgen.core.config import word
from rlgen.core.errors import UserError, did_you_mean
from rlgen.lessons.conditions import Design
from rlgen.lessons.estimates import Estimate
from rlgen.lessons.schema import Finding, Lesson, Value

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
EXPRESSION = re.compile(r"^(?P<left>\S+)(?: (?P<operator>[-/]) (?P<right>\S+))?$")


@dataclass(frozen=True)
class Term:
    """`condition.value`, where the condition may be an experiment whose value is reduced over its conditions."""

    condition: str
    value: str


@dataclass(frozen=True)
class Comparison:
    """A term, or the difference or ratio of two."""

    left: Term
    operator: str = ""
    right: Term | None = None

    @property
    def neutral(self) -> float:
        """The number of no effect."""
        return 1.0 if self.operator == "/" else 0.0

    def estimate(self, measured: Callable[[Term], Estimate]) -> Estimate:
        """The number for each seed."""
        left = measured(self.left)
        if self.right is None:
            return left
        right = measured(self.right)
        return left / right if self.operator == "/" else left - right


def parse(text: str) -> Comparison:
    """The comparison in a placeholder or finding. Raises UserError for other text."""
    found = EXPRESSION.match(text.strip())
    if found is None:
        raise UserError(f"{text!r} is not of the form a.value, a.value - b.value or a.value / b.value")
    right = found["right"]
    return Comparison(_term(found["left"]), found["operator"] or "", _term(right) if right else None)


def placeholders(lesson: Lesson) -> Iterator[str]:
    """The placeholders in text and findings, without {difference}."""
    findings = [sentence for f in lesson.findings.values() for sentence in (f.more, f.less, f.unclear)]
    for text in (lesson.text, *findings):
        yield from (name.strip() for name in PLACEHOLDER.findall(text) if name.strip() != "difference")


def check(design: Design) -> None:
    """Raise UserError for a placeholder or finding that no condition, value, option or finding answers to."""
    lesson = design.lesson
    for name in placeholders(lesson):
        if name not in lesson.findings and name not in ("seeds", "tasks"):
            _check(parse(name), design, options=True)
    for finding in lesson.findings.values():
        _check(parse(finding.compare), design, options=False)


def number(x: float, value: Value, *, difference: bool = False) -> str:
    """A number with its unit: 1.23 %, 4,500 images; a difference of shares is in percentage points."""
    if math.isinf(x):
        return "never" if x > 0 else "-∞"
    scaled, unit = (100 * x, "points" if difference else "%") if value.percent else (x, value.unit)
    return " ".join(filter(None, (significant(scaled, value.digits), unit)))


def interval(estimate: Estimate, value: Value, *, difference: bool = False, unit: bool = True) -> str:
    """The mean with its interval: 1.23 % (1.1 to 1.4)."""
    if estimate.diverged:
        return f"diverged in {estimate.diverged} of {len(estimate.values)} seeds"
    bare = value if unit else value.model_copy(update={"unit": ""})
    mean = number(estimate.mean, bare, difference=difference)
    if estimate.exact or math.isinf(estimate.half) or np.ptp(estimate.values) <= 1e-9 * abs(estimate.mean):
        return mean
    plain = value.model_copy(update={"unit": "", "percent": False})
    low, high = (number(100 * end if value.percent else end, plain) for end in (estimate.low, estimate.high))
    return f"{mean} ({low} to {high})"


def ratio(estimate: Estimate) -> str:
    """A ratio with its interval: 2.3 times (1.9 to 2.7)."""
    return interval(estimate, Value(label="", metric="", digits=2, unit="times"))


def significant(x: float, digits: int) -> str:
    """To so many significant digits, with thousands separated and without an exponent unless very small or large."""
    if float(x).is_integer() and abs(x) < 10**digits:
        return f"{x:,.0f}"
    if not 1e-4 <= abs(x) < 1e9:
        return f"{x:.{digits - 1}e}"
    places = digits - 1 - math.floor(math.log10(abs(float(f"{x:.{digits - 1}e}"))))
    return f"{round(x, places):,.{max(0, places)}f}"


def complete(text: str, answer: Callable[[str], str]) -> str:
    """The text with every placeholder replaced by its answer."""
    return PLACEHOLDER.sub(lambda match: answer(match[1].strip()), text)


def sentence(finding: Finding, estimate: Estimate, comparison: Comparison, value: Value) -> str:
    """The sentence of a finding that the interval selects, with the measured number."""
    than = comparison.neutral if finding.than is None else finding.than
    side = estimate.side(than)
    chosen = {1: finding.more, -1: finding.less, 0: finding.unclear}[side]
    if comparison.operator == "/":
        shown = ratio(estimate)
    elif side < 0 and comparison.operator:  # "fell by 2", not by -2
        shown = interval(Estimate(-estimate.values, estimate.exact), value, difference=True)
    else:
        shown = interval(estimate, value, difference=bool(comparison.operator))
    return chosen.replace("{difference}", shown)


def option(options: Mapping[str, Any], name: str) -> str:
    """The value of an option as text."""
    value = options[name]
    return f"{value:g}" if isinstance(value, float) else str(word(value))


def _term(text: str) -> Term:
    condition, dot, value = text.rpartition(".")
    if not dot or not condition or not value:
        raise UserError(f"{{{text}}} is not of the form condition.value")
    return Term(condition, value)


def _check(comparison: Comparison, design: Design, *, options: bool) -> None:
    values = design.lesson.values
    for term in (comparison.left, comparison.right):
        if term is None:
            continue
        conditions = design.group(term.condition)
        if not conditions:
            known = [*design.conditions, *design.groups()]
            hint = did_you_mean(term.condition, known) or f": there are {', '.join(known)}"
            raise UserError(f"{{{term.condition}.{term.value}}}: no condition {term.condition!r}{hint}")
        chosen = [c.experiment.choose.option for c in conditions if c.experiment.choose]
        known = [*values, *conditions[0].options, *chosen] if options and comparison.right is None else list(values)
        if term.value not in known:
            hint = did_you_mean(term.value, known) or f": there are {', '.join(known)}"
            raise UserError(f"{{{term.condition}.{term.value}}}: no value {term.value!r}{hint}")
        if term.value in values and len(conditions) > 1 and not values[term.value].over:
            raise UserError(
                f"{{{term.condition}.{term.value}}}: {term.condition} has {len(conditions)} conditions:"
                f" set `over` of the value {term.value}, or name one of them"
            )
