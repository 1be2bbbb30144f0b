"""`rlgen verify` on the command line."""

import json

import pytest
from typer.testing import CliRunner

from rlgen.cli.main import app
from rlgen.core.errors import UserError
from rlgen.core.folder import Folder


@pytest.fixture
def runs(tmp_path):
    for name in ("a", "b"):
        with Folder.create(tmp_path, name, algorithm="dqn", task="CartPole") as folder:
            folder.describe(lines={})
    return tmp_path


def call(runs, *words):
    return CliRunner().invoke(app, ["verify", *words, "--runs", str(runs)])


def test_all_runs_are_checked(runs):
    done = call(runs)
    assert (done.exit_code, done.stdout.splitlines()) == (0, ["a-1  whole", "b-1  whole", "2 of 2 folders whole"])
    (runs / "a-1" / "run.json").write_text("{")
    done = call(runs)
    assert done.exit_code == 4
    assert "a-1  1 damaged" in done.stdout
    assert "run.json cannot be read" in done.stdout
    assert "1 of 2 folders whole" in done.stdout
    assert call(runs, "b-1").exit_code == 0


def test_json_and_repair(runs):
    (runs / "a-1" / "run.json").unlink()
    done = call(runs, "a-1", "--json")
    (report,) = json.loads(done.stdout)
    assert (done.exit_code, report["run"], report["whole"]) == (4, "a-1", False)
    assert report["damages"][0]["part"] == "run.json"
    done = call(runs, "a-1", "--repair")
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "a-1  whole")
    assert Folder(runs / "a-1").info["algorithm"] == "dqn"


def test_nothing_to_verify(tmp_path):
    assert isinstance(call(tmp_path / "none").exception, UserError)
    assert isinstance(call(tmp_path, "none").exception, UserError)
