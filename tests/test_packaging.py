"""What an installation contains, and the names of the packages in a checkout."""

import subprocess
import sys
from importlib.metadata import files, version
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_only_rlgen_is_installed():
    """`agents` and `envs` are packages of other projects."""
    installed = {path.parts[0] for path in files("rlgen") if path.parts[0] != ".."}
    assert installed <= {"rlgen", f"rlgen-{version('rlgen')}.dist-info", "_rlgen.pth"}  # the last one when editable


def test_a_checkout_has_the_same_names_as_an_installation(tmp_path):
    code = "import rlgen, rlgen.agents, rlgen.envs; print(rlgen.agents.__file__, rlgen.envs.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == [str(ROOT / "agents" / "__init__.py"), str(ROOT / "envs" / "__init__.py")], (
        done.stderr
    )


def test_folders_named_agents_and_envs_do_not_disturb(tmp_path):
    for name in ("agents", "envs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('not of rlgen')\n")
    code = f"import sys; sys.path.append({str(ROOT)!r}); import rlgen.agents.dqn, rlgen.envs"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
