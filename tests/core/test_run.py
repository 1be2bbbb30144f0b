import numpy as np
import pytest
import torch

from rlgen.core.errors import Diverged
from rlgen.core.images import Grid
from rlgen.core.run import Run


def test_a_line_is_the_mean_of_its_steps(run):
    run.collect({"loss": torch.tensor([1.0, 2.0]), "epsilon": 0.1})
    run.collect({"loss": torch.tensor([3.0, 6.0]), "epsilon": 0.2, "return": 7})
    run.flush(10)
    run.flush(11)  # no metrics since the last row
    run.collect({"loss": torch.tensor([1 / 3, 1e-9])})
    run.flush(20)
    assert run.rows() == [
        {"time": 10, "loss": [2.0, 4.0], "epsilon": 0.15, "return": 7.0},
        {"time": 20, "loss": [0.333333, 1e-9]},
    ]
    timing = run.rows("timing.jsonl")
    assert [row["time"] for row in timing] == [10, 20]
    assert set(timing[0]) == {"time", "seconds", "rate"}


def test_rows_go_to_a_log_of_their_own_at_a_line_or_a_checkpoint(run, walk):
    first, second, third = ({"time": time, "seed": 0, "return": 1.5} for time in (3, 1_234_567, 1_234_599))
    run.collect({"loss": 1.0, "episodes": [{**first, "return": 1.5000001}]})
    run.collect({"loss": 3.0, "episodes": [second]})
    run.flush(1_234_570)
    assert run.rows() == [{"time": 1_234_570, "loss": 2.0}]
    assert run.rows("episodes.jsonl") == [first, second]
    run.collect({"loss": 1.0, "episodes": [third]})
    algorithm = walk()
    algorithm.time = 1_234_600
    run.save(algorithm)
    assert run.rows("episodes.jsonl") == [first, second, third]
    run.flush(2_000_000)
    run.collect({"episodes": [{"time": 2_000_001, "seed": 0, "return": 2.0}]})
    run.flush(3_000_000)
    assert [row["time"] for row in run.rows()] == [1_234_570, 2_000_000]  # no line without a number
    resumed = walk()
    (again := Run(run.directory)).resume(resumed)
    assert again.rows("episodes.jsonl") == [first, second, third]
    assert set(again.pending) == {"loss"}


def test_a_mean_over_many_steps_is_exact(run):
    for _ in range(1000):
        run.collect({"loss": torch.tensor(2.0**24 + 1, dtype=torch.float64), "x": torch.tensor(0.1)})
    run.collect({"loss": torch.tensor(2.0**24 + 1, dtype=torch.float64), "x": torch.tensor(0.1)})
    run.flush(1)
    assert run.rows()[0]["x"] == 0.1


def totals(*pairs):
    """Sums and counts, a pair per seed: (2, S)"""
    return torch.tensor(pairs, dtype=torch.float64).T


def test_totals_are_averaged_over_their_items(run):
    run.collect({"return": totals((10, 2), (0, 0)), "loss": 1.0})
    run.collect({"loss": 2.0})
    run.collect({"return": totals((50, 1), (0, 0))})
    run.flush(10)
    run.collect({"return": totals((0, 0), (3, 2))})
    run.flush(20)
    run.collect({"return": totals((0, 0), (0, 0)), "loss": 1.0})
    run.flush(30)
    assert run.rows() == [
        {"time": 10, "return": [20.0, None], "loss": 1.5},
        {"time": 20, "return": [None, 1.5]},
        {"time": 30, "loss": 1.0},
    ]
    assert np.array_equal(run.metrics()["return"][1], [[20, np.nan], [np.nan, 1.5]], equal_nan=True)
    run.collect({"return": totals((float("nan"), 1), (0, 0))})
    with pytest.raises(Diverged, match="return"):
        run.flush(50)


def test_totals_of_one_seed_are_one_number(run):
    run.collect({"return": totals((7, 2)), "other": totals((0, 0))})
    run.flush(40)
    assert run.rows() == [{"time": 40, "return": 3.5}]


def test_the_score_is_a_mean_over_the_seeds_that_have_one(run):
    run.record(1, {"eval": totals((6, 2), (0, 0), (1, 1))}, "eval")
    assert run.score == 2.0


def test_totals_of_unfinished_rows_are_part_of_the_state(run, walk):
    run.collect({"return": totals((10, 2), (0, 0))})
    run.save(walk())
    again = Run(run.directory)
    again.resume(walk())
    again.collect({"return": totals((50, 1), (1, 1))})
    again.flush(10)
    assert again.rows() == [{"time": 10, "return": [20.0, 1.0]}]


def test_grids_go_to_the_writer(run, monkeypatch):
    written, grid = [], Grid(torch.zeros(2, 1, 2, 2), 2)
    monkeypatch.setattr(run, "write_grid", lambda *given: written.append(given))
    run.draw(40, {"samples": grid, "again": grid})
    assert written == [(grid, run.directory / name / "000000040.png", 40) for name in ("samples", "again")]
    assert not run.rows()
    Run(run.directory).draw(50, {"samples": grid})  # without a writer of grids


def test_a_grid_named_as_a_file_replaces_the_one_before_it(run, monkeypatch):
    written, grid = [], Grid(torch.zeros(2, 1, 2, 2), 2)
    monkeypatch.setattr(run, "write_grid", lambda *given: written.append(given))
    run.draw(0, {"filters.png": grid})
    run.draw(40, {"filters.png": grid})
    assert written == [(grid, run.directory / "filters.png", time) for time in (0, 40)]


def test_callbacks_get_every_row(run):
    rows = []
    run.row_callbacks.append(lambda time, row: rows.append((time, row)))
    run.record(5, {"eval_return": torch.tensor([1.0, 3.0])})
    assert rows == [(5, {"eval_return": [1.0, 3.0]})]


def test_the_best_is_the_first_with_the_highest_mean_over_seeds(run):
    for time, score in ((1, [1.0, 2.0]), (2, [5.0, 0.0]), (3, [3.0, 2.0]), (4, [2.0, 0.0])):
        run.record(time, {"eval": torch.tensor(score)}, "eval")
    assert (run.score, run.best, run.best_time) == (1.0, 2.5, 2)
    run.record(5, {"other": 99.0})
    assert run.best_time == 2


def test_the_peak_of_the_memory_is_recorded_with_a_checkpoint(run, walk):
    with run:
        run.save(walk())
    assert 2**25 < run.info["memory"].get("process", 2**26) < 2**37


def test_a_state_that_is_not_finite_ends_the_training_with_advice(run, walk):
    algorithm = walk()
    algorithm.weights[0] = float("nan")
    with pytest.raises(Diverged, match=r"at 0 weights holds values that are not finite.*: try a smaller --lr") as error:
        run.save(algorithm)
    assert "\n" not in str(error.value)


def test_an_evaluation_that_is_not_finite_may_need_more_test_images(run):
    with pytest.raises(Diverged, match=r"eval_nats.*nan.*: try a smaller --lr, or more test images"):
        run.record(5, {"eval_nats": float("nan"), "eval_mse": 1.0})
    with pytest.raises(Diverged, match=r"loss.*nan.*: try a smaller --lr$"):
        run.record(5, {"loss": float("nan")})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), torch.tensor([1.0, float("nan")])])
def test_a_metric_that_is_not_finite_stops_the_run_with_its_name_and_the_previous_row(run, value):
    run.collect({"loss": 0.5})
    run.flush(1_000)
    run.collect({"loss": value, "fine": 1.0})
    with pytest.raises(Diverged, match=r"at 2,000 .*loss.*(nan|inf).*after.*'time': 1000.*0\.5") as caught:
        run.flush(2_000)
    assert "fine" not in str(caught.value)
    assert len(run.rows()) == 1
    with pytest.raises(Diverged):
        run.record(2_000, {"eval": value}, "eval")
    assert run.best is None
