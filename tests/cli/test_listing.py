"""`rlgen list` and `rlgen runs`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rlgen import catalog, kinds, networks
from rlgen.cli.main import app
from rlgen.core.errors import UserError
from rlgen.core.folder import Folder


def run(*words, **environment):
    result = CliRunner().invoke(app, list(map(str, words)), env=environment)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


def test_the_short_list_fits_a_page_and_names_everything():
    text = run("list")
    assert len(text.splitlines()) < 50
    assert max(map(len, text.splitlines())) < 80
    for word in (
        *catalog.CATALOG,
        *networks.NETWORKS,
        "CartPole",
        "Pong",
        "digits",
        "folder:PATH",
        "every gymnasium id",
        "presets",
    ):
        assert word in text


@pytest.mark.parametrize("topic", catalog.TOPICS)
def test_a_table_in_full_is_that_of_the_json(topic):
    rows = json.loads(run("list", topic, "--json"))
    assert list(rows) == [topic]
    text = run("list", topic)
    assert len(text.splitlines()) == 1 + len(rows[topic])
    for row in rows[topic]:
        assert all(cell in text for cell in row.values())


def test_the_json_of_everything_has_every_table_and_every_measured_score():
    tables = json.loads(run("list", "--json"))
    assert tuple(tables) == catalog.TOPICS
    assert {row["name"] for kind in kinds.KINDS.values() for row in tables[kind.plural]} == set(catalog.CATALOG)
    scores = {(row["algorithm"], row["task"]): row["measured score"] for row in tables["presets"]}
    for name, entry in catalog.CATALOG.items():
        for task, score in entry.expected.items():
            assert scores[name, task.replace(":", " --preset ")] == score


def test_a_topic_that_there_is_not():
    with pytest.raises(UserError, match="no list of 'env': did you mean envs"):
        run("list", "env")
    with pytest.raises(
        UserError, match="no list of 'zzz': there are agents, models, classifiers, envs, data, networks, presets"
    ):
        run("list", "zzz")


@pytest.mark.parametrize(
    ("info", "stop_at", "progress"),
    [
        ({"status": "interrupted", "time": 33}, "inf", "33/100 (33 %)"),
        ({"status": "finished", "time": 40}, "inf", "40/100 (ended early)"),
        ({"status": "finished", "time": 40}, "17", "40/100 (solved)"),
        ({"status": "finished", "time": 101}, "inf", "101/100 (100 %)"),
    ],
)
def test_a_row_of_runs(tmp_path, info, stop_at, progress):
    plan = {"budget": 100, "stop_at": stop_at}
    facts = {"algorithm": "dqn", "task": "CartPole", "plan": plan, "seed": 3, "best": 17.25}
    Folder.create(tmp_path, "dqn-CartPole", **facts, time=info["time"]).describe(status=info["status"])
    text = run("runs", "--runs", tmp_path, COLUMNS="200")
    for word in ("dqn-CartPole-1", info["status"], progress, "17.2", " s"):
        assert word in text
    (row,) = json.loads(run("runs", "--runs", tmp_path, "--json"))
    expected = {"name": "dqn-CartPole-1", "algorithm": "dqn", "task": "CartPole", "seed": 3, "best": 17.25}
    assert row.items() >= {**expected, "budget": 100, **info}.items()


def test_runs_lists_a_finished_run(rlgen, trained):
    code, out, _ = rlgen("runs")
    assert code == 0
    assert "dqn-CartPole-1" in out
    assert "600/600 (100 %)" in out
    row = json.loads(rlgen("runs", "--json")[1])[0]
    assert (row["name"], row["status"], row["time"], row["budget"]) == ("dqn-CartPole-1", "finished", 600, 600)


def test_runs_of_an_empty_folder(rlgen):
    code, out, _ = rlgen("runs", "--runs", "nowhere")
    assert code == 0
    assert "no runs in nowhere" in out


def test_a_foreign_run_json_hides_no_other_run(rlgen, trained):
    Path("runs/other").mkdir()
    Path("runs/other/run.json").write_text("{}")
    code, out, _ = rlgen("runs")
    assert code == 0
    assert "dqn-CartPole-1" in out
    code, _, err = rlgen("eval", "other")
    assert code == 2
    assert "not made by this rlgen" in err
