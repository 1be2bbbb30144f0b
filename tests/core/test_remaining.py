"""Checkpoints that are kept, and what a message says of them."""

import shutil

import torch

from rlgen.core import checkpoint, remaining


def write(directory, *times):
    for time in times:
        checkpoint.save(directory / "checkpoints" / f"{time:09d}", {"weights": torch.ones(2)})


def test_the_way_out_names_the_newest_intact_checkpoint(tmp_path):
    none = f"there is no other: make room, then `rlgen resume {tmp_path}` starts from the beginning"
    assert remaining.way_out(tmp_path) == none
    write(tmp_path, 1_000, 2_000)
    assert remaining.way_out(tmp_path).startswith("the checkpoint at 2,000 is intact: make room, then `rlgen resume ")
    (tmp_path / "checkpoints/000002000/state.json").write_text("{}")
    assert remaining.way_out(tmp_path).startswith("the checkpoint at 1,000 is intact")
    (tmp_path / "checkpoints/000001000/state.json").unlink()
    assert remaining.way_out(tmp_path) == none


def test_the_newest_two_and_some_others_are_kept(tmp_path):
    write(tmp_path, 1, 2, 3, 4, 5)
    remaining.prune(tmp_path / "checkpoints", (2, None))
    assert [path.name for path in checkpoint.newest_first(tmp_path / "checkpoints")] == [
        "000000005", "000000004", "000000002",
    ]  # fmt: skip


def test_a_checkpoint_that_cannot_be_deleted_is_a_warning(tmp_path, monkeypatch, caplog):
    def refuse(path, ignore_errors=False):
        if not ignore_errors:
            raise OSError(30, "Read-only file system")

    write(tmp_path, 1, 2, 3)
    monkeypatch.setattr(shutil, "rmtree", refuse)
    remaining.prune(tmp_path / "checkpoints", ())
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == "the checkpoint 000000001 cannot be deleted (Read-only file system); training continues"
