"""Files of foreign run folders: no link is followed, no pipe waited for, nothing read beyond a limit."""

import os
import time
from pathlib import Path

import pytest

from rlgen.core import files
from rlgen.core.errors import UserError


def link(path):
    (path.parent / "outside.txt").write_text("outside")
    path.symlink_to("outside.txt")


def device(path):
    path.symlink_to("/dev/zero")


@pytest.fixture(params=[link, device, os.mkfifo, Path.mkdir], ids=["link", "device", "pipe", "folder"])
def special(request, tmp_path):
    path = tmp_path / "special"
    request.param(path)
    return path


@pytest.mark.parametrize("read", [files.read_bytes, files.read_text, files.json_object, files.opened, files.append])
def test_only_regular_files_are_opened(special, read):
    began = time.monotonic()
    with pytest.raises(files.Refused, match=r"special is (a link|no regular file)"):
        read(special)
    assert time.monotonic() - began < 1
    assert not (special.parent / "outside.txt").exists() or (special.parent / "outside.txt").read_text() == "outside"
    assert not files.is_file(special)


def test_a_device_is_refused_by_its_own_path():
    for path in ("/dev/zero", "/dev/tty", "/dev/null"):
        with pytest.raises(OSError, match=r"no regular file|No such device"):
            files.read_bytes(Path(path))


def test_a_refusal_is_an_error_of_the_user_and_of_the_system(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(UserError) as caught:
        files.append(tmp_path / "link")
    assert isinstance(caught.value, OSError)
    assert caught.value.strerror == str(caught.value)
    assert not (tmp_path / "nowhere").exists()


def test_a_missing_file_is_that(tmp_path):
    for read in (files.read_bytes, files.json_object):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "no")
    with pytest.raises(files.Refused, match="null"):
        files.read_bytes(tmp_path / "a\0b")


def test_no_more_than_the_limit_is_read(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    assert files.read_bytes(path, 5) == b"12345"
    with pytest.raises(files.Refused, match="x has 5 bytes, more than the 4 that are read"):
        files.read_bytes(path, 4)


def test_text_is_appended_to_one_file_of_one_name(tmp_path):
    path = tmp_path / "log.txt"
    for word in ("one", "γ"):
        with files.append(path) as file:
            file.write(f"{word}\n")
    assert path.read_text("utf-8") == "one\nγ\n"
    assert files.read_text(path) == "one\nγ\n"
    (tmp_path / "other").hardlink_to(path)
    with pytest.raises(files.Refused, match=r"log\.txt has a second name elsewhere"):
        files.append(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not valid JSON"),
        ("[]", "holds no JSON object"),
        ("null", "holds no JSON object"),
        ('{"a": NaN}', "the number NaN is not finite"),
        ('{"a": -1e999}', "the number -1e999 is not finite"),
        ('{"a": ' + 5_000 * "1" + "}", "an integer of 5,000 digits"),
        ('{"a": ' + 70 * "[" + 70 * "]" + "}", "nested more than 64 deep"),
        ('{"a":' * 200_000, "nested more than 64 deep"),
        ('{"a": [' + ",".join(["{}"] * 1_000_000) + "]}", "more than 1,500,000 values"),
        ("{}" + 5_000_000 * " ", "more than the 4,194,304 that are read"),
        ('{"a": "\ud800"}', "not valid JSON: 'utf-8' codec"),
    ],
    ids=range(11),
)
def test_json_has_bounds(tmp_path, text, reason):
    path = tmp_path / "x.json"
    path.write_text(text, "utf-8", errors="surrogatepass")
    with pytest.raises(files.Refused, match=reason) as caught:
        files.json_object(path)
    assert "\n" not in str(caught.value)


def test_numbers_that_are_not_finite_can_be_none(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"a": [NaN, -Infinity, 1e999, 1.5, 7], "b": %s}' % (63 * "[" + 63 * "]"))
    assert files.json_object(path, finite=False)["a"] == [None, None, None, 1.5, 7]


def test_inside(tmp_path):
    for name in ("run", "run-2"):
        (tmp_path / name).mkdir()
    (tmp_path / "run" / "link").symlink_to(tmp_path / "run-2")
    (tmp_path / "also").symlink_to(tmp_path / "run")
    assert files.inside(tmp_path / "run", tmp_path / "run")
    assert files.inside(tmp_path / "also", tmp_path / "run")
    assert files.inside(tmp_path / "run", tmp_path / "also")
    for outside in ("run-2", "run/link", "run/../run-2", "run/missing"):
        assert not files.inside(tmp_path / "run", tmp_path / outside)


def test_folders_are_those_that_are_no_links(tmp_path):
    for name in ("b", "a"):
        (tmp_path / "run" / name).mkdir(parents=True)
    (tmp_path / "run" / "c").symlink_to(tmp_path)
    (tmp_path / "run" / "d").touch()
    (tmp_path / "link").symlink_to(tmp_path / "run")
    assert [path.name for path in files.folders(tmp_path / "run")] == ["a", "b"]
    assert files.folders(tmp_path / "link") == files.folders(tmp_path / "no") == []


@pytest.mark.parametrize("place", [".", "samples", "checkpoints/000000001"])
def test_a_run_with_anything_but_files_and_folders_is_refused(tmp_path, place):
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / place / "file").touch()
    files.refuse_links(tmp_path)
    (tmp_path / place / "x").symlink_to("file")
    with pytest.raises(UserError, match=r"x is a link: nothing outside a run folder is read or written"):
        files.refuse_links(tmp_path)
    (tmp_path / place / "x").unlink()
    os.mkfifo(tmp_path / place / "x")
    with pytest.raises(UserError, match="x is no regular file"):
        files.refuse_links(tmp_path)


def test_an_unfinished_file_is_no_link_of_others(tmp_path):
    (tmp_path / "outside").write_text("kept")
    (tmp_path / f".partial-{os.getpid()}-x").symlink_to("outside")
    with files.replacing(tmp_path / "x") as partial:
        partial.write_text("new")
    assert (tmp_path / "outside").read_text() == "kept"
    assert (tmp_path / "x").read_text() == "new"
