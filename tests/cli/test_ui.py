"""`rlgen ui` and `rlgen report` from the command line."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.ui.conftest import make_run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def start(tmp_path):
    """Starts `rlgen WORDS`; its processes end with the test."""
    started = []

    def begin(*words, **environment):
        command = [sys.executable, "-m", "rlgen", *words]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, **streams))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_address_is_printed_and_a_signal_ends_the_server(start, tmp_path, number):
    process = start("ui", "--port", "0", "--runs", str(tmp_path))
    address = process.stdout.readline().strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{32}", address)
    assert str(tmp_path) in process.stdout.readline()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    assert b"<title>rlgen</title>" in opener.open(address, timeout=10).read()
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (128 + number, "stopped\n")
    assert not out.strip()


def test_a_port_in_use_is_one_line(start, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start("ui", "--port", str(taken.getsockname()[1]), "--runs", str(tmp_path))
        _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert re.fullmatch(r"error: port \d+ is in use: choose another with --port N, or a free one with --port 0\n", err)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ui", "--port", "70000"], "ports end at 65535"),
        (["ui", "--port", "-1"], "less than 0"),
        (["ui", "--runs", "pyproject.toml"], "pyproject.toml is not a folder"),
        (["report", "nobody"], "no run 'nobody'"),
        (["report", "one", "--out", "a.pdf"], "its name must end in .html"),
    ],
)
def test_what_cannot_be_shown_is_one_line(start, words, message):
    process = start(*words)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert message in err
    assert err.count("\n") == 1


def test_the_browser_is_opened_at_the_address(monkeypatch, tmp_path, capsys):
    import webbrowser

    from rlgen.cli import ui
    from rlgen.ui.server import Server

    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(Server, "serve_forever", lambda server: None)
    ui.serve(port=0, open_=True, runs=tmp_path)
    assert opened == [capsys.readouterr().out.splitlines()[0]]
    ui.serve(port=0, open_=False, runs=tmp_path)
    assert len(opened) == 1


def test_a_report_is_written_and_its_size_printed(tmp_path, capsys):
    from rlgen.cli import ui

    make_run(tmp_path, "one", [{"time": 1, "loss": 1.0}])
    out = tmp_path / "one.html"
    ui.report(["ONE"], out, tmp_path)
    assert capsys.readouterr().out == f"{out}  {out.stat().st_size / 1e6:.1f} MB\n"
