import json
import shutil

import pytest

from rlgen.core.errors import UserError
from rlgen.core.folder import Folder
from rlgen.doctor.runs import findings


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A run of an agent of one second."""
    from rlgen import api

    options = {"budget": 400, "log_every": 100, "eval_every": 200, "save_every": 200, "learning_starts": 100}
    return api.train("dqn", "CartPole", runs=tmp_path_factory.mktemp("runs"), progress=False, **options).directory


@pytest.fixture
def folder(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "x")
    return Folder(tmp_path / "x")


def names(folder, **options):
    return {finding.name for finding in findings(folder, **options)}


def test_a_short_run_has_too_few_evaluations_and_no_fault_of_its_files(folder):
    found = names(folder)
    assert "too few evaluations" in found
    assert not found & {"not finished", "diverged", "damaged checkpoint", "no checkpoint", "torn log", "other versions"}
    rows = [{"time": 100 * i, "eval_return": i} for i in range(7)]
    (folder.directory / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "too few evaluations" not in names(folder, weights=False)
    rows = [{"time": 100 * i, "loss": i} for i in range(7)] + [{"time": 600, "eval_return": 3}]
    (folder.directory / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (found,) = [finding for finding in findings(folder, weights=False) if finding.name == "too few evaluations"]
    assert found.number == 1


@pytest.mark.parametrize(
    ("status", "name"),
    [
        ("interrupted", "not finished"),
        ("failed", "not finished"),
        ("running", "not finished"),
        ("diverged", "diverged"),
    ],
)
def test_a_run_that_stopped_early(folder, status, name):
    folder.describe(status=status, error="loss is nan")
    (finding,) = [finding for finding in findings(folder, weights=False) if finding.name == name]
    assert finding.severity == "problem"
    assert str(folder.directory) in finding.command


def test_damaged_and_missing_checkpoints(folder):
    newest = max((folder.directory / "checkpoints").iterdir())
    (newest / "state.json").write_text("{}")
    assert "damaged checkpoint" in names(folder)
    assert "cannot be loaded" not in names(folder)  # the one before it is
    shutil.rmtree(folder.directory / "checkpoints")
    assert {"no checkpoint", "cannot be loaded"} <= names(folder)


def test_a_log_with_a_damaged_line(folder):
    log = folder.directory / "metrics.jsonl"
    log.write_text("{torn\n" + log.read_text())
    assert "damaged log" in names(folder, weights=False)


def test_other_versions(folder):
    folder.describe(versions={**folder.info["versions"], "torch": "1.0"})
    (finding,) = [finding for finding in findings(folder, weights=False) if finding.name == "other versions"]
    assert "torch 1.0" in finding.text


@pytest.mark.parametrize("facts", [{"plan": None}, {"time": "x"}, {"config": [1]}])
def test_a_foreign_run_is_one_clear_error(folder, facts):
    folder.describe(**facts)
    (folder.directory / "metrics.jsonl").write_text('{"time": 1, "eval_return": 3, "epsilon": 0.9}\n')
    with pytest.raises(UserError, match=r"not of this rlgen|cannot be read"):
        findings(folder, weights=False)
