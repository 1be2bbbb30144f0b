"""The list of lessons, a lesson as a teacher writes it, and its page."""

import json
from pathlib import Path

import pytest

from tests.lessons.conftest import TEXT


def test_the_list_has_minutes_and_claims(rlgen):
    code, out, _ = rlgen("lesson")
    assert code == 0
    assert "replay" in out
    code, out, _ = rlgen("lesson", "--json")
    assert all(each["minutes"] > 0 and each["quick_minutes"] < 1 for each in json.loads(out).values())


@pytest.mark.slow
def test_a_lesson_file_of_ones_own(rlgen):
    Path("mine.toml").write_text(TEXT.format(options=""))
    code, out, _ = rlgen("lesson", "./mine.toml", "--quick", "--seeds", "2", "--json")
    assert code == 0
    shown = json.loads(out)
    assert shown["seeds"] == 2
    assert len(shown["values"]["code-2"]["error"]["seeds"]) == 2
    assert all(Path(path).is_file() for path in shown["files"])
    code, out, _ = rlgen("lesson", "mine.toml", "--quick", "--seeds", "2")
    assert code == 0
    assert "Wide codes" in out
    assert "lesson.md" in out
    assert rlgen("plot", "runs/lessons/mine-quick/code-2-seed-0")[0] == 0


def test_a_lesson_file_can_be_copied(rlgen):
    code, out, _ = rlgen("lesson", "replay", "--file")
    assert code == 0
    Path("copy.toml").write_text(out)
    assert rlgen("lesson", "copy.toml", "--file")[1] == out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["repaly"], "no lesson 'repaly': did you mean replay?"),
        (["./none.toml"], "no lesson file ./none.toml"),
        (["replay", "--seeds", "0"], "0 is less than 1"),
    ],
)
def test_bad_input_is_one_line(rlgen, words, said):
    code, _, err = rlgen("lesson", *words)
    assert code == 2
    assert said in err.splitlines()[-1]


def test_an_unknown_key_is_named_with_its_file(rlgen):
    Path("mine.toml").write_text(TEXT.format(options="").replace("claim =", "clame ="))
    code, _, err = rlgen("lesson", "./mine.toml")
    assert code == 2
    assert err.splitlines()[-1] == "error: mine.toml: unknown key 'clame': did you mean claim?"
