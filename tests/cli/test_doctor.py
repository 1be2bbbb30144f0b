"""`rlgen doctor`."""

import json
from pathlib import Path

import pytest

from rlgen.core.folder import Folder


def test_the_machine(rlgen):
    code, out, _ = rlgen("doctor", "--no-self-test", "--json")
    found = json.loads(out)
    assert set(found) == {"versions", "device", "folders", "platform", "extras", "problems", "findings"}
    assert code == (found["problems"] > 0)
    text = rlgen("doctor", "--no-self-test")[1]
    for word in ("torch", "CPU cores", "GiB free", "extras", f"{found['problems']} problem"):
        assert word in text


@pytest.mark.slow
def test_a_run_with_a_problem_has_exit_code_1_and_a_command_for_it(rlgen, trained):
    folder = Folder(Path(trained["run"]))
    found = json.loads(rlgen("doctor", "latest", "--json")[1])
    assert found["run"] == "dqn-CartPole-1"
    assert {"name", "severity", "text", "number", "command"} == set(found["findings"][0])
    folder.describe(status="interrupted")
    code, out, _ = rlgen("doctor")[0], *rlgen("doctor", "latest", "--no-weights")[1:]
    assert "problem  not finished" in out
    assert f"try `rlgen resume {folder.directory}`" in out
    assert rlgen("doctor", "latest", "--no-weights")[0] == 1
    assert code in (0, 1)


def test_notes_alone_have_exit_code_0(rlgen, trained):
    rows = [{"time": 100 * i, "eval_return": 10 + i} for i in range(3)]
    Path(trained["run"], "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Folder(Path(trained["run"])).describe(lines={})  # of a log that is replaced here
    code, out, _ = rlgen("doctor", "latest", "--no-weights")
    assert code == 0
    assert "note     too few evaluations: 2 evaluations" in out
    assert out.splitlines()[-1].startswith("0 problems")


def test_an_unknown_run(rlgen):
    code, _, err = rlgen("doctor", "dqn-CartPole-9")
    assert code == 2
    assert "no run" in err
