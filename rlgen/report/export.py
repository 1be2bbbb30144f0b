"""The log of a run as a table for other programs: CSV or Parquet. One row per time, one column per metric and seed."""

import csv
from pathlib import Path
from typing import Any

from rlgen.core.errors import UserError
from rlgen.core.files import replacing
from rlgen.core.folder import Folder

Columns = dict[str, list[float | None]]


def columns(folder: Folder) -> Columns:
    """`time`, `seconds`, and each metric, `NAME[SEED]` of several seeds; None where a time has no value.

    Raises UserError for an empty log.
    """
    seconds = {row["time"]: row.get("seconds") for row in folder.rows("timing.jsonl") if "time" in row}
    rows: dict[float, dict[str, float | None]] = {}
    for row in folder.rows():
        values = rows.setdefault(row["time"], {"time": row["time"], "seconds": seconds.get(row["time"])})
        for name, value in row.items():
            if isinstance(value, list):
                values.update({f"{name}[{seed}]": number for seed, number in enumerate(value)})
            else:
                values[name] = value
    if not rows:
        raise UserError(f"{folder.name} has no metrics yet: its log is written during the training")
    names = list(dict.fromkeys(name for values in rows.values() for name in values))
    table = [rows[time] for time in sorted(rows)]
    return {name: [_number(values.get(name)) for values in table] for name in names}


def write_csv(folder: Folder, path: Path) -> None:
    """Write the columns with a head; an empty cell where there is no value."""
    found = columns(folder)
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(found)
        writer.writerows(zip(*found.values(), strict=True))


def write_parquet(folder: Folder, path: Path) -> None:
    """Write the columns, null where there is no value. Raises UserError without pyarrow."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UserError("--parquet needs pyarrow: pip install 'rlgen[parquet]', or take --csv") from None
    table = pyarrow.table(
        {name: pyarrow.array(values, _type(pyarrow, values)) for name, values in columns(folder).items()}
    )
    with replacing(path) as partial:
        parquet.write_table(table, partial)


def _type(pyarrow: Any, values: list[float | None]) -> Any:
    """Integers where all values are."""
    return pyarrow.int64() if all(isinstance(value, int) for value in values) else pyarrow.float64()


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
