"""The numbers of a plot as a table."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from rlgen.report.lines import Line, View


def write(lines: Sequence[Line], view: View, path: Path) -> None:
    """One row per point: mean and interquartile mean over n seeds, and the drawn interval, over seeds or episodes."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        head = ["task", "experiment", "metric", "statistic", "n", "interval_over", view.x]
        table.writerow([*head, "mean", "ci95_low", "ci95_high", "iqm"])
        for line in lines:
            name = [line.experiment.title, line.label, line.metric, line.words, line.n, line.interval]
            for row in _numbers(line):
                table.writerow([*name, *row])


def _numbers(line: Line) -> Iterator[list[str]]:
    for at, mean, low, high, iqm in zip(line.x, line.mean, line.low, line.high, line.iqm, strict=True):
        interval = (low, high) if line.interval else ("", "")
        values = (at, mean, *interval, iqm if line.n > 1 else "")
        yield [value if isinstance(value, str) else f"{value:.10g}" for value in values]
