"""Every lesson in its quick version, from the first to the last: minutes in all."""

import re
import time

import pytest

from rlgen.lessons import page, schema
from rlgen.lessons.runner import load, run

ALL = schema.names()
BUDGET = 600.0  # seconds of processor time for all of them
SPENT: dict[str, float] = {}


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_a_lesson_runs_and_its_text_is_complete(name, tmp_path):
    began = time.process_time()
    results = run(load(schema.find(name), quick=True), tmp_path / name)
    SPENT[name] = time.process_time() - began
    text = (results.folder / "lesson.md").read_text()
    assert not re.search(r"[{}]", text.split("## Runs")[0])
    assert "nan" not in results.text
    shown = page.as_json(results)
    assert set(shown["findings"]) == set(results.design.lesson.findings)
    assert len((results.folder / "figure.csv").read_text().splitlines()) > 1 or any(
        panel.kind == "maps" for panel in results.design.lesson.panels
    )
    assert SPENT[name] < 60


@pytest.mark.slow
def test_all_lessons_together_take_ten_minutes():
    assert set(SPENT) == set(ALL), "run the whole file in one process"
    assert sum(SPENT.values()) < BUDGET, SPENT
