import json
import random
import time as clock
import tracemalloc

import pytest

from rlgen.core.files import replacing
from rlgen.ui import logs
from rlgen.ui.logs import read, thin


def write(path, rows, mode="w"):
    with path.open(mode) as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def series(count, seed=0):
    rng = random.Random(seed)
    return [{"time": 10 * i, "loss": rng.gauss(0, 1), "q": [rng.random(), None]} for i in range(count)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.jsonl"


def test_only_new_lines_are_read(path):
    rows = series(100)
    write(path, rows[:60])
    first = read(path.parent, path)
    assert first.rows == rows[:60]
    assert (first.restart, first.more, first.offset) == (True, False, path.stat().st_size)
    nothing = read(path.parent, path, first.offset, first.id)
    assert (nothing.rows, nothing.restart, nothing.offset) == ([], False, first.offset)
    write(path, rows[60:], "a")
    assert read(path.parent, path, first.offset, first.id).rows == rows[60:]


def test_an_incomplete_line_is_read_once_it_is_complete(path):
    write(path, [{"time": 1, "loss": 1.0}])
    with path.open("a") as file:
        file.write('{"time": 2, "lo')
    first = read(path.parent, path)
    assert first.rows == [{"time": 1, "loss": 1.0}]
    with path.open("a") as file:
        file.write('ss": 2.0}\n')
    assert read(path.parent, path, first.offset, first.id).rows == [{"time": 2, "loss": 2.0}]


def test_a_replaced_file_begins_anew(path):
    """A resume replaces the log by its lines up to the checkpoint."""
    write(path, series(50))
    first = read(path.parent, path)
    with replacing(path) as partial:
        write(partial, series(50)[:20])
    write(path, series(80)[20:], "a")  # longer than before: its size tells nothing
    again = read(path.parent, path, first.offset, first.id)
    assert (again.restart, again.rows) == (True, series(80))
    assert again.id != first.id


def test_a_shorter_file_begins_anew(path):
    write(path, series(50))
    first = read(path.parent, path)
    with path.open("r+") as file:
        file.truncate(0)
    write(path, series(3))
    again = read(path.parent, path, first.offset, first.id)
    assert (again.restart, len(again.rows)) == (True, 3)


def test_a_restart_with_points_is_thinned_and_new_lines_are_not(path):
    write(path, series(5000))
    first = read(path.parent, path, points=100)
    assert len(first.rows) < 500
    write(path, [{"time": 60_000 + i, "loss": 0.0} for i in range(300)], "a")
    assert len(read(path.parent, path, first.offset, first.id, points=100).rows) == 300
    assert len(read(path.parent, path, first.offset, "another", points=100).rows) < 500


@pytest.mark.parametrize(
    "line",
    ["", "{", "[1]", "null", "7", '"x"', "{}", '{"loss": 1}', '{"time": "1", "loss": 1}', '{"time": NaN}', "}{", "\x00",
     '{"time": true}', '{"time": [1]}', "[" * 5000, "1" * 5000, '],[{"time": 5}', b"\xff\xfe"],
)  # fmt: skip
def test_torn_lines_are_left_out_and_later_ones_read(path, line):
    write(path, series(3))
    with path.open("ab") as file:
        file.write((line if isinstance(line, bytes) else line.encode()) + b"\n")
    write(path, [{"time": 99, "loss": 1.0}], "a")
    rows = read(path.parent, path).rows
    assert [row for row in rows if row != {"time": 5}] == [*series(3), {"time": 99, "loss": 1.0}]


def test_values_that_are_no_finite_numbers_are_left_out(path):
    path.write_text(
        '{"time": 1, "a": NaN, "b": "x", "c": [1, NaN, "x", null, Infinity], "d": {}, "e": true, "f": 1e999, "g": 2,'
        f' "h": [], "i": {10**310}, "{"n" * 500}": 1}}\n'
    )
    (row,) = read(path.parent, path).rows
    assert row == {"time": 1, "c": [1, None, None, None, None], "g": 2, "n" * logs.LENGTH: 1}


def test_former_names_of_metrics_are_current_ones(path):
    write(path, [{"time": 1, "eval_active": 5}])
    assert read(path.parent, path).rows == [{"time": 1, "eval_active_units": 5}]
    assert logs.names(path.parent, path) == ["eval_active_units"]


def test_a_long_log_comes_in_parts(path, monkeypatch):
    monkeypatch.setattr(logs, "CHUNK", 10_000)
    write(path, series(2000))
    rows, after, identity, parts = [], 0, "", 0
    while True:
        answer = read(path.parent, path, after, identity)
        rows, after, identity, parts = [*rows, *answer.rows], answer.offset, answer.id, parts + 1
        if not answer.rows:
            break
        assert answer.restart == (parts == 1)
    assert rows == series(2000)
    assert parts > 5
    assert read(path.parent, path).more


def test_a_line_longer_than_a_part_is_left_out(path, monkeypatch):
    monkeypatch.setattr(logs, "CHUNK", 1000)
    path.write_text('{"time": 1, "x": "' + 5000 * "x" + '"}\n{"time": 2, "loss": 1.0}\n')
    assert read(path.parent, path, points=10).rows == [{"time": 2, "loss": 1.0}]


def test_thinning_keeps_the_extremes_of_every_part_in_order():
    rows = series(10_000)
    thinned = thin(rows, 200)
    loss = [row for row in thinned if "loss" in row]
    assert 150 <= len(loss) <= 2 * 100 + 3
    assert [row["time"] for row in thinned] == sorted(row["time"] for row in thinned)
    assert all(row in [{name: rows[row["time"] // 10][name] for name in row}] for row in thinned)
    width = 99_990 / 100
    for part in range(100):
        of_part = [row["loss"] for row in rows if int(row["time"] / width) == part]
        kept = [row["loss"] for row in loss if int(row["time"] / width) == part]
        assert (min(kept), max(kept)) == (min(of_part), max(of_part))
    assert loss[-1]["time"] == rows[-1]["time"]


def test_the_last_value_of_a_metric_that_ends_early_is_kept():
    rows = [{"time": i, "loss": float(i % 3)} for i in range(1001)]  # the last is neither the least nor the largest
    thinned = thin([*rows, {"time": 4800, "eval": 1.0}], 20)
    assert [row for row in thinned if "loss" in row][-1] == {"time": 1000, "loss": 1.0}


def test_metrics_of_few_values_are_kept_whole():
    rows = sorted([*series(5000), *({"time": 500 * i, "eval": i} for i in range(100))], key=lambda row: row["time"])
    thinned = thin(rows, 100)
    assert [row["eval"] for row in thinned if "eval" in row] == list(range(100))


def test_seeds_without_a_value_and_equal_times_are_thinned_as_well():
    assert thin([{"time": 1, "q": [None, None]}] * 50, 4) == [{"time": 1, "q": [None, None]}]
    assert len(thin([{"time": 1, "loss": float(i)} for i in range(50)], 4)) <= 3


def test_thinning_in_parts_is_that_of_the_whole(path, monkeypatch):
    """The extremes over the parts of a log are extremes of the log."""
    write(path, series(20_000))
    thinned = read(path.parent, path, points=200).rows
    values = [row["loss"] for row in thinned if "loss" in row]
    everything = [row["loss"] for row in series(20_000)]
    assert (min(values), max(values)) == (min(everything), max(everything))
    assert len(thinned) < 1200


def test_of_episodes_every_kth_is_kept(tmp_path):
    """Extremes alone would change their running mean."""
    path = tmp_path / "episodes.jsonl"
    write(path, [{"time": i, "seed": i % 2, "return": float(i % 7), "length": 5} for i in range(10_000)])
    answer = read(tmp_path, path, points=500)
    assert answer.every == 4
    assert [row["time"] for row in answer.rows] == list(range(0, 10_000, 4))
    assert all(set(row) == {"time", "seed", "return", "length"} for row in answer.rows)


def test_a_log_of_70_mb_takes_little_memory(path):
    line = json.dumps({"time": 1, **{f"metric_{i}": 0.123456 * i for i in range(20)}})
    count = 70 * 2**20 // (len(line) + 8)
    with path.open("w") as file:
        for start in range(0, count, 1000):
            file.writelines(f'{{"time": {start + i}{line[10:]}\n' for i in range(1000))
    assert path.stat().st_size > 70e6
    started = clock.perf_counter()
    tracemalloc.start()
    first = read(path.parent, path)
    assert len(first.rows) * len(line) < 3 * 2**20
    assert first.more
    assert tracemalloc.get_traced_memory()[1] < 25 * 2**20
    tracemalloc.stop()
    assert clock.perf_counter() - started < 5


def test_wide_lines_do_not_fill_the_memory(path):
    """Of thousands of seeds, fewer rows are held."""
    rows = [{"time": i, "q": [float(i)] * 1000} for i in range(4000)]
    write(path, rows)
    answer = read(path.parent, path, points=4000)
    assert sum(len(row["q"]) for row in answer.rows) * 5 < 2 * logs.HELD
    assert answer.every > 1
