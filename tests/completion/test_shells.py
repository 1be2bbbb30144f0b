"""Completion in real shells."""

import os
import pty
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rlgen.completion.scripts import SCRIPTS
from rlgen.core.folder import Folder

ROOT = Path(__file__).parents[2]


@pytest.fixture
def shell(tmp_path):
    """The environment of a shell with `rlgen` on its path and three runs."""
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "rlgen"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m rlgen "$@"\n')
    command.chmod(0o755)
    for name in ("dqn-CartPole-1", "gan mnist", "$(touch owned)"):
        Folder.create(tmp_path / "runs", "x").directory.rename(tmp_path / "runs" / name)
    (tmp_path / "settings.toml").write_text("")
    for name, script in SCRIPTS.items():
        (tmp_path / f"rlgen.{name}").write_text(script)
    environment = {**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    environment |= {"HOME": str(tmp_path), "TERM": "dumb"}
    environment.pop("RLGEN_RUNS", None)
    return (
        lambda *words: (
            subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60).stdout
        ),
        (tmp_path, environment),
    )


needs = {name: pytest.mark.skipif(not shutil.which(name), reason=f"{name} is not installed") for name in SCRIPTS}


@needs["bash"]
def test_bash(shell):
    run, (folder, _) = shell

    def complete(*words):
        quoted = " ".join(f"'{word}'" for word in ("rlgen", *words))
        line = f"COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; _rlgen_complete; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        return run("bash", "--norc", "-c", f"source rlgen.bash; {line}").splitlines()

    assert complete("eval", "dqn") == ["dqn-CartPole-1"]
    assert set(complete("eval", "")) == {"latest", "dqn-CartPole-1", "gan\\ mnist", "\\$\\(touch\\ owned\\)"}
    assert complete("dqn", "CartPole", "--loss", "=", "h") == ["huber"]
    assert complete("dqn", "CartPole", "--config", "") == [""]  # files, by the shell itself
    assert not (folder / "owned").exists()


@needs["fish"]
def test_fish(shell):
    run, (folder, _) = shell

    def complete(line):
        found = run("fish", "--no-config", "-c", f"source rlgen.fish; complete -C {line!r}").splitlines()
        return [word.split("\t")[0] for word in found]

    assert complete("rlgen eval dqn") == ["dqn-CartPole-1"]
    # fish itself quotes what it inserts
    assert set(complete("rlgen eval ")) == {"latest", "dqn-CartPole-1", "gan mnist", "$(touch owned)"}
    assert complete("rlgen dqn CartPole --loss=h") == ["--loss=huber"]
    assert complete("rlgen dqn CartPole --config set") == ["settings.toml"]
    assert not (folder / "owned").exists()


@needs["zsh"]
def test_zsh(shell):
    """In an interactive shell on a terminal: a line, the tabulator, and what the line became."""
    _, (folder, environment) = shell
    ours, its = pty.openpty()
    process = subprocess.Popen(
        ["zsh", "-f", "-i"], stdin=its, stdout=its, stderr=its, cwd=folder, env=environment, start_new_session=True
    )
    os.close(its)
    shown = b""

    def until(text, seconds=30.0):
        nonlocal shown
        end = time.monotonic() + seconds
        while text not in shown and time.monotonic() < end:
            try:
                shown += os.read(ours, 65536)
            except OSError:
                break
        found, shown = shown, b""
        return found.decode(errors="replace")

    try:
        os.write(ours, b"PS1='> '; autoload -U compinit; compinit -u; source ./rlgen.zsh; print rea''dy\n")
        assert "ready" in until(b"ready\r\n")
        for typed, completed in (
            (b"print -- rlgen eval dqn\x01\x0b", b""),  # a line that is cleared: the editor is ready
            (b"rlgen eval dqn\t", b"rlgen eval dqn-CartPole-1"),
            (b"rlgen eval gan\t", b"rlgen eval gan\\ mnist"),
            (b"rlgen dqn CartPole --loss=h\t", b"--loss=huber"),
            (b"rlgen dqn CartPole --config set\t", b"settings.toml"),
        ):
            os.write(ours, typed)
            if completed:
                assert completed.decode() in until(completed), typed
                os.write(ours, b"\x15")  # clear the line
                until(b"\r", 0.5)
        assert not (folder / "owned").exists()
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_the_scripts_are_printed(tmp_path):
    for name, script in SCRIPTS.items():
        command = [sys.executable, "-m", "rlgen", "completion", name]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.stdout == script


LIGHT = """
import sys
from rlgen.__main__ import main
try:
    main()
finally:
    heavy = {"torch", "numpy", "typer", "rich", "pydantic", "gymnasium", "rlgen.cli"} & set(sys.modules)
    assert not heavy, heavy
"""


def test_a_completion_imports_nothing_heavy(tmp_path):
    environment = {**os.environ, "RLGEN_COMPLETE": "fish", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, "dqn", "CartP"], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["CartPole", "CartPoleHidden"]
