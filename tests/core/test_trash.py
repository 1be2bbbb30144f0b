import os

import pytest

from rlgen.core import trash
from rlgen.core.errors import StorageError, UserError
from rlgen.core.folder import Folder


def test_a_removed_run_comes_back_as_it_was(tmp_path):
    folder = Folder.create(tmp_path, "x", time=3)
    (folder.directory / "samples").mkdir()
    (folder.directory / "samples" / "1.png").write_bytes(b"picture")
    info = folder.info
    (moved,) = trash.remove([folder])
    assert moved == tmp_path / ".trash" / "x-1"
    assert not folder.directory.exists()
    assert (moved / "samples" / "1.png").read_bytes() == b"picture"
    assert trash.contents(tmp_path) == ["x-1"]
    assert trash.restore(tmp_path, "x-1") == folder.directory
    assert folder.info == info
    assert trash.contents(tmp_path) == []


def test_a_removed_run_is_no_longer_found_and_its_number_is_not_used_again(tmp_path):
    trash.remove([Folder.create(tmp_path, "x"), Folder.create(tmp_path, "x")])
    assert Folder.all(tmp_path) == []
    with pytest.raises(UserError, match="no run 'x-1'"):
        Folder.find(tmp_path, "x-1")
    assert Folder.create(tmp_path, "x").name == "x-3"


def test_runs_of_one_name_stay_apart(tmp_path):
    for text in ("first", "second"):
        folder = Folder.create(tmp_path, "x", "mine", text=text)
        trash.remove([folder])
    assert trash.contents(tmp_path) == ["mine", "mine~2"]
    assert Folder(trash.restore(tmp_path, "mine~2")).info["text"] == "second"
    with pytest.raises(UserError, match="mine exists"):
        trash.restore(tmp_path, "mine")
    assert trash.contents(tmp_path) == ["mine"]


def test_a_run_in_training_is_refused_and_no_other_is_moved(tmp_path):
    idle, busy = Folder.create(tmp_path, "x"), Folder.create(tmp_path, "x")
    with busy, pytest.raises(UserError, match=f"x-2 is being trained by process {os.getpid()}: stop it first"):
        trash.remove([idle, Folder(busy.directory)])
    assert trash.contents(tmp_path) == []
    assert {folder.name for folder in Folder.all(tmp_path)} == {"x-1", "x-2"}


def test_a_link_is_moved_and_not_the_folder_behind_it(tmp_path):
    elsewhere = Folder.create(tmp_path / "elsewhere", "x")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "link").symlink_to(elsewhere.directory)
    trash.remove([Folder(tmp_path / "runs" / "link")])
    assert elsewhere.info["name"] == "x-1"
    assert (tmp_path / "runs" / ".trash" / "link").is_symlink()


def test_a_name_that_is_not_in_the_trash(tmp_path):
    trash.remove([Folder.create(tmp_path, "x")])
    with pytest.raises(UserError, match="did you mean x-1"):
        trash.restore(tmp_path, "x-2")
    with pytest.raises(UserError, match="rlgen rm --restore"):
        trash.restore(tmp_path, "../runs")


def test_a_trash_folder_that_cannot_be_made(tmp_path):
    folder = Folder.create(tmp_path, "x")
    (tmp_path / ".trash").write_text("a file")
    with pytest.raises(StorageError, match="cannot move"):
        trash.remove([folder])
    assert folder.info["name"] == "x-1"
