import json
import shutil

from filelock import FileLock

from rlgen.core import labels
from rlgen.core.files import replacing
from tests.ui.conftest import make_run

ROWS = [{"time": 10 * i, "loss": 1 / i, "return": [float(i), None]} for i in range(1, 6)]


def test_the_page_and_its_files(client):
    status, headers, body = client.request("/")
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert b'<script src="/page/' in body
    for name in (line.split('"')[1] for line in body.decode().splitlines() if "<script" in line):
        status, headers, body = client.request(name)
        assert (status, headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")
        assert body


def test_runs_and_one_run(client, runs):
    directory = make_run(runs, "one", ROWS, result={"score": 5.0})
    (directory / "samples").mkdir()
    for time in (0, 50):
        (directory / "samples" / f"{time:09d}.png").write_bytes(b"\x89PNG")
    listed = client.json("/api/runs")
    assert [run["name"] for run in listed["runs"]] == ["one"]
    assert listed["runs"][0] | {"status": "finished", "score": 5.0, "unit": "steps"} == listed["runs"][0]
    run = client.json("/api/runs/one")
    assert run["command"] == "rlgen dqn CartPole"
    assert run["pictures"] == {"samples": [0, 50]}
    assert run["metrics"] == ["loss", "return"]
    assert run["axes"][0]["value"] == "return per episode"
    status, headers, body = client.request("/api/runs/one/picture/samples/50")
    assert (status, headers["Content-Type"], body) == (200, "image/png", b"\x89PNG")


def test_a_log_is_read_from_where_it_ended(client, runs):
    directory = make_run(runs, "one", ROWS)
    first = client.json("/api/runs/one/log")
    assert first["rows"] == ROWS
    assert first["restart"]
    with (directory / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"time": 60, "loss": 0.1}) + "\n")
    second = client.json(f"/api/runs/one/log?after={first['offset']}&id={first['id']}")
    assert (second["rows"], second["restart"]) == ([{"time": 60, "loss": 0.1}], False)
    assert client.json("/api/runs/one/timing")["rows"] == []


def test_an_action_on_a_run(client, runs):
    import rlgen

    rlgen.train("qlearning", "FrozenLake", runs=runs, name="lake", budget=500, progress=False)
    status, answer = client.live("lake", "describe")
    assert (status, answer) == (200, {"time": 520, "parameters": 64, "requests": 1})
    assert client.live("lake", "describe")[1]["requests"] == 2
    assert client.live("lake", "nothing") == (404, {"error": "no action 'nothing'"})
    assert client.live("nobody", "describe")[0] == 404


def test_what_differs_between_runs(client, runs):
    rows = [{"time": 10 * i, "eval_return": float(i)} for i in range(1, 6)]
    for name, lr in (("one", 0.1), ("two", 0.2)):
        make_run(runs, name, rows, config={"lr": lr, "seeds": 1}, changed={"lr": lr})
    found = client.json("/api/compare?run=one&run=two")
    assert found["differences"] == {"lr": ["0.1", "0.2"]}
    assert [e["runs"] for e in found["experiments"]] == [["one"], ["two"]]
    assert client.request("/api/compare?run=one&run=three")[0] == 404
    assert client.request("/api/compare")[0] == 400
    assert client.request("/api/compare?run=../runs/one")[0] == 404
    (runs / "two" / "metrics.jsonl").write_text('{"loss": "x"}\n{"time": []}\n')
    status, _, body = client.request("/api/compare?run=one&run=two")
    assert (status, "error" in json.loads(body)) == (400, True)
    (runs / "two" / "metrics.jsonl").unlink()
    (runs / "two" / "metrics.jsonl").symlink_to(runs / "one" / "metrics.jsonl")
    assert client.request("/api/compare?run=one&run=two")[0] == 404


def test_an_unchanged_list_of_runs_is_not_sent_again(client, runs):
    make_run(runs, "one")
    first = client.json("/api/runs?id=")
    assert client.json(f"/api/runs?id={first['id']}") == {"unchanged": True, "id": first["id"]}
    make_run(runs, "two")
    second = client.json(f"/api/runs?id={first['id']}")
    assert len(second["runs"]) == 2
    shutil.rmtree(runs / "one")
    third = client.json(f"/api/runs?id={second['id']}")
    assert [run["name"] for run in third["runs"]] == ["two"]
    labels.write_note(runs / "two", "better")
    fourth = client.json(f"/api/runs?id={third['id']}")
    assert fourth["runs"][0]["note"] == "better"
    info = json.loads((runs / "two" / "run.json").read_text())
    with replacing(runs / "two" / "run.json") as partial:
        partial.write_text(json.dumps({**info, "best": 7}))
    assert client.json(f"/api/runs?id={fourth['id']}")["runs"][0]["best"] == 7


def test_a_run_that_dies_is_stale(client, runs, monkeypatch):
    monkeypatch.setattr("rlgen.ui.runs.LOCK_SECONDS", 0)
    directory = make_run(runs, "one", status="running")
    with FileLock(directory / "run.lock"):
        first = client.json("/api/runs")
        assert first["runs"][0]["status"] == "running"
        assert client.json(f"/api/runs?id={first['id']}")["unchanged"]
    second = client.json(f"/api/runs?id={first['id']}")
    assert second["runs"][0]["status"] == "stale"
    with FileLock(directory / "run.lock"):  # resumed
        assert client.json(f"/api/runs?id={second['id']}")["runs"][0]["status"] == "running"


def test_a_run_that_is_deleted_or_resumed_while_shown(client, runs):
    directory = make_run(runs, "one", ROWS)
    first = client.json("/api/runs/one/log?points=100")
    with replacing(directory / "metrics.jsonl") as partial:
        partial.write_text("".join(json.dumps(row) + "\n" for row in ROWS[:2]))
    again = client.json(f"/api/runs/one/log?after={first['offset']}&id={first['id']}")
    assert (again["restart"], again["rows"]) == (True, ROWS[:2])
    (directory / "metrics.jsonl").unlink()
    gone = client.json(f"/api/runs/one/log?after={again['offset']}&id={again['id']}")
    assert (gone["restart"], gone["rows"], gone["offset"]) == (True, [], 0)
    shutil.rmtree(directory)
    for path in ("/api/runs/one", "/api/runs/one/log", "/api/runs/one/picture/samples/0"):
        status, _, body = client.request(path)
        assert (status, "one" in json.loads(body)["error"]) == (404, True)
    assert client.live("one", "describe")[0] == 404


def test_a_folder_that_is_made_later_is_shown(runs, tmp_path):
    from rlgen.ui.runs import Runs

    listed = Runs(tmp_path / "later")
    assert listed.summaries() == ()
    make_run(tmp_path / "later", "one")
    assert [run["name"] for run in listed.summaries()] == ["one"]


def test_runs_of_a_study_are_listed_by_both_names_and_the_study_is_named(client, runs):
    make_run(runs, "tuning/trial-0001", trial={"number": 1, "settings": {"lr": 0.1}, "role": "tuning", "seeds": [3]})
    (runs / "tuning" / "study.json").write_text('{"schema": 1, "algorithm": "dqn", "task": "CartPole"}')
    assert "tuning/trial-0001" in [run["name"] for run in client.json("/api/runs")["runs"]]
    assert client.json("/api/runs/tuning%2Ftrial-0001")["name"] == "tuning/trial-0001"
    status, _, body = client.request("/api/runs/tuning")
    assert (status, "'tuning' is a study" in json.loads(body)["error"]) == (404, True)


def test_a_list_of_many_runs_takes_a_small_share_of_the_time(runs, monkeypatch):
    from rlgen.ui import runs as module

    for i in range(5):
        make_run(runs, f"run-{i}")
    monkeypatch.setattr(module, "MANY", 4)
    monkeypatch.setattr(module, "SHARE", 1e-6)
    listed = module.Runs(runs)
    assert len(listed.summaries()) == 5
    make_run(runs, "another")
    assert len(listed.summaries()) == 5
    monkeypatch.setattr(listed, "_until", 0.0)
    assert len(listed.summaries()) == 6
