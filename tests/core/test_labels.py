import json

import pytest

from rlgen.core import labels, seal
from rlgen.core.errors import UserError
from rlgen.core.folder import Folder


@pytest.fixture
def folder(tmp_path):
    return Folder.create(tmp_path, "x")


def test_a_run_without_labels(folder):
    assert folder.labels == {"note": "", "tags": []}
    assert {"note", "tags"}.isdisjoint(folder.info)


def test_a_note_is_replaced_and_removed(folder):
    labels.write_note(folder.directory, " first\n")
    labels.write_note(folder.directory, "second")
    assert folder.info["note"] == "second"
    labels.write_note(folder.directory, "")
    assert folder.labels["note"] == ""


def test_tags_are_a_set_in_the_order_of_tagging(folder):
    labels.add_tags(folder.directory, ["b", "a"])
    labels.add_tags(folder.directory, ["a", "größe"])
    assert folder.info["tags"] == ["b", "a", "größe"]
    labels.remove_tags(folder.directory, ["a"])
    assert folder.labels["tags"] == ["b", "größe"]
    with pytest.raises(UserError, match="no tag 'zzz': it has b, größe"):
        labels.remove_tags(folder.directory, ["b", "zzz"])
    assert folder.labels["tags"] == ["b", "größe"]


def test_note_and_tags_do_not_replace_each_other(folder):
    labels.add_tags(folder.directory, ["a"])
    labels.write_note(folder.directory, "text")
    labels.add_tags(folder.directory, ["b"])
    assert folder.labels == {"note": "text", "tags": ["a", "b"]}


@pytest.mark.parametrize("tag", ["", "two words", "a,b", "\x1b[31mred", "\u202e", "x" * 41])
def test_a_tag_is_one_visible_word(folder, tag):
    with pytest.raises(UserError, match="a tag is one word"):
        labels.add_tags(folder.directory, ["good", tag])
    assert folder.labels["tags"] == []


def test_a_process_in_training_keeps_the_labels(folder):
    with folder:
        labels.write_note(folder.directory, "text")
        folder.describe(time=5)
    with Folder(folder.directory) as resumed:
        resumed.describe(time=6)
    assert folder.info["note"] == "text"
    assert "note" not in json.loads((folder.directory / "run.json").read_text())


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "\xff", '{"note": 3, "tags": "a"}', '{"tags": [1, null]}', "[" * 100_000]
)
def test_an_unreadable_file_has_no_labels(folder, text):
    (folder.directory / "labels.json").write_text(text, encoding="latin-1")
    assert folder.labels == {"note": "", "tags": []}


def test_labels_stay_out_of_run_json(folder):
    labels.write_note(folder.directory, "mine")
    folder.describe(time=1)
    assert "note" not in json.loads((folder.directory / "run.json").read_text())
    labels.write_note(folder.directory, "")
    assert "note" not in folder.info


def test_damaged_labels_are_noticed(folder):
    labels.write_note(folder.directory, "mine")
    path = folder.directory / labels.FILE
    assert seal.is_intact(path.read_bytes())
    path.write_text(path.read_text().replace("mine", "nine"))
    assert not seal.is_intact(path.read_bytes())
