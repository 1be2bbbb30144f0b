"""The page of a lesson: lesson.md with text, figure, numbers and commands, and the same as JSON."""

import json
import math
from textwrap import fill
from typing import TYPE_CHECKING, Any

from rlgen.core.errors import UserError, did_you_mean
from rlgen.core.files import replacing
from rlgen.core.tables import table
from rlgen.lessons import figures, series, text
from rlgen.lessons.conditions import Design

if TYPE_CHECKING:
    from rlgen.lessons.runner import Results

WIDTH = 100  # columns of the text on the terminal


def check(design: Design) -> None:
    """Raise UserError for a panel with unknown values, conditions or options."""
    values = design.lesson.values
    for panel in design.lesson.panels:
        for name in panel.values:
            if name not in values:
                raise UserError(f"panel with the value {name!r}{did_you_mean(name, values) or ': no such value'}")
        conditions = series.shown(panel, design)
        options = list(dict.fromkeys(option for condition in conditions for option in condition.varied()))
        if panel.kind == "lines" and panel.x not in options:
            hint = did_you_mean(panel.x, options) or f": there is {', '.join(options) or 'none'}"
            raise UserError(f"panel with x = {panel.x!r}: no option of the grid{hint}")
        if panel.kind == "paths" and len(panel.values) != 2:
            raise UserError("a panel of paths has two values, x and y")


def write(results: "Results") -> None:
    """Write figure.png, figure.csv, lesson.md and lesson.json into the folder of the lesson."""
    design, folder = results.design, results.folder
    folder.mkdir(parents=True, exist_ok=True)
    panels = [
        (panel, series.series(panel, design, results.readings, results.estimate)) for panel in design.lesson.panels
    ]
    with replacing(folder / "figure.csv") as partial:
        series.write(partial, panels)
    figures.write(panels, folder / "figure.png", design.lesson.title, note(results))
    with replacing(folder / "lesson.md") as partial:
        partial.write_text("\n".join(markdown(results)) + "\n", "utf-8")
    with replacing(folder / "lesson.json") as partial:
        partial.write_text(json.dumps(as_json(results), indent=2) + "\n", "utf-8")


def note(results: "Results") -> str:
    """What the intervals are, and which version this is."""
    design = results.design
    if all(readings.exact for readings in results.readings.values()):
        return "exact: no random numbers, no interval"
    words = [f"95 % intervals over {design.seeds} seeds (Student's t)" if design.seeds > 1 else "one seed: no interval"]
    if design.quick:
        words.append("quick version: too small for the claim")
    return "; ".join([*words, *results.notices])


def markdown(results: "Results") -> list[str]:
    """The lines of lesson.md."""
    lesson = results.design.lesson
    source = [f"Source: {lesson.source}", ""] if lesson.source else []
    lines = [f"# {lesson.title}", "", f"**Claim.** {lesson.claim}", "", *source, *reflowed(results.text), ""]
    lines += ["![](figure.png)", "", f"*{note(results)}*", "", "## Numbers", "", *_rows(results), ""]
    if results.commands:
        lines += ["## Runs", "", "```sh", *(c for commands in results.commands.values() for c in commands), "```"]
    return lines


def terminal(results: "Results") -> list[str]:
    """The lines for the terminal."""
    lesson = results.design.lesson
    files = "  ".join(str(results.folder / name) for name in ("lesson.md", "figure.png", "figure.csv"))
    head = [lesson.title, "", f"claim   {lesson.claim}", ""]
    heads, rows = numbers(results)
    return [*head, *reflowed(results.text), "", *table(heads, rows), "", note(results), f"files   {files}"]


def reflowed(paragraphs: str) -> list[str]:
    """The paragraphs of a text in lines of equal width."""
    lines = [fill(" ".join(part.split()), WIDTH, break_on_hyphens=False) for part in paragraphs.split("\n\n")]
    return "\n\n".join(lines).splitlines()


def numbers(results: "Results") -> tuple[list[str], list[list[str]]]:
    """The measured numbers as a table: a row per condition, a column per value that any of them has."""
    values = results.design.lesson.values
    measured = {c.name: found for c in results.design.presented() if (found := results.shown().get(c.name))}
    columns = [name for name, v in values.items() if not v.over and any(name in row for row in measured.values())]
    rows = [
        [
            results.design.conditions[condition].label,
            *(text.interval(found[name], values[name]) if name in found else "" for name in columns),
        ]
        for condition, found in measured.items()
    ]
    return ["condition", *(values[name].label for name in columns)], rows


def as_json(results: "Results") -> dict[str, Any]:
    """Numbers with intervals and seeds, findings, text and files."""
    lesson = results.design.lesson
    return {
        "title": lesson.title,
        "claim": lesson.claim,
        "quick": results.design.quick,
        "seeds": results.design.seeds,
        "seconds": round(results.seconds, 1),
        "conditions": {
            name: {"options": results.options[name], "runs": results.commands.get(name, [])}
            for name in results.readings
        },
        "values": {
            condition: {
                name: {
                    "mean": _number(e.mean),
                    "low": _number(e.low),
                    "high": _number(e.high),
                    "seeds": [_number(value) for value in e.values.tolist()],
                }
                for name, e in found.items()
            }
            for condition, found in results.shown().items()
        },
        "findings": {name: {1: "more", -1: "less", 0: "unclear"}[results.side(name)] for name in lesson.findings},
        "text": results.text,
        "files": [str(results.folder / name) for name in ("lesson.md", "figure.png", "figure.csv")],
    }


def _rows(results: "Results") -> list[str]:
    """The numbers as a table of Markdown."""
    head, rows = numbers(results)
    return [" | ".join(["", *cells, ""]).strip() for cells in (head, ["---"] * len(head), *rows)]


def _number(x: float) -> float | None:
    return x if math.isfinite(x) else None
