"""The folder of a study where a run is expected: named clearly, removed and verified as a whole."""

import json

import pytest

from rlgen.core import lock, seal
from rlgen.core.folder import Folder

FACTS = {"algorithm": "dqn", "task": "CartPole", "time": 0, "plan": {"budget": 10}, "kind": "agent"}


@pytest.fixture
def study(rlgen, tmp_path):
    """A study `tuning` of two runs, beside the run x-1; returns its folder."""
    with Folder.create(tmp_path / "runs", "x", **FACTS) as run:
        run.describe(lines={})
    folder = tmp_path / "runs" / "tuning"
    folder.mkdir()
    (folder / "study.json").write_bytes(seal.dump({"schema": 1, "algorithm": "dqn", "task": "CartPole"}))
    for name in ("trial-0001", "test-0001-1"):
        with Folder.create(folder, "trial", name, **FACTS) as run:
            run.describe(lines={})
    return folder


@pytest.mark.parametrize(
    "words",
    [("plot", "tuning"), ("compare", "tuning", "x-1"), ("resume", "TUNING"), ("note", "tuning"), ("doctor", "tuning")],
)
def test_a_study_where_a_run_is_wanted_is_named(rlgen, study, words):
    code, _, err = rlgen(*words)
    assert code == 2
    assert "tuning is a study, not a run" in err.replace("TUNING", "tuning")
    assert "tuning/test-0001-1" in err
    assert "`rlgen sweep show " in err


def test_a_run_of_a_study_is_named_by_both_names(rlgen, study, tmp_path):
    assert Folder.find(tmp_path / "runs", "tuning/trial-0001").directory == tmp_path / "runs" / "tuning" / "trial-0001"
    assert rlgen("note", "tuning/trial-0001", "a note")[0] == 0
    assert rlgen("note", "tuning/trial-0001")[1] == "a note\n"
    assert rlgen("note", "tuning/trial-0009", "a note")[0] == 2
    assert Folder.find(tmp_path / "runs", "latest").name == "x-1"


def test_removed_and_restored_as_a_whole(rlgen, study):
    code, out, _ = rlgen("rm", "tuning")
    assert (code, study.exists()) == (0, False)
    assert rlgen(*out.split("rlgen ")[1].split())[0] == 0
    assert (study / "trial-0001" / "run.json").is_file()
    assert not (study / lock.FILE).exists()


def test_not_removed_while_one_of_its_runs_is_trained(rlgen, study):
    held = lock.acquire(study / "trial-0001")
    code, _, err = rlgen("rm", "x-1", "tuning")
    held.release()
    assert code == 2
    assert "tuning/trial-0001 is being trained" in err
    assert study.exists()


def test_verified_with_all_of_its_runs(rlgen, study):
    code, out, _ = rlgen("verify")
    assert out.splitlines() == [
        "x-1  whole", "tuning  whole", "tuning/test-0001-1  whole", "tuning/trial-0001  whole", "4 of 4 folders whole"
    ]  # fmt: skip
    assert code == 0
    (study / "trial-0001" / "run.json").write_text("{")
    changed = (study / "study.json").read_text().replace("CartPole", "Acrobot")
    (study / "study.json").write_text(changed)
    code, out, _ = rlgen("verify", "tuning", "--json")
    assert code == 4
    broken = {row["run"]: row["damages"][0]["part"] for row in json.loads(out) if not row["whole"]}
    assert broken == {"tuning": "study.json", "tuning/trial-0001": "run.json"}
    assert rlgen("verify", "tuning/test-0001-1")[0] == 0
