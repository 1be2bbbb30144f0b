import json

import pytest

from rlgen.core.tail import Tail


def line(time, **values):
    return json.dumps({"time": time, **values}) + "\n"


@pytest.fixture
def log(tmp_path):
    return tmp_path / "metrics.jsonl"


def test_only_whole_lines_are_taken_and_each_of_them_once(log):
    tail = Tail(log)
    assert not tail.update()
    log.write_text(line(1, loss=0.5) + '{"time": 2, "lo')
    assert tail.update()
    assert tail.rows == [{"time": 1, "loss": 0.5}]
    assert not tail.update()
    with log.open("a") as file:
        file.write('ss": 0.25}\n' + line(3, loss=0.1))
    assert tail.update()
    assert [row["time"] for row in tail.rows] == [1, 2, 3]


def test_a_log_that_was_cut_by_a_resume_is_read_again(log):
    log.write_text(line(1) + line(2) + line(3))
    tail = Tail(log)
    tail.update()
    partial = log.with_name("partial")  # as `Run.resume` writes it
    partial.write_text(line(1))
    partial.replace(log)
    assert tail.update()
    assert [row["time"] for row in tail.rows] == [1]


def test_a_log_that_was_cut_and_has_grown_beyond_its_former_length_is_read_again(log):
    log.write_text(line(1) + line(2))
    tail = Tail(log)
    tail.update()
    partial = log.with_name("partial")
    partial.write_text(line(1) + line(5) + line(6))
    partial.replace(log)
    tail.update()
    assert [row["time"] for row in tail.rows] == [1, 5, 6]


def test_a_shorter_log_and_one_that_is_removed(log):
    log.write_text(line(1) + line(2))
    tail = Tail(log)
    tail.update()
    log.write_text(line(5))
    assert tail.update()
    assert [row["time"] for row in tail.rows] == [5]
    log.unlink()
    assert tail.update()
    assert tail.rows == []


def test_lines_of_another_program_are_left_out(log):
    log.write_text('[1]\nnull\n\x00\n{"time": "x"}\n{"loss": 1}\n' + "[" * 9999 + "\n" + line(1, eval_active=2))
    tail = Tail(log)
    tail.update()
    assert tail.rows == [{"time": 1, "eval_active_units": 2}]
