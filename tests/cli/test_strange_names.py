"""Names of foreign runs and tasks, with control characters, on the terminal."""

import json
from pathlib import Path

import pytest

NAME = "a\x1b[2J\nb\u202e"
COMMANDS = {
    "runs": (), "eval": ("--episodes", "1"), "play": (), "plot": (), "export": ("--csv",), "tag": ("x",), "doctor": (),
    "summary": (), "watch": ("--once",), "resume": ("--budget", "700"), "report": (),
}  # fmt: skip


@pytest.fixture
def strange(trained, tmp_path):
    directory = tmp_path / trained["run"]
    info = json.loads((directory / "run.json").read_text())
    info.pop("sha256", None)
    (directory / "run.json").write_text(json.dumps({**info, "device": f"cpu{NAME}", "kind": "agent"}))
    return directory.rename(directory.with_name(NAME))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_name_with_control_characters_is_shown_as_text(rlgen, strange, command):
    words = () if command == "runs" else ("latest",)
    code, out, err = rlgen(command, *words, *COMMANDS[command])
    assert code == 2 if command == "report" else code in (0, 1), err  # of the page such names are no runs
    assert all(line.isprintable() for line in (out + err).split("\n")), out + err
    if (log := Path("runs", NAME, "log.txt")).exists():
        assert all(line.isprintable() for line in log.read_text().split("\n"))
