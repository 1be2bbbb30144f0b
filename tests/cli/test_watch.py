"""`rlgen watch`, also on a terminal."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

from rlgen.core.folder import Folder

ROOT = Path(__file__).parents[2]


def test_a_pipe_gets_the_present_state(rlgen, trained):
    code, out, _ = rlgen("watch")
    assert code == 0
    assert "dqn-CartPole-1  dqn on CartPole" in out
    assert "600/600 steps" in out
    assert "return per episode" in out
    assert rlgen("watch", "latest", "--once")[1] == out


def test_an_unknown_run(rlgen):
    assert rlgen("watch", "x")[0] == 2
    assert rlgen("watch")[0] == 2


def terminal(folder, *words):
    """`rlgen watch` on a terminal of 60 by 20 characters: its process and its end of the terminal."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 60, 0, 0))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "COLUMNS": "60", "LINES": "20"}
    command = [sys.executable, "-m", "rlgen", "watch", *words]
    process = subprocess.Popen(
        command, cwd=folder, stdin=its, stdout=its, stderr=its, env=environment, start_new_session=True
    )
    os.close(its)
    return process, ours


def read(terminal, until, seconds=60.0):
    """What was written to the terminal, up to the text `until` or its end."""
    found, end = b"", time.monotonic() + seconds
    while until.encode() not in found and time.monotonic() < end:
        try:
            found += os.read(terminal, 65536)
        except OSError:  # closed
            break
    return found.decode(errors="replace")


def test_a_run_in_training_is_shown_until_it_ends(trained, tmp_path):
    folder = Folder(tmp_path / "runs/dqn-CartPole-1")
    with folder:
        process, screen = terminal(tmp_path)
        try:
            assert "running" in read(screen, "running")
            assert process.poll() is None
        except BaseException:
            process.kill()
            raise
    rest = read(screen, "finished")
    assert "finished" in rest
    assert process.wait(30) == 0


def test_ctrl_c_ends_it_without_an_error(trained, tmp_path):
    with Folder(tmp_path / "runs/dqn-CartPole-1"):
        process, screen = terminal(tmp_path, "latest")
        read(screen, "running")
        process.send_signal(signal.SIGINT)
        shown = read(screen, "\0")
        assert process.wait(30) == 130
    assert "Traceback" not in shown
