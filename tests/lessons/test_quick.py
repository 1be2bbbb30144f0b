"""Every lesson in its quick version, from the first to the last: minutes in all."""

import re
import time

import pytest

from rlgen.lessons import page, schema
from rlgen.lessons.runner import load, run

ALL = schema.names()


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_a_lesson_runs_in_a_minute_and_its_text_is_complete(name, tmp_path):
    began = time.process_time()
    results = run(load(schema.find(name), quick=True), tmp_path / name)
    assert time.process_time() - began < 60  # of processor time: other processes do not count
    text = (results.folder / "lesson.md").read_text()
    assert not re.search(r"[{}]", text.split("## Runs")[0])
    assert not re.search(r"\bnan\b", results.text)
    assert set(page.as_json(results)["findings"]) == set(results.design.lesson.findings)
    kinds = {panel.kind for panel in results.design.lesson.panels}
    assert len((results.folder / "figure.csv").read_text().splitlines()) > 1 or kinds == {"maps"}
    assert (results.folder / "figure.png").stat().st_size > 10_000


def test_all_quick_versions_together_take_ten_minutes():
    """By their measured minutes, which the slow test above bounds."""
    assert sum(schema.read(schema.find(name)).quick.minutes for name in ALL) <= 10


def test_the_lessons_of_the_course_are_there():
    assert set(ALL) >= {
        "activations", "augmentation", "batch-norm", "blind-spot", "convolution", "counting", "depth", "dropout",
        "ensembles", "gan-balance", "initialization", "knn", "learning-rate", "optimizers", "overfitting",
        "regularization", "replay", "search", "svm-softmax", "transfer", "valley",
    }  # fmt: skip
