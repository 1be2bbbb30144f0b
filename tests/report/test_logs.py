"""Logs as arrays, whatever a foreign log holds."""

import pytest

from rlgen.core.errors import UserError
from rlgen.report.logs import read
from tests.report.small_runs import AGENT, lines_of, write


def test_read(agent):
    times, values = read(agent("run")).metrics["eval_return"]
    assert times.tolist() == [1000, 2000, 3000, 4000]
    assert values.shape == (4,)
    assert read(agent("side", seeds=3)).metrics["return"][1].shape == (40, 3)


def test_a_torn_line_a_missing_metric_and_a_repeated_time(tmp_path):
    rows = [{"time": 1, "return": 1.0, "loss": 3.0}, {"time": 2, "return": 2.0}, {"time": 2, "return": 5.0}]
    run = write(tmp_path / "run", AGENT, rows)
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"time": 3, "ret')
    metrics = read(run).metrics
    assert [column.tolist() for column in metrics["return"]] == [[1, 2], [1, 5]]
    assert metrics["loss"][0].tolist() == [1]


def test_what_is_not_a_run_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere is not a run"):
        read(tmp_path / "nowhere")
    with pytest.raises(UserError, match="empty has no metrics yet"):
        read(write(tmp_path / "empty", AGENT, []))
    with pytest.raises(UserError, match="odd cannot be plotted"):
        read(write(tmp_path / "odd", {"kind": "sweep"}, []))


def test_a_log_without_a_return_yet(tmp_path):
    with pytest.raises(UserError, match="young has no return per episode"):
        lines_of(write(tmp_path / "young", AGENT, [{"time": 1, "loss": 1.0}]))
