"""Logs as arrays, whatever a foreign log holds."""

import numpy as np
import pytest

from rlgen.core.errors import UserError
from rlgen.report.logs import read
from tests.report.small_runs import AGENT, MODEL, lines_of, write


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


# Foreign and damaged logs


def log(tmp_path, text, info=AGENT):
    """A run whose metrics.jsonl is `text`."""
    run = write(tmp_path / "run", info, [])
    (run / "metrics.jsonl").write_bytes(text if isinstance(text, bytes) else text.encode())
    return run


def test_damaged_lines_are_left_out_and_counted(tmp_path):
    text = (
        '{"time": 1, "return": 1}\n{"time": 2, "retu\n\x00\x00\n[1, 2]\n{"time": 3, "return": 3}\n7\n{"time": 4, "ret'
    )
    run = read(log(tmp_path, text))
    assert [column.tolist() for column in run.metrics["return"]] == [[1, 3], [1, 3]]
    assert run.lost == 4
    (line,) = lines_of(run.directory)
    assert line.notes == ("4 lines of the log damaged or missing",)


@pytest.mark.parametrize("line", ["{}", '{"time": 1}', "[" * 100_000, "9" * 5_000, '{"time": "late", "return": 1}'])
def test_lines_without_a_value_at_a_time_are_no_metrics(tmp_path, line):
    with pytest.raises(UserError, match="run has no metrics"):
        read(log(tmp_path, f"{line}\n"))


def test_values_that_are_no_numbers_are_gaps(tmp_path):
    values = ["1.5", '"high"', "null", "{}", "1e999", "NaN", "true", "2"]
    text = "".join(f'{{"time": {i}, "return": {value}}}\n' for i, value in enumerate(values))
    times, found = read(log(tmp_path, text)).metrics["return"]
    assert times.tolist() == list(range(8))
    assert found[[0, 6, 7]].tolist() == [1.5, 1.0, 2.0]
    assert not np.isfinite(found[1:6]).any()
    (line,) = lines_of(tmp_path / "run")
    assert line.x.tolist() == [0, 6, 7]


def test_seeds_that_change_in_number_and_times_in_disorder(tmp_path):
    rows = [(5, "[1, 2, 3]"), (3, "[4, 5]"), (9, "[6, null]"), (3, "[7, 8]"), (4, "1")]
    text = "".join(f'{{"time": {time}, "return": {value}}}\n' for time, value in rows)
    times, values = read(log(tmp_path, text)).metrics["return"]
    assert times[np.isfinite(values)].tolist() == [4]  # of the last form
    text += '{"time": 9, "return": [6, null]}\n{"time": 3, "return": [7, 8]}\n'
    (tmp_path / "run" / "metrics.jsonl").write_text(text)
    times, values = read(tmp_path / "run").metrics["return"]
    assert times.tolist() == [3, 4, 5, 9]
    assert np.array_equal(values[[0, 3]], [[7, 8], [6, np.nan]], equal_nan=True)
    assert np.isnan(values[1:3]).all()


def test_a_line_without_an_end_is_not_held_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("rlgen.report.logs.BLOCK", 64)
    monkeypatch.setattr("rlgen.report.logs.LONGEST", 256)
    run = read(log(tmp_path, '{"time": 1, "return": 1}\n' + 1_000 * " " + '\n{"time": 2, "return": 2}\n'))
    assert run.metrics["return"][0].tolist() == [1]
    assert run.lost == 1


def test_blocks_are_as_one(tmp_path, monkeypatch):
    text = "".join(f'{{"time": {i}, "return": {i * i}, "loss": {i}}}\n' for i in range(1, 200))
    whole = read(log(tmp_path, text)).metrics
    monkeypatch.setattr("rlgen.report.logs.BLOCK", 100)
    parts = read(tmp_path / "run").metrics
    assert all(np.array_equal(whole[name], parts[name]) for name in ("return", "loss"))
    assert len(whole["loss"][0]) == 199


@pytest.mark.parametrize(
    "more", [{"config": [1]}, {"plan": None}, {"result": "good"}, {"seed": {}}, {"time": "x", "status": 5}]
)
def test_entries_of_run_json_of_a_wrong_type_are_ignored(tmp_path, more):
    run = log(tmp_path, '{"time": 1, "return": 1}\n', {**AGENT, **more})
    (line,) = lines_of(run)
    assert line.mean.tolist() == [1]
    assert not read(run).solved


@pytest.mark.parametrize("wrong", [{"kind": []}, {"kind": "page"}, {"task": 7}, {"algorithm": None}])
def test_what_has_no_kind_is_refused(tmp_path, wrong):
    with pytest.raises(UserError, match="run cannot be plotted"):
        read(log(tmp_path, '{"time": 1, "return": 1}\n', {**AGENT, **wrong}))


def test_texts_are_short_lines_without_control_characters(tmp_path):
    task = "a\x1b[31m\n\u202eb" + 500 * "c"
    run = read(
        log(tmp_path, '{"time": 1, "return": 1, "x\\u001b": 1}\n', {**AGENT, "task": task, "config": {"a": "\x1b"}})
    )
    assert run.info["task"].startswith(r"a\x1b[31m\n\u202ebccc")
    assert len(run.info["task"]) == 80
    assert run.config == {"a": r"\x1b"}
    assert r"x\x1b" in run.metrics


def test_a_run_that_is_removed_while_it_is_read(tmp_path, monkeypatch):
    run = log(tmp_path, '{"time": 1, "return": 1}\n')

    def removed(path, expected=0):
        import shutil

        shutil.rmtree(run, ignore_errors=True)
        return {}, 0

    monkeypatch.setattr("rlgen.report.logs.columns", removed)
    with pytest.raises(UserError, match="run was removed while its log was read"):
        read(run)


def test_episodes_in_disorder_and_of_wrong_types(tmp_path):
    rows = [(0, 5, 1.0), (0, 3, 2.0), (1, 4, None), ("x", 4, 1.0), (1, 6, 7.0), (0, 9, float("nan"))]
    episodes = [{"seed": seed, "time": time, "return": value} for seed, time, value in rows]
    found = read(write(tmp_path / "run", AGENT, [{"time": 9, "return": 1.0}], episodes=episodes)).episodes
    assert {seed: [column.tolist() for column in series] for seed, series in found.items()} == {
        0: [[3, 5], [2, 1]],
        1: [[6], [7]],
    }


def test_the_quality_of_samples_is_read_beside_the_metrics(tmp_path):
    run = write(tmp_path / "gan", MODEL, [{"time": 1, "discriminator_loss": 1.0}])
    (run / "quality.jsonl").write_text('{"time": 1, "samples": 9, "classifier": "a", "eval_kid": 3, "kid_floor": 1}\n')
    found = read(run)
    assert found.metrics.keys() == {"discriminator_loss", "eval_kid", "kid_floor"}
    assert found.known["kid_floor"] == 1


def test_two_entries_in_a_line_are_no_line(tmp_path):
    run = read(log(tmp_path, '{"time": 1, "return": 1}\n{"time": 2, "return": 2}, {"time": 3, "return": 3}\n'))
    assert (run.metrics["return"][0].tolist(), run.lost) == ([1], 1)


@pytest.mark.parametrize("value", [1e101, -1e308])
def test_values_beyond_all_bounds_are_gaps_and_times_below_zero_are_none(tmp_path, value):
    rows = [{"time": 1, "return": 1.0}, {"time": 2, "return": value}, {"time": -3, "return": 3.0}]
    times, values = read(write(tmp_path / "run", AGENT, [*rows, {"time": 1e200, "return": 4.0}])).metrics["return"]
    assert times.tolist() == [1, 2]
    assert np.isfinite(values).tolist() == [True, False]


def test_more_seeds_than_can_be_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr("rlgen.report.logs.SEEDS", 3)
    run = write(tmp_path / "run", AGENT, [{"time": 1, "return": [1.0, 2.0, 3.0, 4.0]}])
    assert read(run).metrics["return"][1].tolist() == [[1, 2, 3]]
