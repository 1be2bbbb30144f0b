import tomllib
from pathlib import Path

from rlgen.doctor import machine

ROOT = Path(__file__).parents[2]


def test_every_extra_of_the_package_is_examined():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(machine.extras()) == set(declared) - {"test", "dev"}


def test_missing_extras_are_one_note_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "EXTRAS", {"a": "no_such_module_a", "b": "no_such_module_b", "c": "json"})
    (found,) = machine.findings(tmp_path)
    assert (found.severity, found.number, found.command) == ("note", 2, "pip install 'rlgen[a,b]'")
    monkeypatch.setattr(machine, "EXTRAS", {"c": "json"})
    assert machine.findings(tmp_path) == []


def test_folders_that_are_missing_or_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setenv("RLGEN_DATA", str(tmp_path))
    facts = machine.folders(tmp_path / "runs")
    assert facts["runs"]["exists"] is False
    assert facts["runs"]["writable"] is True
    assert facts["data"]["exists"] is True
    assert facts["runs"]["free_gib"] > 0
    (tmp_path / "file").write_text("")
    names = [finding.name for finding in machine.findings(tmp_path / "file")]
    assert "folder not writable" in names


def test_little_room_is_a_problem(tmp_path, monkeypatch):
    assert not [finding for finding in machine.findings(tmp_path) if finding.severity == "problem"]
    monkeypatch.setattr(machine, "ROOM", 1e9)
    assert "little room" in [finding.name for finding in machine.findings(tmp_path)]


def test_the_device():
    facts = machine.device()
    assert facts["cores"] >= 1
    assert facts["threads"] >= 1
    assert isinstance(facts["bfloat16"], bool)
