"""Every reader of a damaged log leaves out the damaged lines alone and says how many are lost."""

import json

import pytest

from rlgen.completion import complete
from rlgen.core import logs
from rlgen.core.errors import UserError
from rlgen.core.folder import Folder
from rlgen.core.tail import Tail
from rlgen.report import comparison, watch
from rlgen.report.logs import read
from rlgen.ui import logs as page
from rlgen.ui.runs import Runs
from tests.report.small_runs import lines_of

COUNT, FACTS = 12, {"kind": "agent", "algorithm": "dqn", "task": "CartPole", "seed": 0, "config": {"lr": 0.1}}


@pytest.fixture
def run(tmp_path):
    """A run whose log lacks line 3, and of which a digit in line 5 was changed."""
    folder = Folder.create(tmp_path, "x", **FACTS, time=COUNT, plan={"budget": COUNT})
    path = folder.directory / "metrics.jsonl"
    logs.append(path, ({"time": i, "return": i, "eval_return": 2 * i} for i in range(1, COUNT + 1)), 1)
    text = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*text[:2], text[3], text[4].replace(b"10", b"90"), *text[5:]]))
    folder.describe(lines={"metrics.jsonl": COUNT})
    return folder


TIMES = [1, 2, 4, *range(6, COUNT + 1)]


def test_rows_and_metrics(run):
    assert [row["time"] for row in run.rows()] == TIMES
    assert set(run.rows()[0]) == {"time", "return", "eval_return"}
    assert set(run.metrics()) == {"return", "eval_return"}


def test_plot_and_compare(run):
    found = read(run.directory)
    assert set(found.metrics) == {"return", "eval_return"}
    assert found.metrics["return"][0].tolist() == TIMES
    assert found.lost == 2
    notes = comparison.compare([run.directory])["notes"]
    assert "2 lines of the log damaged or missing" in notes
    (line, *_) = lines_of(run.directory)
    assert "2 lines of the log damaged or missing" in line.notes


@pytest.mark.parametrize("deleted", [False, True])
def test_an_emptied_or_deleted_log_is_named(run, deleted):
    path = run.directory / "metrics.jsonl"
    path.unlink() if deleted else path.write_text("")
    with pytest.raises(UserError, match=r"no metrics: 12 lines of metrics\.jsonl damaged or missing; `rlgen verify"):
        read(run.directory)


def test_watch(run):
    view = watch.View(run)
    view.update()
    shown = "\n".join(line.plain for line in view.lines(100, 20))
    assert "2 lines of the log damaged or missing" in shown
    tail = Tail(run.directory / "metrics.jsonl")
    tail.update()
    assert [row["time"] for row in tail.rows] == TIMES
    assert (tail.lost(), tail.lost(COUNT + 3)) == (2, 5)


def test_the_page(run):
    runs = Runs(run.directory.parent)
    answer = runs.log(run.name, "log", points=100)
    assert [row["time"] for row in answer["rows"]] == TIMES
    assert "check" not in answer["rows"][0]
    assert answer["lost"] == 2
    with (run.directory / "metrics.jsonl").open("a") as file:
        file.write('{"time": 13, "return": 1, "check": "13-00000000"}\n')
    more = runs.log(run.name, "log", answer["offset"], answer["id"])
    assert (more["rows"], more["lost"]) == ([], 1)
    assert page.names(run.directory.parent, run.directory / "metrics.jsonl") == ["eval_return", "return"]
    assert "check" not in runs.details(run.name)["metrics"]


def test_completion_does_not_offer_the_check(run, monkeypatch):
    monkeypatch.setenv("RLGEN_RUNS", str(run.directory.parent))
    words = [word for word, _ in complete(["plot", run.name, "--metric", ""])]
    assert "eval_return" in words
    assert "check" not in words


def test_export_says_what_is_left_out(run, tmp_path, capsys):
    from rlgen.cli.export import export

    export(run.name, csv=True, runs=tmp_path)
    assert "2 lines of the log damaged or missing: left out" in capsys.readouterr().err
    assert (run.directory / "metrics.csv").read_text().splitlines()[0].startswith("time,seconds,return")
    assert json.dumps(TIMES[-1]) in (run.directory / "metrics.csv").read_text()
