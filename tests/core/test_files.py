import os

import pytest

from rlgen.core.errors import StorageError
from rlgen.core.files import Refused, remove_folder, replacing, storing


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_readers_find_the_old_file_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "run.json"
    path.write_text("old")
    with replacing(path) as partial:
        partial.write_text("ne")
        assert path.read_text() == "old"
        assert partial.parent == path.parent  # a rename across file systems is not atomic
        partial.write_text("new")
    assert contents(tmp_path) == {"run.json": "new"}


def test_missing_folders_are_made(tmp_path):
    with replacing(tmp_path / "a" / "b" / "c.txt") as partial:
        partial.write_text("x")
    assert contents(tmp_path / "a" / "b") == {"c.txt": "x"}


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_failed_write_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "run.json"
    path.write_text("old")
    with pytest.raises(StorageError if isinstance(error, OSError) else type(error)), replacing(path) as partial:  # noqa: PT012
        partial.write_text("half")
        raise error
    assert contents(tmp_path) == {"run.json": "old"}


def test_an_error_names_the_file(tmp_path):
    (tmp_path / "file").write_text("")
    reason = r"cannot write .*file/x\.json: (Not a directory|File exists)"
    with pytest.raises(StorageError, match=reason), replacing(tmp_path / "file" / "x.json"):
        pytest.fail("there is no place to write to")
    assert StorageError.code == 7


def test_an_error_of_the_disk_is_one_line_with_the_action(tmp_path):
    reason = r"cannot tidy up \(No such file or directory: .*gone\): its disk must be writable"
    with pytest.raises(StorageError, match=reason), storing("tidy up"):
        (tmp_path / "gone").unlink()
    with pytest.raises(Refused), storing("tidy up"):
        raise Refused("a link")
    with pytest.raises(ZeroDivisionError), storing("tidy up"):
        raise ZeroDivisionError


def test_a_folder_is_deleted_in_spite_of_one_error(tmp_path, monkeypatch):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "weights").write_text("")
    errors, unlink = [OSError(5, "Input/output error")], os.unlink

    def once(path, **options):
        if errors:
            raise errors.pop()
        unlink(path, **options)

    monkeypatch.setattr(os, "unlink", once)
    remove_folder(tmp_path / "old")
    assert not errors
    assert list(tmp_path.iterdir()) == []
