"""A ring buffer of rows as part of a state: a row is written once, so that a checkpoint adds only the new ones."""

from collections.abc import Iterator, Mapping
from typing import Protocol

import torch
from torch import Tensor

Columns = Mapping[str, Tensor]  # of rows, (rows, ...) each


class Rows(Protocol):
    """Rows number `first` to `end` - 1 of a ring buffer, in memory or in a checkpoint."""

    first: int
    end: int

    def pieces(self) -> Iterator[tuple[int, Columns]]:
        """All rows in order, some at a time: the number of the first of them, and their columns."""
        ...


class Ring:
    """Columns (capacity, ...) in which row number i, counted from 0, stands at i mod capacity.

    Rows `first` to `end` - 1 are final: they stay as they are until a later row takes their place. A checkpoint writes
    each of them once, and holds no others.
    """

    def __init__(self, columns: Columns, first: int, end: int) -> None:
        self.columns, self.first, self.end = dict(columns), first, end

    @property
    def capacity(self) -> int:
        """Number of rows that have a place."""
        return len(next(iter(self.columns.values())))

    @property
    def row_bytes(self) -> int:
        """Bytes of a row, of all columns together."""
        return sum(x[:1].numel() * x.element_size() for x in self.columns.values())

    def pieces(self) -> Iterator[tuple[int, Columns]]:
        """The final rows, in two pieces where they pass the end of the columns."""
        for start, place in _places(self.first, self.end, self.capacity):
            yield start, {name: x[place] for name, x in self.columns.items()}

    def rows(self, first: int, end: int) -> dict[str, Tensor]:
        """The rows `first` to `end` - 1, final or not, as columns; a view where they do not pass the end."""
        places = [place for _, place in _places(first, end, self.capacity)]
        if len(places) == 1:
            return {name: x[places[0]] for name, x in self.columns.items()}
        return {name: torch.cat([x[place] for place in places or [slice(0)]]) for name, x in self.columns.items()}

    def put(self, start: int, rows: Columns) -> None:
        """Copy rows into the places from that of number `start` on. Raises ValueError for other names or shapes."""
        if rows.keys() != self.columns.keys():
            raise ValueError(f"the checkpoint holds rows of {sorted(rows)}, not of {sorted(self.columns)}")
        count = len(next(iter(rows.values())))
        for name, own in self.columns.items():
            given = rows[name]
            if given.shape != (count, *own.shape[1:]) or given.dtype != own.dtype or count > len(own):
                raise ValueError(
                    f"the checkpoint holds {name} of shape {tuple(given.shape)} and {given.dtype} where"
                    f" {tuple(own.shape)} and {own.dtype} are expected"
                )
        for begin, place in _places(start, start + count, self.capacity):
            for name, own in self.columns.items():
                own[place].copy_(rows[name][begin - start : begin - start + place.stop - place.start])

    def fill(self, saved: Rows) -> None:
        """Copy all rows of `saved` into their places. Raises ValueError where they do not fit, or some are missing."""
        if not 0 <= saved.first <= saved.end <= saved.first + self.capacity:
            raise ValueError(f"the checkpoint holds rows {saved.first} to {saved.end}, of {self.capacity} places")
        reached = saved.first
        for start, rows in saved.pieces():
            if start != reached:
                raise ValueError(f"the checkpoint lacks rows {reached} to {start}")
            self.put(start, rows)
            reached += len(next(iter(rows.values())))
        if reached != saved.end:
            raise ValueError(f"the checkpoint lacks rows {reached} to {saved.end}")


def _places(first: int, end: int, capacity: int) -> Iterator[tuple[int, slice]]:
    """The places of rows `first` to `end` - 1, at most `capacity` of them, each with the number of its first row."""
    while first < end:
        place = first % capacity
        count = min(end - first, capacity - place)
        yield first, slice(place, place + count)
        first += count
