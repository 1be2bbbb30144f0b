"""Versions and the commit that a run comes from."""

import subprocess

import pytest

import rlgen
from rlgen import provenance


def git(folder, *words):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "code.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_the_commit_and_whether_there_are_changes(repository):
    clean = provenance.git(repository)
    assert len(clean["commit"]) == 40
    assert clean["dirty"] is False
    (repository / "new.py").write_text("a file that is not tracked counts as no change")
    assert provenance.git(repository) == clean
    (repository / "code.py").write_text("2")
    assert provenance.git(repository) == {**clean, "dirty": True}


def test_no_commit_outside_a_repository(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance.git(tmp_path) == {}


def test_no_commit_without_git(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.git() == {}


def test_versions_of_all_that_computes():
    versions = provenance.versions()
    assert set(versions) == {"python", "rlgen", "torch", "gymnasium", "numpy"}
    assert versions["torch"].startswith("2.")
    assert versions["rlgen"] in (rlgen.__version__, "unknown")
    assert provenance._version("no-such-package") == "unknown"
