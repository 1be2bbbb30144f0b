import json
import os
import subprocess
import sys
import threading
import time as clock

import numpy as np
import pytest

from rlgen.core import inventory
from rlgen.core.errors import Diverged, Interrupted, StorageError, UserError
from rlgen.core.folder import Folder
from rlgen.core.names import safe

CLAIM = """
import sys
from pathlib import Path
from rlgen.core.folder import Folder
from rlgen.core.names import safe
print("ready", flush=True)
sys.stdin.readline()
print(Folder.create(Path(sys.argv[1]), "dqn-CartPole").name)
"""
HOLD = """
import sys
from pathlib import Path
from rlgen.core.folder import Folder
from rlgen.core.names import safe
with Folder(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.readline()
"""


def start(script, *args):
    """A process that has run `script` up to its first printed line."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline()
    return process


def log(folder, text):
    (folder.directory / "metrics.jsonl").write_text(text, encoding="latin-1")
    return folder


def test_a_run_appears_whole_or_not_at_all(tmp_path):
    seen = []

    def begin(folder):
        (folder.directory / "weights").write_text("those of another run")
        seen.extend(Folder.all(tmp_path))
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match=r"cannot make a run in .* \(No space left on device\)"):
        Folder.create(tmp_path, "x", begin=begin)
    assert seen == []
    assert list(tmp_path.iterdir()) == []
    made = Folder.create(tmp_path, "x", begin=lambda folder: (folder.directory / "weights").touch())
    assert (made.name, made.info["name"]) == ("x-1", "x-1")
    assert {path.name for path in made.directory.iterdir()} == {"run.json", "weights"}


def test_run_folders_are_numbered(tmp_path):
    assert [Folder.create(tmp_path, "dqn-CartPole").name for _ in range(2)] == ["dqn-CartPole-1", "dqn-CartPole-2"]
    for other in ("dqn-CartPole-9", "dqn-CartPole-x", "dqn-CartPole-old-70", "dqn-CartPole"):
        (tmp_path / other).mkdir()
    assert Folder.create(tmp_path, "dqn-CartPole").name == "dqn-CartPole-10"
    assert Folder.create(tmp_path / "new" / "place", "gan-mnist").name == "gan-mnist-1"


def test_facts_are_written_to_run_json(tmp_path):
    folder = Folder.create(tmp_path, "dqn-CartPole", "mine", seed=3, config={"lr": 0.1})
    folder.describe(time=5)
    info = json.loads((tmp_path / "mine" / "run.json").read_text())
    assert (len(info.pop("sha256")), info.pop("schema")) == (64, 1)
    assert info == folder.info
    assert {"name": "mine", "seed": 3, "config": {"lr": 0.1}, "time": 5, "status": "created"}.items() <= info.items()
    assert {"created", "updated"} <= set(info)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["run.json"]
    with pytest.raises(UserError, match="mine exists: choose another --name"):
        Folder.create(tmp_path, "dqn-CartPole", "mine")


@pytest.mark.slow
def test_fifty_runs_started_together_get_fifty_folders(tmp_path):
    processes = [start(CLAIM, tmp_path) for _ in range(50)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    names = [process.communicate()[0].strip() for process in processes]
    assert sorted(names) == sorted(f"dqn-CartPole-{i}" for i in range(1, 51))
    assert all(folder.info["name"] == folder.name for folder in Folder.all(tmp_path))


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot make a run in .*file"):
        Folder.create(tmp_path / "file", "dqn-CartPole")


def test_find(tmp_path):
    for name in ("dqn-CartPole-1", "gan-mnist-1"):
        Folder.create(tmp_path, "x", name)
    assert Folder.find(tmp_path, "DQN-cartpole-1").name == "dqn-CartPole-1"
    assert Folder.find(tmp_path / "elsewhere", str(tmp_path / "gan-mnist-1")).name == "gan-mnist-1"
    with pytest.raises(UserError, match=r"no run 'gan-mnist-2' in .*: did you mean gan-mnist-1"):
        Folder.find(tmp_path, "gan-mnist-2")
    with pytest.raises(UserError, match="`rlgen runs` lists them"):
        Folder.find(tmp_path, "zzz")
    with pytest.raises(UserError, match="no runs in"):
        Folder.find(tmp_path / "elsewhere")


def test_latest_is_the_newest_run_and_other_folders_are_skipped(tmp_path):
    for number, name in enumerate(("b", "c", "a")):
        Folder.create(tmp_path, "x", name).describe(created=f"2026-01-0{number + 1}T00:00:00+00:00")
    (tmp_path / "empty").mkdir()
    (tmp_path / "README.md").write_text("")
    for name, text in (("torn", '{"name": '), ("list", "[]")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(text)
    assert [folder.name for folder in Folder.all(tmp_path)] == ["b", "c", "a"]
    assert Folder.find(tmp_path).name == "a"
    for name in ("torn", "list", "empty"):
        with pytest.raises(UserError, match=name):
            _ = Folder(tmp_path / name).info


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, "finished"),
        (Diverged("nan"), "diverged"),
        (Interrupted(2, "stopped"), "interrupted"),
        (KeyboardInterrupt(), "interrupted"),
        (StorageError("full"), "failed"),
        (ValueError("what"), "failed"),
    ],
)
def test_status_after_each_kind_of_end(tmp_path, error, status):
    folder = Folder.create(tmp_path, "x")
    assert folder.status == "stale"  # created, and never locked
    try:
        with folder:
            assert Folder(folder.directory).status == "running"
            assert folder.info["pid"] == os.getpid()
            if error:
                raise error
    except BaseException as raised:
        assert raised is error  # noqa: PT017
    assert Folder(folder.directory).status == status
    assert folder.info["error"] == (None if error is None else str(error))


def test_a_finished_run_has_no_error_of_earlier_attempts(tmp_path):
    folder = Folder.create(tmp_path, "x")
    with pytest.raises(ValueError), folder:
        raise ValueError("once")
    with folder:
        pass
    assert folder.status == "finished"
    assert not folder.info.get("error")


def test_the_lock_excludes_other_processes(tmp_path):
    folder = Folder.create(tmp_path, "x")
    holder = start(HOLD, folder.directory)
    assert folder.locked()
    assert folder.status == "running"
    with (
        pytest.raises(UserError, match=f"x-1 is being trained by process {holder.pid}: wait for its end, or stop it"),
        folder,
    ):
        raise AssertionError
    assert folder.status == "running"  # unchanged by the refused process
    holder.communicate("done\n")
    assert folder.status == "finished"
    with folder:
        pass


def test_a_lock_is_freed_when_its_holder_is_killed(tmp_path):
    folder = Folder.create(tmp_path, "x")
    holder = start(HOLD, folder.directory)
    holder.kill()
    holder.communicate()
    assert folder.info["status"] == "running"
    assert folder.status == "stale"
    with folder:
        assert folder.status == "running"
    assert folder.status == "finished"


def test_the_lock_excludes_other_threads(tmp_path):
    folder, caught = Folder.create(tmp_path, "x"), []

    def other():
        try:
            with Folder(folder.directory):
                pass
        except UserError as error:
            caught.append(str(error))

    with folder:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(caught) == 1


@pytest.mark.parametrize(
    "torn", ["", '{"time": 3, "lo', '{"time": 3}', "\0\0\0\0", "\xff\xfe\n", '{"time": 3, "lo\n{"time": 4\n']
)
def test_an_incomplete_last_line_is_left_out(tmp_path, torn):
    folder = log(Folder.create(tmp_path, "x"), '{"time": 1, "loss": 0.5}\n{"time": 2, "loss": 0.25}\n' + torn)
    assert folder.rows() == [{"time": 1, "loss": 0.5}, {"time": 2, "loss": 0.25}]
    assert folder.rows("timing.jsonl") == []


def test_metrics_by_name(tmp_path):
    rows = [
        {"time": 1, "loss": [1, 2]},
        {"time": 2, "loss": [3, 4], "return": 5},
        {"time": 2, "eval_return": [6, None]},
    ]
    folder = log(Folder.create(tmp_path, "x"), "".join(json.dumps(row) + "\n" for row in rows))
    metrics = folder.metrics()
    assert list(metrics) == ["loss", "return", "eval_return"]
    for name, times, values in (
        ("loss", [1, 2], [[1, 2], [3, 4]]),
        ("return", [2], [5]),
        ("eval_return", [2], [[6, np.nan]]),
    ):
        assert np.array_equal(metrics[name][0], times)
        assert np.array_equal(metrics[name][1], values, equal_nan=True)
        assert metrics[name][1].dtype == float


def test_metrics_of_earlier_versions_have_their_current_names(tmp_path):
    folder = log(Folder.create(tmp_path, "x"), '{"time": 1, "eval_active": 3.0}\n')
    assert folder.rows() == [{"time": 1, "eval_active_units": 3.0}]
    assert list(folder.metrics()) == ["eval_active_units"]


def test_safe():
    assert safe("ALE/Pong-v5") == "ALE-Pong-v5"
    assert safe("../../etc/passwd") == "etc-passwd"
    assert safe("module:Env v0") == "module-Env-v0"


@pytest.mark.parametrize(
    "name",
    [
        "latest",
        "LATEST",
        " ",
        "",
        "a\nb",
        "a ",
        " a",
        "\x1b[31m",
        "a/b",
        "..",
        ".a",
        "-a",
        "a\\b",
        200 * "x",
        "\u202ea",
        "\udcff",
    ],
)
def test_names_that_cannot_be_typed_again_are_refused(tmp_path, name):
    with pytest.raises(UserError, match="--name ") as caught:
        Folder.create(tmp_path, "x", name)
    assert str(caught.value).isprintable()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a b", "größe-1", "x" * 100, "latest-1"])
def test_other_names_are_taken(tmp_path, name):
    assert Folder.create(tmp_path, "x", name).name == name


def test_a_run_that_cannot_be_begun_does_not_stay_running(tmp_path, monkeypatch):
    def full(*args):
        raise StorageError("no room")

    folder = Folder.create(tmp_path, "dqn")
    monkeypatch.setattr(inventory, "write", full)
    with pytest.raises(StorageError, match="no room"), folder:
        pytest.fail("the run was begun")
    assert (folder.info["status"], folder.info["error"]) == ("failed", "no room")
    assert not folder.locked()


def test_the_beginning_of_a_run_that_was_killed_is_removed_after_a_day(tmp_path):
    old, new = tmp_path / ".partial-1-aaaa", tmp_path / ".partial-2-bbbb"
    for path in (old, new):
        path.mkdir()
        (path / "run.json").write_text("{}")
    yesterday = clock.time() - 90_000
    os.utime(old, (yesterday, yesterday))
    Folder.create(tmp_path, "dqn-CartPole")
    assert not old.exists()
    assert new.exists()
