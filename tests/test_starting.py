"""What a training imports until its start panel is shown: torch, and little besides."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMPILER = ("sympy", "torch._dynamo", "torch._inductor")
LATER = ("PIL", "matplotlib", "optuna", "pandas", "pooch", "scipy", "sklearn", "torch.utils.tensorboard")
CODE = f"""
import sys
from rlgen import session
from rlgen.cli.main import main
from rlgen.report.console import Display

def imported(names):
    return sorted({{*names}} & {{*sys.modules}})

def start(display, title, facts):
    print("at the start:", *imported({(*COMPILER, *LATER)!r}))

def report(*more):
    print("at the end:", *imported({COMPILER!r}))
    sys.exit()

Display.start, session.Session.score = start, report
sys.argv = ["rlgen", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize(
    "words",
    [
        "dqn CartPole --budget 200 --learning-starts 100 --width 8 --eval-episodes 1",
        "vae digits --budget 200 --width 2 --latent 2 --optimizer sgd",
    ],
)
def test_what_is_needed_later_is_not_imported_before_the_start_panel(tmp_path, words):
    """Nor is the compiler of torch ever, where --compile is not typed: that is a second of each run."""
    command = [sys.executable, "-W", "error", "-c", CODE, *words.split(), "--runs", str(tmp_path), "--threads", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("at the ")] == ["at the start:", "at the end:"]
