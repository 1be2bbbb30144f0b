"""Logs of a run: what is lost is noticed, and nothing else is lost."""

import json
import logging
import random

import pytest

from rlgen.core import files, logs
from rlgen.core.errors import StorageError

ROWS = [{"time": 10 * i, "loss": [i / 3, None], "return": -i} for i in range(1, 9)]


@pytest.fixture
def path(tmp_path):
    """A log of `ROWS`."""
    path = tmp_path / "metrics.jsonl"
    logs.append(path, ROWS[:3], 1)
    logs.append(path, ROWS[3:], 4)
    return path


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_lines_have_numbers_and_readers_do_not_see_them(path):
    found = logs.read(path)
    assert found.rows == ROWS
    assert found.numbers == list(range(1, 9))
    assert (found.damaged, found.torn, found.checked) == ([], b"", True)
    assert (found.lost(), found.lost(8), found.lost(10)) == (0, 0, 2)
    first = json.loads(path.read_text().splitlines()[0])
    assert first == {**ROWS[0], "check": first["check"]}
    assert first["check"].startswith("1-")


def test_the_text_of_a_log_depends_on_its_rows_alone(path, tmp_path):
    other = tmp_path / "other"
    for i, row in enumerate(ROWS, 1):
        assert logs.append(other, [row], i) == i + 1
    assert other.read_bytes() == path.read_bytes()


def test_lines_of_earlier_versions_are_read(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS) + '{"time": 90, "lo')
    found = logs.read(path)
    assert (found.rows, found.damaged, found.torn, found.checked) == (ROWS, [], b'{"time": 90, "lo', False)
    assert found.lost() == 0
    path.write_text('{"time": 1}\n{torn\n[1]\n{"time": 2}\n')
    assert (logs.read(path).rows, logs.read(path).lost()) == ([{"time": 1}, {"time": 2}], 2)
    assert logs.read(tmp_path / "missing") == logs.Log()


@pytest.mark.parametrize("part", range(4))
def test_every_flip_is_noticed_and_costs_its_line_alone(path, part):
    content, expected = path.read_bytes(), len(ROWS)
    for place in range(part, len(content), 4):
        flipped = bytearray(content)
        flipped[place] ^= 1 << random.Random(place).randrange(8)
        path.write_bytes(flipped)
        found = logs.read(path)
        assert found.damaged or found.torn or found.lost(expected), place
        assert found.lost(expected) <= 1, place
        assert all(row in ROWS for row in found.rows), place


def test_every_truncation_is_noticed(path):
    content = path.read_bytes()
    for size in range(len(content) - 1):
        path.write_bytes(content[:size])
        assert logs.read(path).lost(len(ROWS)) == len(ROWS) - content[: size + 1].count(b"\n")
    path.write_bytes(content[:-1])  # the end of the last line alone
    assert logs.read(path).rows == ROWS


def test_lines_on_both_sides_of_a_damaged_end_are_read(path):
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(lines[0] + b"\n" + lines[1] + b"\x8a" + lines[2] + b"\n\n" + b"\0\0" + lines[3] + b"\n")
    found = logs.read(path)
    assert found.numbers == [1, 2, 3, 4]
    assert len(found.damaged) == 3
    assert found.lost(4) == 0


def test_a_part_of_a_log_is_read_at_a_time(path):
    lines = path.read_bytes().splitlines()
    reader = logs.Reader()
    assert reader.rows(lines[:3]) == ROWS[:3]
    assert reader.rows([lines[3][:-12], lines[4].replace(b"return", b"retorn"), b"{}", lines[6]]) == [ROWS[6]]
    assert (reader.damaged, reader.count, reader.lost(), reader.lost(9)) == (3, 4, 3, 5)


def test_appending_to_a_full_disk_leaves_the_log_as_it_was(path, monkeypatch):
    before, write, written = path.read_bytes(), files.os.write, []

    def full(descriptor, content):
        if written:
            raise OSError(28, "No space left on device")
        written.append(content)
        return write(descriptor, bytes(content[:7]))

    monkeypatch.setattr(logs.os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        logs.append(path, ROWS, 9)
    assert path.read_bytes() == before


def test_cutting_keeps_damaged_lines_aside(path, caplog):
    lines = path.read_bytes().splitlines(keepends=True)
    bad = lines[2].replace(b"3", b"4", 1)
    path.write_bytes(b"".join([*lines[:2], bad, *lines[3:5], *lines[6:], b'{"time": 90, "lo']))
    assert logs.cut_all(path.parent, 70, {"metrics.jsonl": 7}) == {"metrics.jsonl": 7}
    assert path.read_bytes() == b"".join([*lines[:2], *lines[3:5], lines[6]])
    assert path.with_name("metrics.jsonl.damaged").read_bytes() == bad
    (warning,) = warnings(caplog)
    assert "2 of 7 lines of metrics.jsonl, damaged ones kept in metrics.jsonl.damaged" in warning
    assert logs.read(path).lost(7) == 2
    logs.append(path, ROWS[7:], 8)
    assert logs.read(path).numbers == [1, 2, 4, 5, 7, 8]


@pytest.mark.parametrize("damage", ["emptied", "deleted"])
def test_an_emptied_or_deleted_log_is_mentioned(path, caplog, damage):
    path.write_bytes(b"")
    if damage == "deleted":
        path.unlink()
    assert logs.cut_all(path.parent, 80, {"metrics.jsonl": 8, "timing.jsonl": 0}) == {"metrics.jsonl": 8}
    assert "8 of 8 lines of metrics.jsonl" in "".join(warnings(caplog))
    assert path.exists() == (damage == "emptied")


def test_cutting_what_was_written_after_a_checkpoint_is_no_loss(path, caplog):
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    assert logs.cut_all(path.parent, 50, {"metrics.jsonl": 5}) == {"metrics.jsonl": 5}
    assert logs.read(path).rows == ROWS[:5]
    assert logs.cut_all(path.parent, -1, {}) == {}
    assert path.read_bytes() == b""
    assert not warnings(caplog)
    assert not path.with_name("metrics.jsonl.damaged").exists()


def test_a_log_of_an_earlier_version_is_cut_by_time_and_receives_checks(tmp_path, caplog):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS[:4]) + 'x\n{"loss": 1}\n{"time": 60, "lo')
    assert logs.cut_all(tmp_path, 30, {}) == {"metrics.jsonl": 3}
    found = logs.read(path)
    assert (found.rows, found.numbers, found.checked) == (ROWS[:3], [1, 2, 3], True)
    assert path.with_name("metrics.jsonl.damaged").read_text() == "x\n"
    assert "1 of 3 lines of metrics.jsonl" in "".join(warnings(caplog))


def test_a_log_that_is_no_file_is_named(path):
    path.unlink()
    path.mkdir()
    with pytest.raises(StorageError, match=r"cannot read .*metrics\.jsonl"):
        logs.cut_all(path.parent, 10, {"metrics.jsonl": 1})
