"""`rlgen rm`, `rlgen note`, `rlgen tag`, and how `rlgen runs` shows the labels."""

import json
from pathlib import Path

import pytest

from rlgen.core.folder import Folder

FACTS = {"algorithm": "dqn", "task": "CartPole", "time": 5, "plan": {"budget": 10}, "kind": "agent"}


@pytest.fixture
def three(rlgen, tmp_path):
    """Three runs, x-1 the oldest."""
    for day in (1, 2, 3):
        created = f"2026-01-0{day}T00:00:00+00:00"
        Folder.create(tmp_path / "runs", "x", **FACTS).describe(created=created, status="finished")
    return rlgen


def names(rlgen, *words):
    return [row["name"] for row in json.loads(rlgen("runs", "--json", *words)[1])]


def test_removed_and_restored(three):
    code, out, _ = three("rm", "x-1", "X-3", "runs/x-1")
    assert code == 0
    assert out.splitlines()[0].endswith("runs/.trash/x-1  back: rlgen rm --restore x-1")
    assert names(three) == ["x-2"]
    assert three("rm", "--restore")[1] == "x-1\nx-3\n"
    assert three("rm", "--restore", "x-1", "x-3") == (0, "runs/x-1\nruns/x-3\n", "")
    assert names(three) == ["x-1", "x-2", "x-3"]
    assert three("rm", "--restore")[1] == ""


def test_one_unknown_name_removes_nothing(three):
    code, _, err = three("rm", "x-1", "x-9")
    assert code == 2
    assert "no run 'x-9'" in err
    assert names(three) == ["x-1", "x-2", "x-3"]
    assert three("rm")[0] == 2


def test_a_run_elsewhere_goes_to_the_trash_beside_it(three, tmp_path):
    Folder.create(tmp_path / "other", "y", **FACTS)
    out = three("rm", "other/y-1")[1]
    assert (tmp_path / "other" / ".trash" / "y-1").is_dir()
    assert three(*out.split("rlgen ")[1].split())[0] == 0
    assert (tmp_path / "other" / "y-1" / "run.json").is_file()


def test_note_and_tags_are_shown_and_filter(three):
    assert three("note", "x-1", "twice the batch") == (0, "", "")
    assert three("tag", "x-1", "paper", "baseline")[0] == 0
    assert three("tag", "x-2", "paper")[0] == 0
    assert three("note", "x-1")[1] == "twice the batch\n"
    assert three("tag", "x-1")[1] == "paper baseline\n"
    head, first, *_ = three("runs")[1].splitlines()
    assert head.split()[-2:] == ["tags", "note"]
    assert first.endswith("paper, baseline  twice the batch")
    assert names(three, "--tag", "paper") == ["x-1", "x-2"]
    assert names(three, "--tag", "paper", "--tag", "baseline") == ["x-1"]
    assert "have the tag zzz" in three("runs", "--tag", "zzz")[1]
    assert three("tag", "x-1", "paper", "--remove")[0] == 0
    assert names(three, "--tag", "paper") == ["x-2"]
    row = json.loads(three("runs", "--json")[1])[0]
    assert (row["note"], row["tags"]) == ("twice the batch", ["baseline"])


def test_without_labels_there_are_no_columns_of_them(three):
    assert three("runs")[1].splitlines()[0].split()[-1] == "age"


def test_bad_labels_are_one_line(three):
    for words, part in (
        (("tag", "x-1", "two words"), "a tag is one word"),
        (("tag", "x-1", "--remove"), "--remove takes the tags to remove"),
        (("tag", "x-1", "zzz", "--remove"), "no tag 'zzz'"),
    ):
        code, out, err = three(*words)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert part in err


def test_hostile_texts_are_harmless_on_the_terminal(three):
    red = "\x1b[31m\x9b2J\u202e\n"
    Folder(Path("runs/x-1")).describe(task=f"task{red}", algorithm=f"dqn{red}", status=f"finished{red}")
    Path("runs/x-1/labels.json").write_text(json.dumps({"note": f"note{red}", "tags": [f"tag{red}"]}))
    Path("runs/x-2").rename(f"runs/name{red}")
    for words in (
        ("runs",),
        ("note", "x-1"),
        ("tag", "x-1"),
        ("rm", f"name{red}"),
        ("rm", "--restore"),
        ("eval", "x-1"),
    ):
        _, out, err = three(*words)
        assert (out + err).replace("\n", "").isprintable(), words
    assert "note\\x1b[31m" in three("note", "x-1")[1]


@pytest.mark.parametrize(
    "facts",
    [
        {"time": "5"},
        {"plan": []},
        {"plan": {"budget": 0}},
        {"plan": {"budget": "9"}},
        {"plan": {"budget": 9, "stop_at": "high"}},
        {"task": None},
        {"created": 3},
        {"created": "yesterday"},
        {"created": "2026-01-01T00:00:00"},
        {"best": "high"},
        {"kind": ["agent"]},
    ],
)
def test_a_foreign_run_json_hides_no_other_run(three, facts):
    Folder(Path("runs/x-2")).describe(**facts)
    code, out, _ = three("runs")
    assert code == 0
    assert "x-1" in out
    assert "x-3" in out
