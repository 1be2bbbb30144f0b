"""The example notebooks run, and what they show is stored in them."""

import json

import pytest

from rlgen import kinds
from tests.notebooks import NOTEBOOKS, execute

PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))
LARGEST = 150_000  # bytes


def outputs(notebook):
    """The outputs of each code cell: their types, and the kinds of their content."""
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return [[(each["output_type"], sorted(each.get("data", ()))) for each in cell["outputs"]] for cell in code]


def test_there_is_one_for_each_kind_of_algorithm():
    assert {path.stem for path in PATHS} == set(kinds.KINDS)


@pytest.mark.parametrize(
    "path",
    [path if path.stem == "agent" else pytest.param(path, marks=pytest.mark.slow) for path in PATHS],
    ids=lambda path: path.stem,
)
def test_a_notebook_runs_and_holds_its_outputs(path, monkeypatch):
    monkeypatch.delenv("RLGEN_RUNS", raising=False)
    stored = json.loads(path.read_text("utf-8"))
    again = execute(path)
    assert outputs(again) == outputs(stored)
    assert all(outputs(stored))
    pictures = [cell for cell in stored["cells"] if "data:image/png;base64" in json.dumps(cell)]
    assert len(pictures) >= 2


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_notebook_is_small_valid_and_of_no_machine(path):
    text = path.read_text("utf-8")
    assert len(text) <= LARGEST
    assert "/home/" not in text
    notebook = json.loads(text)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    counts = [cell["execution_count"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))
