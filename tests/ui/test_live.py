"""The process of the interactive panels: started by the first request, replaced when it fails, ended when idle."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time as clock
from concurrent.futures import ThreadPoolExecutor

import pytest

import rlgen
from rlgen.core import seal
from rlgen.envs import names
from rlgen.ui import live as live_module
from rlgen.ui.live import Live, Unanswered

MODULE = """
from pathlib import Path
import gymnasium
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv
Path(__file__).with_suffix(".imported").touch()
gymnasium.register("Lake-v0", entry_point=FrozenLakeEnv, max_episode_steps=20)
"""


@pytest.fixture(autouse=True)
def _permitted(monkeypatch):
    """A worker in this process limits the modules that may be imported; afterwards all may be, as before."""
    monkeypatch.setattr(names, "PERMITTED", None)


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """A trained run."""
    runs = tmp_path_factory.mktemp("lake")
    rlgen.train("qlearning", "FrozenLake", runs=runs, name="lake", budget=200, progress=False)
    return runs / "lake"


@pytest.fixture(scope="module")
def live():
    """A process for most of the tests: to start one takes seconds."""
    opened = Live()
    yield opened
    opened.close()


def ask(live, directory, action="describe", **request):
    info = json.loads((directory / "run.json").read_text())
    return live.answer(directory, info, action, json.dumps(request).encode())


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_one_process_answers_and_keeps_what_it_loaded(live, lake):
    first = ask(live, lake)["requests"]
    pid = live.pid
    assert os.getpriority(os.PRIO_PROCESS, pid) >= 10
    assert ask(live, lake)["requests"] == first + 1
    assert live.pid == pid
    seconds = []
    for _ in range(20):
        started = clock.perf_counter()
        ask(live, lake)
        seconds.append(clock.perf_counter() - started)
    assert min(seconds) < 0.02


@pytest.mark.parametrize(
    ("action", "body", "words"),
    [
        ("describ", b"{}", "did you mean describe"),
        ("describe", b"{", "JSON"),
        ("describe", b"[1]", "JSON object"),
        ("describe", b"[" * 100_000, "JSON"),
        ("describe", b'{"at": -1}', "`at`"),
        ("describe", b'{"at": "x"}', "`at`"),
        ("describe", b'{"at": true}', "`at`"),
    ],
)
def test_a_bad_request_starts_nothing(lake, action, body, words):
    live = Live()
    with pytest.raises(Unanswered, match=words):
        live.answer(lake, json.loads((lake / "run.json").read_text()), action, body)
    assert live.pid is None


def test_an_action_belongs_to_a_panel_that_the_run_offers(live, lake, monkeypatch):
    from rlgen.ui.actions import ACTIONS, Action

    monkeypatch.setitem(ACTIONS, "paint", Action("loaded:describe", panel="canvas"))
    with pytest.raises(Unanswered, match="lake has no panel 'canvas'"):
        ask(live, lake, "paint")


def test_a_crash_is_one_line_and_the_next_request_works(live, lake):
    ask(live, lake)
    os.kill(live.pid, signal.SIGSTOP)  # so that the request is waiting when the process ends
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(ask, live, lake)
        clock.sleep(0.05)
        os.kill(live.pid, signal.SIGKILL)
        with pytest.raises(Unanswered, match=r"ended during describe \(signal 9.*starts it again"):
            waiting.result(10)
    assert ask(live, lake)["requests"] == 1


@pytest.mark.slow
def test_an_idle_process_ends(lake):
    live = Live(idle=0.2)
    ask(live, lake)
    deadline = clock.monotonic() + 10
    while live.pid is not None and clock.monotonic() < deadline:
        clock.sleep(0.02)
    assert live.pid is None


def test_requests_wait_for_their_turn_and_too_many_are_refused(live, lake, monkeypatch):
    before = ask(live, lake)["requests"]
    with ThreadPoolExecutor(8) as pool:
        counts = [future.result()["requests"] for future in [pool.submit(ask, live, lake) for _ in range(8)]]
    assert sorted(counts) == list(range(before + 1, before + 9))
    monkeypatch.setattr(live, "_room", threading.BoundedSemaphore(1))
    with live._room, pytest.raises(Unanswered, match="busy") as error:
        ask(live, lake)
    assert error.value.status == 503


@pytest.mark.slow
def test_the_process_ends_with_its_server(lake, tmp_path):
    """Also where the server is killed: its end of the pipe is closed."""
    code = (
        "import json, sys, time; from pathlib import Path; from rlgen.ui.live import Live\n"
        "live, run = Live(), Path(sys.argv[1])\n"
        "live.answer(run, json.loads((run / 'run.json').read_text()), 'describe', b'{}')\n"
        "print(live.pid, flush=True); time.sleep(60)"
    )
    words = [sys.executable, "-c", code, str(lake)]
    with subprocess.Popen(words, cwd=live_module.__file__.split("/rlgen/")[0], stdout=subprocess.PIPE) as server:
        pid = int(server.stdout.readline())
        server.kill()
    deadline = clock.monotonic() + 10
    while alive(pid) and clock.monotonic() < deadline:
        clock.sleep(0.02)
    assert not alive(pid)


def test_errors_of_a_run_are_one_line(live, lake, tmp_path):
    copy = shutil.copytree(lake, tmp_path / "copy")
    shutil.rmtree(copy / "checkpoints")
    with pytest.raises(Unanswered, match="copy was trained to 208 and its checkpoints are missing") as error:
        ask(live, copy)
    assert error.value.status == 400


def test_a_module_of_a_foreign_run_is_imported_after_an_explicit_answer_alone(lake, tmp_path, monkeypatch):
    """Whatever else its run.json says: of which kind it is, or in which case its algorithm is written."""
    (tmp_path / "lakes_of_others.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    live = Live()
    copy = shutil.copytree(lake, tmp_path / "copy")
    info = json.loads((copy / "run.json").read_text())
    del info[seal.SEAL]
    imported = tmp_path / "lakes_of_others.imported"
    for facts in ({}, {"kind": "classifier"}, {"algorithm": "QLearning"}, {"kind": None}):
        (copy / "run.json").write_bytes(seal.dump({**info, "task": "lakes_of_others:Lake-v0", **facts}))
        for allow in (None, False, 1, "true"):
            answer = ask(live, copy, **({} if allow is None else {"allow": allow}))
            assert set(answer) == {"ask"}
            assert "lakes_of_others" in answer["ask"]
    assert not imported.exists()
    assert ask(live, copy, allow=True)["parameters"] == 64
    assert imported.exists()
    assert ask(live, copy)["parameters"] == 64, "the answer holds as long as the server"
    live.close()


def test_a_new_checkpoint_is_loaded_unless_a_session_is_in_progress(lake, tmp_path):
    from rlgen.ui.worker import LOADED, Worker

    copy = shutil.copytree(lake, tmp_path / "copy")
    worker = Worker()
    first = worker.load(str(copy), None)
    assert worker.load(str(copy), None) is first
    newest = max((copy / "checkpoints").iterdir())
    os.utime(newest, (1, 1))
    second = worker.load(str(copy), None)
    assert second is not first
    second.session["episode"] = "in progress"
    os.utime(newest, (2, 2))
    assert worker.load(str(copy), None) is second
    for i in range(LOADED):
        worker.load(str(shutil.copytree(lake, tmp_path / f"copy-{i}")), None)
    assert len(worker.loaded) == LOADED
    assert worker.load(str(copy), None) is not second, "the least recently used one is dropped"


def test_a_fault_of_an_action_is_one_line(lake, monkeypatch):
    from rlgen.ui.actions import ACTIONS, Action
    from rlgen.ui.worker import Worker

    monkeypatch.setitem(ACTIONS, "broken", Action("loaded:nothing"))
    message = {"run": str(lake), "at": None, "action": "broken", "allow": False, "request": {}}
    answer = Worker().answer(message)
    assert answer["status"] == 500
    assert "\n" not in answer["error"]
    assert "broken failed (AttributeError" in answer["error"]


def test_an_action_that_takes_too_long_is_stopped(live, lake, monkeypatch):
    ask(live, lake)
    pid = live.pid
    os.kill(pid, signal.SIGSTOP)
    from rlgen.ui.actions import ACTIONS, Action

    monkeypatch.setitem(ACTIONS, "describe", Action("loaded:describe", seconds=0.1))
    with pytest.raises(Unanswered, match="describe took longer than 0 s and was stopped") as error:
        ask(live, lake)
    assert error.value.status == 504
    assert live.pid is None
    assert not alive(pid)
