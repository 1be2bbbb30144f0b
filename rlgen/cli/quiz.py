"""`rlgen summary --quiz`: shapes and parameters asked layer by layer, answers checked, the arithmetic explained."""

from __future__ import annotations

import ast
import operator
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlgen.report.network_table import shape

if TYPE_CHECKING:
    from rlgen.networks.summary import Summary

TOLERANCE = 0.01  # of the answer to the total, as a share
LARGEST = 64  # exponent
OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}


@dataclass(frozen=True)
class Question:
    """A question, its answer and the arithmetic that leads to it."""

    about: str  # the layer, printed before its first question
    text: str
    answer: str
    right: Callable[[str], bool]
    arithmetic: str


def quiz(summary: Summary) -> None:
    """Ask on the terminal until the last layer, the end of the input or `q`; print the score."""
    print(f"{summary.name}, input {shape(summary.input)}: answer with a shape such as 96x55x55, a number or a product;")
    print("q ends the quiz")
    asked, right, about = 0, 0, ""
    for question in questions(summary):
        if question.about != about:
            about = question.about
            print(f"\n{about}")
        print(f"  {question.text}? ", end="", flush=True)
        line = sys.stdin.readline()
        if not sys.stdin.isatty():
            print(line.strip())
        if not line or line.strip().lower() == "q":
            break
        asked += 1
        if question.right(line):
            right += 1
            print("  right")
        else:
            print(f"  wrong, {question.answer}{f': {question.arithmetic}' if question.arithmetic else ''}")
    print(f"\nscore {right} of {asked}" + (f", {100 * right / asked:.0f} %" if asked else ""))


def questions(summary: Summary) -> Iterator[Question]:
    """The shape of each layer that changes it, the parameters of each that has some, and their sum."""
    for layer in summary.layers:
        kind = layer.kind.split()[0]
        about = f"{layer.name}: {f'{kind}, {layer.definition}'.removesuffix(', ')}, after {shape(layer.input)}"
        if layer.output != layer.input:
            output = layer.output

            yield Question(
                about,
                "output shape",
                shape(output),
                lambda line, output=output: is_shape(line, output),  # type: ignore[misc]
                layer.size_arithmetic,
            )
        if layer.parameters:
            count = layer.parameters
            yield Question(
                about,
                "parameters",
                f"{count:,}",
                lambda line, count=count: number(line) == count,  # type: ignore[misc]
                layer.parameter_arithmetic,
            )
    total = summary.parameters
    parts = " + ".join(f"{layer.parameters:,}" for layer in summary.layers if layer.parameters)
    yield Question(
        "the whole network",
        "parameters, to 1 %",
        f"{total:,}",
        lambda line: abs((number(line) or 0) - total) <= TOLERANCE * total,
        f"{parts} = {total:,}",
    )


def is_shape(text: str, sizes: tuple[int, ...]) -> bool:
    """Whether `text` is this shape: 96x55x55, (96, 55, 55), 96 55 55; 4,096 and 4096 alike."""
    grouped = re.sub(r"(?<=\d)[,_](?=\d{3}\b)", "", text)
    return any(tuple(map(int, re.findall(r"\d+", form))) == sizes for form in (text, grouped))


def number(text: str) -> float | None:
    """The value of a number or a product as people write it: 34,944, 34_944, 11*11*3*96 + 96; None for other text."""
    plain = re.sub(r"(?<=\d)[,_](?=\d{3})", "", text.strip()).replace("^", "**").replace("·", "*").replace("x", "*")
    try:
        return float(_value(ast.parse(plain.replace("²", "**2"), mode="eval").body))
    except (SyntaxError, ValueError, ArithmeticError):
        return None


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.BinOp(left, op, right) if type(op) in OPERATORS:
            a, b = _value(left), _value(right)
            if isinstance(op, ast.Pow) and abs(b) > LARGEST:
                raise ValueError("an exponent of this size")
            return float(OPERATORS[type(op)](a, b))
    raise ValueError("no arithmetic")
