"""Folders of runs that are malformed, removed, on a full disk, or without power."""

import os
import shutil

import pytest

from rlgen.core.errors import StorageError, UserError
from rlgen.core.folder import Folder

MALFORMED = [
    '{"created": "2026-02-01T00:00:00+00:00", "plan": null}',
    '{"created": "2026-02-01T00:00:00+00:00", "plan": {"budget": 0}}',
    '{"created": 5}',
    "[" * 200_000,
    '{"created": "2026-02-01T00:00:00+00:00", "time": ' + "9" * 5_000 + "}",
    "\xff",
]


@pytest.mark.parametrize("text", MALFORMED)
def test_a_malformed_run_is_counted_and_breaks_nothing_for_others(tmp_path, text, caplog):
    good = Folder.create(tmp_path, "x")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "run.json").write_text(text, encoding="latin-1")
    folders, unreadable = Folder.sorted(tmp_path)
    assert [folder.name for folder in folders] == [good.name]
    assert list(unreadable) == ["bad"]
    assert len(unreadable["bad"]) < 300
    assert Folder.find(tmp_path).name == good.name
    (record,) = caplog.records
    assert "latest is x-1 of 1 readable runs" in record.getMessage()
    assert "1 unreadable: `rlgen runs` lists them" in record.getMessage()


def test_a_run_without_run_json_is_unreadable_and_other_folders_are_none(tmp_path):
    for name in ("lost/checkpoints", "empty"):
        (tmp_path / name).mkdir(parents=True)
    assert list(Folder.sorted(tmp_path)[1]) == ["lost"]
    with pytest.raises(UserError, match=r"no runs in .*; 1 unreadable"):
        Folder.find(tmp_path)


def test_the_folder_of_a_new_run_is_on_the_disk(tmp_path, monkeypatch):
    synced, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (synced.append(os.fstat(descriptor).st_ino), fsync(descriptor)))
    folder = Folder.create(tmp_path / "new" / "runs", "x")
    for path in (folder.directory / "run.json", folder.directory, tmp_path / "new" / "runs", tmp_path / "new"):
        assert path.stat().st_ino in synced, path


def test_a_run_that_is_removed_while_it_is_trained_does_not_come_back(tmp_path):
    folder = Folder.create(tmp_path, "x")

    def train():
        with folder:
            shutil.rmtree(folder.directory)
            folder.describe(time=5)

    with pytest.raises(StorageError, match="x-1 was removed: nothing more is written to it"):
        train()
    assert not folder.directory.exists()


def test_a_run_that_is_removed_while_it_begins_does_not_come_back(tmp_path, monkeypatch):
    folder = Folder.create(tmp_path, "x")
    describe = folder.describe

    def removed(**facts):
        describe(**facts)
        shutil.rmtree(folder.directory)

    monkeypatch.setattr(folder, "describe", removed)
    with pytest.raises(StorageError, match=r"cannot write .*files.json: No such file"), folder:
        pass
    assert not folder.directory.exists()


def test_nothing_is_written_to_a_folder_that_took_the_place_of_a_run(tmp_path):
    folder, other = Folder.create(tmp_path, "x"), Folder.create(tmp_path, "y")

    def train():
        with folder:
            folder.directory.rename(tmp_path / "away")
            other.directory.rename(folder.directory)
            folder.describe(time=5)

    with pytest.raises(StorageError, match="x-1 was replaced by another folder"):
        train()
    assert Folder(tmp_path / "x-1").info["name"] == "y-1"


def test_the_status_of_the_end_is_written_on_a_full_disk(tmp_path, monkeypatch):
    folder = Folder.create(tmp_path, "x")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    def train():
        with folder:
            monkeypatch.setattr(os, "fsync", full)
            folder.describe(time=5)

    with pytest.raises(StorageError) as e:
        train()
    assert e.value.code == 7
    assert folder.info["status"] == "failed"
    assert "No space left" in folder.info["error"]
