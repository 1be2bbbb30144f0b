import csv
import json
import sys

import pytest

from rlgen.core.errors import UserError
from rlgen.core.folder import Folder
from rlgen.report.export import columns, write_csv, write_parquet


@pytest.fixture
def folder(tmp_path):
    folder = Folder.create(tmp_path, "x")
    rows = [{"time": 0, "eval": 2}, {"time": 10, "loss": [1, None]}, {"time": 10, "eval": 2.5}]
    (folder.directory / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder.directory / "timing.jsonl").write_text('{"time": 10, "seconds": 1.5}\n')
    return folder


def test_one_row_per_time_one_column_per_metric_and_seed(folder):
    assert columns(folder) == {
        "time": [0, 10],
        "seconds": [None, 1.5],
        "eval": [2, 2.5],
        "loss[0]": [None, 1],
        "loss[1]": [None, None],
    }


def test_csv(folder, tmp_path):
    write_csv(folder, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["time", "seconds", "eval", "loss[0]", "loss[1]"],
            ["0", "", "2", "", ""],
            ["10", "1.5", "2.5", "1", ""],
        ]


def test_parquet(folder, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    write_parquet(folder, tmp_path / "a.parquet")
    table = parquet.read_table(tmp_path / "a.parquet")
    assert table.to_pydict() == columns(folder)
    assert str(table.schema.field("time").type) == "int64"


def test_parquet_without_pyarrow_is_one_clear_line(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"pip install 'rlgen\[parquet\]'"):
        write_parquet(folder, tmp_path / "a.parquet")


def test_an_empty_log(tmp_path):
    with pytest.raises(UserError, match="no metrics yet"):
        columns(Folder.create(tmp_path, "x"))
