"""The table of a network as text: a line per layer, its arithmetic, sub-totals of blocks, totals."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING

from rlgen.core.tables import table

if TYPE_CHECKING:
    from rlgen.networks.summary import Layer, Summary

HEAD = ["layer", "type", "output", "parameters", "share", "MACs", "field", "floats"]
LEFT = 3  # columns aligned on the left
UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def lines(summary: Summary, width: int) -> list[str]:
    """The table in lines of at most `width` characters where possible; arithmetic beside the layer, or else below it.

    Layers that have no parameters and change no shape, such as activations, are counted, not listed.
    """
    rows, sums = [HEAD, ["input", "", shape(summary.input), "", "", "", "", f"{math.prod(summary.input):,}"]], ["", ""]
    for block, layers in groupby(summary.layers, lambda layer: _block(layer.name)):
        for row, arithmetic in _rows(block, list(layers), summary.parameters):
            rows.append(row)
            sums.append(arithmetic)
    found = _aligned(rows)
    found = found if not any(sums) else list(_with(sums, found, width))
    left_out = sum(not _listed(layer) for layer in summary.layers)
    if left_out:
        found.append(f"{left_out} layers without parameters that change no shape are not listed")
    return found


def totals(summary: Summary) -> list[list[str]]:
    """Rows of names and texts: parameters, multiply-adds, receptive field, memory."""
    frozen = f", {summary.frozen:,} of them frozen" if summary.frozen else ", all trainable"
    rows = [["parameters", f"{summary.parameters:,}{frozen}"]]
    for name, count in summary.unused.items():
        rows.append(["", f"{count:,} of them in {name}, which predictions do not use"])
    rows.append(["MACs", f"{amount(summary.macs)} per input; a training step takes about 6 FLOP per MAC and input"])
    if field := summary.receptive_field:
        rows.append(["field", f"{shape(field)} pixels of the image and its padding, seen from a value of the last map"])
    floats = summary.activations
    rows.append(["floats", f"{floats:,} of activations, {amount(4 * floats)}B at batch 1 in float32"])
    return rows


def shape(sizes: tuple[int, ...]) -> str:
    """`96x55x55`"""
    return "x".join(map(str, sizes)) or "1"


def amount(count: int) -> str:
    """A number to four digits with its unit: `15.47 G`."""
    for size, unit in UNITS:
        if count >= size:
            return f"{count / size:.4g} {unit}"
    return f"{count:,}"


def _block(name: str) -> str:
    """The block of a layer: the first part of its path, or the first two within `body`."""
    parts = name.split(".")
    return ".".join(parts[: 2 if parts[0] == "body" else 1])


def _rows(block: str, layers: list[Layer], total: int) -> Iterator[tuple[list[str], str]]:
    """Cells and arithmetic of the layers of a block, after its sub-totals where several have parameters."""
    several = sum(layer.parameters > 0 for layer in layers) > 1
    if several:
        last = layers[-1]
        counts = (sum(getattr(layer, name) for layer in layers) for name in ("parameters", "macs", "activations"))
        yield _cells(block.removeprefix("body."), "", last, total, *counts), ""
    for layer in filter(_listed, layers):
        name = f"  {layer.name.removeprefix(block).lstrip('.')}" if several else layer.name.removeprefix("body.")
        cells = _cells(name, layer.kind, layer, total, layer.parameters, layer.macs, layer.activations)
        parts = (
            (layer.size_arithmetic, ""),
            (layer.parameter_arithmetic, " parameters"),
            (layer.mac_arithmetic, " MACs"),
        )
        yield cells, "; ".join(f"{text}{unit}" for text, unit in parts if text)


def _cells(name: str, kind: str, layer: Layer, total: int, parameters: int, macs: int, floats: int) -> list[str]:
    field = layer.receptive_field
    seen = (
        "" if field is None else "all" if not layer.local else str(field[0]) if len(set(field)) == 1 else shape(field)
    )
    return [
        name,
        kind,
        shape(layer.output),
        f"{parameters:,}" if parameters else "",
        f"{parameters / total:.1%}" if parameters else "",
        amount(macs) if macs else "",
        seen,
        f"{floats:,}" if floats else "",
    ]


def _listed(layer: Layer) -> bool:
    return bool(layer.parameters or layer.macs or layer.output != layer.input)


def _aligned(rows: list[list[str]]) -> list[str]:
    """Rows as lines, numbers aligned on the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    padded = [[cell if i < LEFT else cell.rjust(widths[i]) for i, cell in enumerate(row)] for row in rows]
    return table(padded[0], padded[1:])


def _with(sums: list[str], rows: list[str], width: int) -> Iterator[str]:
    """Lines with their arithmetic: at their end where all of them fit, otherwise each in a line below."""
    longest = max(map(len, rows))
    if longest + 2 + max(map(len, sums)) <= width:
        yield from (f"{row.ljust(longest)}  {arithmetic}".rstrip() for row, arithmetic in zip(rows, sums, strict=True))
        return
    for row, arithmetic in zip(rows, sums, strict=True):
        yield row
        if arithmetic:
            yield f"      {arithmetic}"
