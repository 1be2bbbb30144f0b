"""A damaged run is resumed from what is whole, and says what is lost."""

import json
import shutil

import pytest

from rlgen.core import checkpoint
from rlgen.core.errors import CheckpointError, StorageError
from rlgen.core.run import Run


def train(run, algorithm, steps):
    for _ in range(steps):
        run.collect(algorithm.step())
        run.flush(algorithm.time)
        run.save(algorithm)


def test_a_log_with_a_bad_byte_is_resumed_without_its_line_alone(run, walk, caplog):
    train(run, walk(), 4)
    path = run.directory / "metrics.jsonl"
    before, rows = path.read_bytes(), run.rows()
    bad = before.replace(b'"time": 2', b'"time": 3', 1)
    path.write_bytes(bad)
    assert run.rows() == [rows[0], *rows[2:]]
    again, algorithm = Run(run.directory), walk()
    again.resume(algorithm)
    assert again.rows() == [rows[0], *rows[2:]]
    assert (run.directory / "metrics.jsonl.damaged").read_bytes() == bad.splitlines(keepends=True)[1]
    (message,) = [record.getMessage() for record in caplog.records]
    assert "1 of 4 lines of metrics.jsonl, damaged ones kept in metrics.jsonl.damaged" in message
    train(again, algorithm, 1)
    assert [json.loads(line)["check"].split("-")[0] for line in path.read_text().splitlines()] == ["1", "3", "4", "5"]


def test_lines_are_counted_in_run_json_and_in_the_checkpoint(run, walk):
    train(run, walk(), 3)
    assert run.info["lines"] == {"metrics.jsonl": 3, "timing.jsonl": 3}
    saved = checkpoint.load(checkpoint.newest_first(run.directory / "checkpoints")[0])
    assert saved["run"]["lines"] == {"metrics.jsonl": 3, "timing.jsonl": 3}


def test_a_missing_newest_checkpoint_is_mentioned(run, walk, caplog):
    train(run, walk(), 3)
    shutil.rmtree(run.directory / "checkpoints" / "000000003")
    again, algorithm = Run(run.directory), walk()
    again.resume(algorithm)
    assert algorithm.time == 2
    assert "the checkpoint at 3 is missing: training continues at 2" in caplog.text
    assert again.info["lines"]["metrics.jsonl"] == len(again.rows()) == 2


def test_a_trained_run_without_any_checkpoint_keeps_its_log(run, walk):
    train(run, walk(), 3)
    before = (run.directory / "metrics.jsonl").read_bytes()
    shutil.rmtree(run.directory / "checkpoints")
    with pytest.raises(CheckpointError, match=r"walk-1 was trained to 3 and its checkpoints are missing: train again"):
        Run(run.directory).resume(walk())
    assert (run.directory / "metrics.jsonl").read_bytes() == before


def test_a_removed_run_is_not_made_again_by_its_training(run, walk):
    algorithm = walk()
    train(run, algorithm, 2)
    shutil.rmtree(run.directory)
    run.collect(algorithm.step())
    for write in (lambda: run.flush(3), lambda: run.save(algorithm), lambda: run.draw(3, {"samples": None})):
        with pytest.raises(StorageError, match="walk-1 was removed"):
            write()
    assert not run.directory.exists()


def test_rows_that_could_not_be_written_are_written_later(run, walk, monkeypatch):
    run.collect({"episodes": [{"time": 1, "return": 2.0}]})
    with monkeypatch.context() as patch:
        patch.setattr("rlgen.core.logs.append", lambda *words: (_ for _ in ()).throw(OSError(28, "No space left")))
        with pytest.raises(StorageError, match=r"cannot write episodes\.jsonl"):
            run.flush(1)
    run.flush(1)
    assert run.rows("episodes.jsonl") == [{"time": 1, "return": 2.0}]
