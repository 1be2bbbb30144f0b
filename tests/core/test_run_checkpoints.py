"""Checkpoints of a run: which are kept, which is the best, and what a resumed run continues from."""

import json
import logging
import os
import shutil

import pytest
import torch
from safetensors import SafetensorError

from rlgen.core import checkpoint
from rlgen.core.errors import CheckpointError, StorageError, UserError
from rlgen.core.fit import fit
from rlgen.core.run import Run
from rlgen.core.settings import Plan


def times(run):
    return sorted(int(path.name) for path in (run.directory / "checkpoints").iterdir())


def damage(run, time):
    path = run.directory / "checkpoints" / f"{time:09d}" / "state.json"
    path.write_bytes(path.read_bytes()[:-1])


def train(run, walk, until, save_every=1):
    """As in the loop, with a row, an evaluation and a checkpoint at every step."""
    while walk.time < until:
        run.collect(walk.step())
        run.flush(walk.time)
        run.record(walk.time, walk.evaluate(), "eval_score")
        if walk.time % save_every == 0:
            run.save(walk)


def test_the_newest_two_and_the_best_are_kept(run, walk, monkeypatch):
    scores = iter([1, 2, 9, 3, 4, 5, 6, 10, 0, 0])
    monkeypatch.setattr(walk, "evaluate", lambda self: {"eval_score": float(next(scores))})
    kept, algorithm = [], walk()
    for time in range(1, 11):
        train(run, algorithm, time)
        kept.append(times(run))
    assert kept == [[1], [1, 2], [2, 3], [3, 4], [3, 4, 5], [3, 5, 6], [3, 6, 7], [7, 8], [8, 9], [8, 9, 10]]
    assert (run.info["best"], run.info["best_time"], run.info["time"]) == (10, 8, 10)
    last, best = walk(), walk()
    Run(run.directory).load(last)
    Run(run.directory).load(best, "best")
    assert (last.time, best.time) == (10, 8)
    assert times(run) == [8, 9, 10]  # loading changes nothing


def test_a_damaged_checkpoint_is_skipped(run, walk, caplog):
    algorithm = walk()
    train(run, algorithm, 6, save_every=2)
    damage(run, 6)
    again, resumed = Run(run.directory), walk()
    with caplog.at_level(logging.WARNING, "rlgen"):
        again.resume(resumed)
    assert resumed.time == 4
    assert len(caplog.records) == 1
    assert "000000006 is damaged" in caplog.text
    assert "trying the checkpoint before it" in caplog.text
    assert again.rows()[-1]["time"] == 4
    train(again, resumed, 6, save_every=2)
    assert torch.equal(resumed.weights, algorithm.weights)
    checkpoint.verify(run.directory / "checkpoints" / "000000006")


def test_a_damaged_or_missing_best_is_not_replaced_by_another(run, walk, monkeypatch):
    monkeypatch.setattr(walk, "evaluate", lambda self: {"eval_score": -float(self.time)})
    train(run, walk(), 5)
    assert times(run) == [1, 4, 5]
    damage(run, 1)
    with pytest.raises(CheckpointError, match=r"the best checkpoint of walk-1: .*000000001 is damaged.*use the last"):
        Run(run.directory).load(walk(), "best")
    shutil.rmtree(run.directory / "checkpoints" / "000000001")
    with pytest.raises(CheckpointError, match=r"000000001 is not a complete checkpoint.*use the last"):
        Run(run.directory).load(walk(), "best")


def test_without_a_scored_evaluation_there_is_no_best(run, walk):
    run.save(walk())
    with pytest.raises(UserError, match="walk-1 has no best checkpoint: no evaluation was scored and saved"):
        run.load(walk(), "best")


def test_a_best_that_was_not_written_is_not_claimed(run, walk, monkeypatch):
    """Scores 1, 9, 3, 2: the checkpoint of 9 meets a full disk, so the best that exists is that of 3."""
    scores = iter([1.0, 9.0, 3.0, 2.0, 2.5])
    monkeypatch.setattr(walk, "evaluate", lambda self: {"eval_score": next(scores)})
    algorithm = walk()
    train(run, algorithm, 1)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", lambda *args: (_ for _ in ()).throw(OSError(28, "No space left")))
        train(run, algorithm, 2)
    assert (run.best, run.best_time) == (run.info["best"], run.info["best_time"]) == (1.0, 1)
    train(run, algorithm, 5)
    assert (run.info["best"], run.info["best_time"]) == (3.0, 3)
    best = walk()
    Run(run.directory).load(best, "best")
    assert best.time == 3


def test_a_resumed_run_claims_the_best_of_its_checkpoint(run, walk, monkeypatch):
    scores = iter([1.0, 2.0, 9.0])
    monkeypatch.setattr(walk, "evaluate", lambda self: {"eval_score": next(scores)})
    train(run, walk(), 3)
    damage(run, 3)
    again, resumed = Run(run.directory), walk()
    again.resume(resumed)
    assert (again.info["best"], again.info["best_time"]) == (2.0, 2)
    monkeypatch.setattr(checkpoint, "save_file", lambda *args: (_ for _ in ()).throw(OSError(28, "No space left")))
    again.record(3, {"eval_score": 7.0}, "eval_score")
    resumed.time = 3
    again.save(resumed)
    assert (again.best, again.best_time) == (2.0, 2)


def test_with_damaged_checkpoints_only_nothing_is_loaded(run, walk):
    train(run, walk(), 3)
    for time in times(run):
        damage(run, time)
    before = (run.directory / "metrics.jsonl").read_text()
    fresh = walk()
    for attempt in (Run(run.directory).resume, Run(run.directory).load):
        with pytest.raises(CheckpointError, match=r"every checkpoint of walk-1 is damaged.*run\.json"):
            attempt(fresh)
    assert (fresh.time, fresh.weights.any()) == (0, False)
    assert (run.directory / "metrics.jsonl").read_text() == before


def test_without_a_checkpoint(run, walk):
    with pytest.raises(CheckpointError, match="has no checkpoint: wait for the first"):
        run.load(walk())
    run.collect({"loss": 1.0})
    run.flush(5)
    again, fresh = Run(run.directory), walk()
    again.resume(fresh)  # without a checkpoint: from the beginning
    assert fresh.time == 0
    assert again.rows() == []


def test_resuming_discards_everything_after_the_checkpoint(run, walk):
    algorithm = walk()
    train(run, algorithm, 4, save_every=3)  # 3 is saved, 4 only logged
    (run.directory / "samples").mkdir()
    for time in (3, 4, 5):
        (run.directory / "samples" / f"{time:09d}.png").write_bytes(b"a picture")
    text = (run.directory / "metrics.jsonl").read_text()
    with (run.directory / "metrics.jsonl").open("a") as file:
        file.write('{"time": 5, "los')  # incomplete, as after a power cut
    partial = run.directory / "checkpoints" / ".partial-77-000000004"
    partial.mkdir()
    (partial / "weights.safetensors").write_bytes(b"half")
    (run.directory / ".partial-77-run.json").write_text("{")
    (run.directory / "samples" / ".partial-77-000000005.png").write_bytes(b"half")

    again, resumed = Run(run.directory), walk()
    again.resume(resumed)
    assert resumed.time == 3
    kept = (run.directory / "metrics.jsonl").read_text()
    assert kept == "".join(line for line in text.splitlines(keepends=True) if json.loads(line)["time"] <= 3)
    assert [row["time"] for row in again.rows("timing.jsonl")] == [1, 2, 3]
    assert [path.name for path in (run.directory / "samples").iterdir()] == ["000000003.png"]
    assert [path.name for path in (run.directory / "checkpoints").iterdir()] == ["000000003"]
    assert {path.name for path in run.directory.iterdir()} == {
        "run.json", "metrics.jsonl", "timing.jsonl", "samples", "checkpoints",
    }  # fmt: skip


def test_resuming_keeps_foreign_files(run, walk):
    train(run, walk(), 2)
    mine = [run.directory / name for name in ("notes/idea.png", "checkpoints/good/state.json", "curves.png", ".hidden")]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    Run(run.directory).resume(walk())
    assert [path.exists() for path in mine] == [True] * 4


def test_metrics_of_unfinished_rows_are_part_of_the_state(run, walk):
    straight, algorithm = Run.create(run.directory.parent, "straight"), walk()
    for _ in range(7):
        straight.collect(algorithm.step())
    straight.flush(7)

    algorithm = walk()
    for _ in range(3):
        run.collect(algorithm.step())
    run.save(algorithm)
    again, resumed = Run(run.directory), walk()
    again.resume(resumed)
    for _ in range(4):
        again.collect(resumed.step())
    again.flush(7)
    assert again.rows() == straight.rows()


def test_time_spent_adds_up(run, walk):
    algorithm = walk()
    train(run, algorithm, 2)
    run.seconds += 100.0
    train(run, algorithm, 3)
    again = Run(run.directory)
    again.resume(walk())
    assert again.elapsed() >= 100
    assert again.info["seconds"] >= 100


def test_torch_streams_are_part_of_the_state(run, walk):
    run.save(walk())
    expected = torch.rand(3)
    torch.manual_seed(99)
    Run(run.directory).resume(walk())
    assert torch.equal(torch.rand(3), expected)


FULL = [OSError(28, "No space left on device"), SafetensorError("I/O error: No space left on device (os error 28)")]


@pytest.mark.parametrize("error", FULL)
def test_training_continues_without_a_checkpoint_on_a_full_disk(run, walk, monkeypatch, caplog, error):
    algorithm = walk()
    train(run, algorithm, 2)

    def full(*args):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", full)
        train(run, algorithm, 3)
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "the checkpoint at 3 was not written" in caplog.text
        assert "No space left" in caplog.text
        assert times(run) == [1, 2]
        for time in times(run):
            checkpoint.verify(run.directory / "checkpoints" / f"{time:09d}")
        with pytest.raises(
            StorageError, match=r"the checkpoint at 2 is intact: make room, then `rlgen resume .*walk-1`"
        ) as e:
            run.save(algorithm, last=True)
        assert e.value.code == 7
        assert times(run) == [1, 2]
    train(run, algorithm, 4)  # space on the disk again
    assert times(run) == [2, 4]


def test_a_log_that_cannot_be_written_is_named(run, monkeypatch):
    (run.directory / "metrics.jsonl").mkdir()
    with pytest.raises(StorageError, match=r"cannot write metrics\.jsonl .*rlgen resume .*walk-1"):
        run.record(1, {"loss": 1.0})


def test_the_log_is_on_the_disk_before_its_checkpoint(run, walk, monkeypatch):
    order, fsync, rename = [], os.fsync, os.rename
    train(run, walk(), 1)
    names = {(run.directory / name).stat().st_ino: name for name in ("metrics.jsonl", "timing.jsonl")}
    monkeypatch.setattr(os, "fsync", lambda d: (order.append(names.get(os.fstat(d).st_ino)), fsync(d)))
    monkeypatch.setattr(os, "rename", lambda a, b: (order.append("rename"), rename(a, b)))
    algorithm = walk()
    algorithm.time = 2
    run.save(algorithm)
    assert {"metrics.jsonl", "timing.jsonl"} <= set(order[: order.index("rename")])


def test_time_0_is_evaluated_once_where_the_first_checkpoint_is_that_of_its_beginning(run, walk):
    """Killed after the first row: a resumed run evaluates time 0 again."""
    with run:
        run.save(walk())
        with pytest.raises(ZeroDivisionError):  # before the second checkpoint
            fit(walk(at={1: lambda: 1 / 0}), run, Plan(budget=4))
        assert [row["time"] for row in run.rows()] == [0]
        again = Run(run.directory)
        again.resume(walk())
    assert not [row for row in again.rows() if row["time"] == 0]


def test_a_checkpoint_is_deleted_whole(run, walk, monkeypatch):
    """Killed while old checkpoints are deleted: what is left is no checkpoint, and the resumed run deletes it."""
    with run:
        made = walk()
        train(run, made, 2)
        monkeypatch.setattr(shutil, "rmtree", lambda folder, **more: (folder / "manifest.json").unlink(missing_ok=True))
        train(run, made, 5)
        monkeypatch.undo()
        for folder in checkpoint.newest_first(run.directory / "checkpoints"):
            checkpoint.verify(folder)
        assert list(run.directory.glob("checkpoints/.partial-*"))
        (run.directory / "checkpoints" / "000000005").rename(run.directory / "kept")
        shutil.copytree(run.directory / "kept", run.directory / "checkpoints" / "000000001")
        (run.directory / "kept").rename(run.directory / "checkpoints" / "000000005")
        Run(run.directory).resume(walk())
    assert len(times(run)) <= 3
    assert not list(run.directory.glob("checkpoints/.*"))
    assert 1 not in times(run)
