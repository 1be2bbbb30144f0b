import pytest

from rlgen import catalog
from rlgen.core import logs
from rlgen.core.settings import Plan
from rlgen.queue.job import Job
from rlgen.queue.table import Row, Table, outcome


@pytest.fixture
def job(tmp_path):
    def make(name="a", **fields):
        made = Job(name, "a.toml:1", catalog.find("dqn"), "CartPole", {}, Plan(budget=1000), tmp_path)
        for key, value in fields.items():
            setattr(made, key, value)
        return made

    return make


def write(job, *rows):
    folder = job.folder.directory
    folder.mkdir(exist_ok=True)
    logs.append(folder / "metrics.jsonl", rows, 1)


def test_the_line_of_a_run_follows_its_log(job):
    made = job()
    row = Row(made)
    assert (row.state, row.line(80, 10).plain) == ("waiting", "a           waiting")
    made.started = True
    row.update()
    assert row.line(80, 10).plain == "a           in training"
    write(made, {"time": 400, "return_100": 20.5}, {"time": 500, "eval_return": [100.0, 300.0]})
    row.update()
    shown = row.line(120, 10).plain
    assert shown.startswith("a           500/1,000 steps")
    assert " 50 %" in shown
    assert shown.endswith("return (100) 20.5  eval 200")
    assert len(row.line(40, 10).plain) <= 40
    made.end(0, "")
    assert row.state == "finished"


@pytest.mark.parametrize(
    ("code", "last", "state", "error"),
    [
        (5, "error: no data", 5, "failed: no data"),
        (1, "", 1, "failed: its process ended with exit code 1"),
        (-9, "", 137, "failed: its process was killed by signal 9; the system kills processes where memory is short"),
        (-11, "loading", 139, "failed: its process was killed by signal 11"),
    ],
)
def test_how_a_run_ended_is_told_with_its_reason(job, code, last, state, error):
    made = job(started=True)
    made.end(code, last)
    assert made.code == state
    assert outcome(made).startswith(error)
    assert Row(made).state == "failed"
    assert Row(made).line(200, 1).plain == f"a  {outcome(made)}"


def test_control_characters_in_a_message_are_shown(job):
    made = job(code=2, error="bad \x1b[31m")
    assert "\x1b" not in Row(made).line(80, 1).plain


def test_runs_in_training_come_first_where_there_is_little_room(job, monkeypatch):
    jobs = [job(name) for name in "abcdefgh"]
    for made in jobs[:3]:
        made.started, made.code = True, 0
    jobs[5].started = True
    table = Table(jobs, quiet=True)
    monkeypatch.setattr(type(table.console), "height", 4)
    lines = table._status(80).plain.splitlines()
    assert lines == ["d           waiting", "f           in training", "3 finished, 4 waiting, 1 in training"]
    monkeypatch.setattr(type(table.console), "height", 20)
    assert len(table._status(80).plain.splitlines()) == 8


def test_elsewhere_than_on_a_terminal_a_line_counts_the_runs(job, capsys):
    jobs = [job(name) for name in "abc"]
    jobs[0].code, jobs[1].started = 0, True
    write(jobs[1], {"time": 250, "loss": 1.0})
    Table(jobs)._plain()
    assert capsys.readouterr().err == "1 finished, 1 in training, 1 waiting  b 25%\n"
