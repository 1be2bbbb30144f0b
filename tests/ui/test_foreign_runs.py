"""Folders of others: nothing outside the folder of runs is read, nothing in it is written or run."""

import json
import os
import shutil
from urllib.parse import quote

import pytest

from rlgen.core.folder import Folder
from tests.ui.conftest import make_run

SECRET = "the secret of the neighbour"
ESCAPES = [
    "..", "../outside", "one/../../outside", "./one", "one/.", "/etc", "//etc/passwd", "~", ".hidden",
    "one/checkpoints", "..\\outside", "one\0", "one\n", "outside-link", "%2e%2e", "%2e%2e%2foutside",
    "one%00", "..;/outside", "．．", "a/b/c/d/e", "", "/", "one//", "\x1b[31m", "CON", "latest",
]  # fmt: skip


@pytest.fixture
def outside(runs):
    """A run beside the folder of runs, and links to it from within."""
    directory = make_run(runs.parent, "outside", [{"time": 1, "secret": 1.0}], task=SECRET)
    (directory / "picture.png").write_text(SECRET)
    make_run(runs, "one", [{"time": 1, "loss": 1.0}])
    make_run(runs, ".hidden", task=SECRET)
    (runs / "outside-link").symlink_to(directory)
    return directory


@pytest.mark.parametrize("name", ESCAPES)
def test_a_run_is_found_by_its_name_below_the_folder_alone(client, outside, name):
    for text in {quote(name, safe=""), quote(name, safe="/"), quote(quote(name, safe=""), safe="")}:
        for path in (f"/api/runs/{text}", f"/api/runs/{text}/log", f"/api/runs/{text}/picture/picture.png"):
            if path.rstrip("/") == "/api/runs":
                continue  # the list
            status, _, body = client.request(path)
            assert status in (400, 404), path
            assert SECRET.encode() not in body
            assert set(json.loads(body)) == {"error"}


@pytest.mark.parametrize("picture", ["../outside/picture.png", "../../outside/picture.png", "run.json", "link.png"])
@pytest.mark.parametrize("safe", ["", "/"])
def test_a_picture_is_one_of_those_listed(client, runs, outside, picture, safe):
    (runs / "one" / "link.png").symlink_to(outside / "picture.png")
    assert client.json("/api/runs/one")["pictures"] == {}
    status, _, body = client.request(f"/api/runs/one/picture/{quote(picture, safe=safe)}")
    assert status == 404
    assert SECRET.encode() not in body


@pytest.mark.parametrize(
    "path", ["/page/../server.py", "/page/%2e%2e/api.py", "/page/__init__.py", "/page//etc/passwd"]
)
def test_only_files_of_the_page_are_served(client, path):
    assert client.request(path)[0] == 404


def test_links_out_of_the_folder_are_refused(client, runs, outside):
    """A folder, a picture, a log, run.json and a folder of pictures: each a link to another place."""
    for name in ("log", "json"):
        make_run(runs, name)
    (runs / "log" / "metrics.jsonl").unlink()
    (runs / "log" / "metrics.jsonl").symlink_to(outside / "metrics.jsonl")
    (runs / "log" / "samples").symlink_to(outside, target_is_directory=True)
    (runs / "json" / "run.json").unlink()
    (runs / "json" / "run.json").symlink_to(outside / "run.json")
    assert sorted(run["name"] for run in client.json("/api/runs")["runs"]) == ["log", "one"]
    assert client.json("/api/runs/log/log")["rows"] == []
    assert client.json("/api/runs/log")["pictures"] == {}
    assert client.request("/api/runs/json")[0] == 404


def test_the_folder_itself_may_be_a_link(tmp_path):
    from rlgen.ui.runs import Runs

    make_run(tmp_path / "real", "one")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    runs = Runs(tmp_path / "link")
    assert [run["name"] for run in runs.summaries()] == ["one"]
    assert runs.details("one")["task"] == "CartPole"


def test_pipes_and_folders_in_place_of_files_do_not_hang(client, runs):
    for name in ("run.json", "metrics.jsonl", "report.json", "labels.json", "picture.png"):
        directory = make_run(runs, f"pipe-{name.replace('.', '-')}")
        (directory / name).unlink(missing_ok=True)
        os.mkfifo(directory / name)
    (make_run(runs, "folder") / "labels.json").mkdir()
    listed = [run["name"] for run in client.json("/api/runs")["runs"]]
    assert "pipe-run-json" not in listed
    for name in listed:
        client.json(f"/api/runs/{name}")
        client.json(f"/api/runs/{name}/log")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "[" * 10**5,
        '{"a":' * 10**5,
        "\ufeff{}",
        '{"algorithm": 1, "task": []}',
        " " * 2**20 + "{}",
    ],
    ids=range(9),
)
def test_a_torn_description_hides_that_run_alone(client, runs, content):
    make_run(runs, "one")
    (make_run(runs, "torn") / "run.json").write_text(content)
    assert [run["name"] for run in client.json("/api/runs")["runs"]] == ["one"]
    status, _, body = client.request("/api/runs/torn")
    assert status == 404
    assert "run.json" in json.loads(body)["error"]


def test_wrong_types_in_a_description_are_shown_as_missing(client, runs):
    wrong = {"config": 3, "plan": [], "result": "x", "best": {}, "time": True, "argv": "rm", "seconds": float("nan")}
    make_run(runs, "one", **wrong, kind="<b>", changed=None, created=5)
    (run,) = client.json("/api/runs")["runs"]
    assert (run["kind"], run["budget"], run["score"], run["best"], run["time"]) == ("", None, None, None, None)
    details = client.json("/api/runs/one")
    assert (details["command"], details["panels"], details["axes"]) == ("", [], [])


def test_hostile_texts_stay_texts_without_control_characters(client, runs):
    name = "<img src=x onerror=alert(1)> & '\"$(rm) ünï"
    task = "\x1b[31mred\x07 \u202eright <script>alert(1)</script>" + 10_000 * "x"
    config = {"\x1b]0;t\x07": [float("inf")], "n": 10**400}
    make_run(runs, name, [{"time": 1, "<b>\x1b": 1.0}], task=task, config=config)
    (run,) = client.json("/api/runs")["runs"]
    assert run["name"] == name
    assert run["task"].startswith("\\x1b[31mred\\x07 \\u202eright <script>")
    assert len(run["task"]) < 2_100
    details = client.json(f"/api/runs/{quote(name, safe='')}")
    assert details["config"] == {"\\x1b]0;t\\x07": [None], "n": None}
    status, headers, _ = client.request(f"/api/runs/{quote(name, safe='')}")
    assert (status, headers["Content-Type"]) == (200, "application/json")


def test_names_that_are_no_text_are_left_out(client, runs):
    make_run(runs, "one")
    shutil.copytree(runs / "one", runs / os.fsdecode(b"\xff\xfe"))
    shutil.copytree(runs / "one", runs / "\x1b[2J")
    assert [run["name"] for run in client.json("/api/runs")["runs"]] == ["one"]


def test_runs_within_folders_are_listed_by_their_path(client, runs):
    make_run(runs / "lessons" / "replay", "a b")
    make_run(runs / "one" / "two" / "three" / "four", "too-deep")
    assert [run["name"] for run in client.json("/api/runs")["runs"]] == ["lessons/replay/a b"]
    assert client.json("/api/runs/lessons%2Freplay%2Fa%20b")["task"] == "CartPole"


def test_nothing_is_written_and_no_address_is_taken_for_a_path(client, runs, monkeypatch):
    make_run(runs, "one", [{"time": 1, "loss": 1.0}])
    make_run(runs, "active", status="running")

    def find(*words):
        raise AssertionError(f"Folder.find{words}")

    monkeypatch.setattr(Folder, "find", find)
    before = {path: path.stat().st_mtime_ns for path in [runs, *runs.rglob("*")]}
    for path in ("/", "/api/runs", "/api/runs/one", "/api/runs/active", "/api/runs/one/log", "/api/runs/one/timing"):
        assert client.request(path)[0] == 200
    assert {path: path.stat().st_mtime_ns for path in [runs, *runs.rglob("*")]} == before


def test_the_lock_is_looked_at_seldom_and_of_active_runs_alone(client, runs, monkeypatch):
    for status in ("finished", "failed", "running", "created"):
        (make_run(runs, status, status=status) / "run.lock").touch()
    (runs.parent / "precious").write_text("kept")
    (make_run(runs, "link", status="running") / "run.lock").symlink_to(runs.parent / "precious")
    asked = []
    monkeypatch.setattr(Folder, "locked", lambda folder: asked.append(folder.name) or True)
    for _ in range(3):
        status = {run["name"]: run["status"] for run in client.json("/api/runs")["runs"]}
    assert status == {**{name: name for name in ("finished", "failed", "running", "created")}, "link": "stale"}
    assert sorted(asked) == ["created", "running"]
    assert (runs.parent / "precious").read_text() == "kept"
