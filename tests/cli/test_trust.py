"""A run of others whose environment is of a module: the module is imported with --trust alone."""

import json
import sys
from pathlib import Path

import gymnasium
import pytest

from rlgen.core import seal

MODULE = """
from pathlib import Path

import gymnasium

Path({marker!r}).touch()
gymnasium.register("Foreign-v0", "gymnasium.envs.classic_control:CartPoleEnv", max_episode_steps=50)
"""


@pytest.fixture
def foreign(trained, tmp_path, monkeypatch):
    """The folder of a run with such an environment, and a file that exists once its module is imported."""
    directory, marker = tmp_path / trained["run"], tmp_path / "imported"
    info = json.loads((directory / "run.json").read_text())
    del info[seal.SEAL]
    (directory / "run.json").write_bytes(seal.dump({**info, "task": "foreign_module:Foreign-v0"}))
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "foreign_module.py").write_text(MODULE.format(marker=str(marker)))
    monkeypatch.syspath_prepend(tmp_path / "modules")
    yield directory, marker
    sys.modules.pop("foreign_module", None)
    gymnasium.registry.pop("Foreign-v0", None)


COMMANDS = {
    "eval": ("--episodes", "1"),
    "play": ("--out", "play.gif"),
    "resume": ("--budget", "1300", "--quiet"),
    "explain": ("--images", "1", "--method", "saliency"),
    "summary": (),
    "doctor": (),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_module_of_a_run_is_not_imported_without_permission(rlgen, foreign, command):
    directory, marker = foreign
    code, out, err = rlgen(command, directory, *COMMANDS[command])
    assert code == (1 if command == "doctor" else 2)
    assert "would import the Python module 'foreign_module' from " in out + err
    assert "foreign_module.py" in out + err
    assert "--trust" in out + err
    assert not marker.exists()
    assert "foreign_module" not in sys.modules


@pytest.mark.parametrize("command", COMMANDS)
def test_it_is_with_permission(rlgen, foreign, command):
    directory, marker = foreign
    code, out, err = rlgen(command, directory, *COMMANDS[command], "--trust")
    assert marker.exists(), err
    assert "would import" not in out + err
    assert code == (2 if command == "explain" else 0), err  # of numbers there is no explanation


def test_from_python(foreign):
    import rlgen
    from rlgen.core.trust import Untrusted

    directory, marker = foreign
    for function in (rlgen.load, rlgen.resume):
        with pytest.raises(Untrusted, match="trust=True"):
            function(directory)
    assert not marker.exists()
    assert rlgen.load(directory, trust=True).time
    assert marker.exists()
    assert Path(directory, "checkpoints").is_dir()
