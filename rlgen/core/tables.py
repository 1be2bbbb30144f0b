"""Rows of text as a table."""

from collections.abc import Sequence

from rlgen.core.terminal import visible


def table(head: Sequence[str], rows: Sequence[Sequence[str]], indent: int = 0) -> list[str]:
    """One line per row, the columns as wide as their widest cell; control characters are shown as escapes."""
    head, rows = list(map(visible, head)), [list(map(visible, row)) for row in rows]
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    return [
        " " * indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    ]
