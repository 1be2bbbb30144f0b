"""Learning curves of experiments and their summaries."""

import numpy as np
import pytest

from rlgen.core.errors import UserError
from rlgen.report import plots
from rlgen.report.logs import read
from rlgen.report.plots import figure
from tests.report.small_runs import AGENT, MODEL, lines_of, words, write


def test_runs_that_differ_in_their_seed_alone_are_one_line(agent):
    runs = [agent(f"run-{seed}", seed, config={"lr": 0.001, "seed": seed}) for seed in range(3)]
    lines = lines_of(*runs)
    assert [(line.metric, line.n, line.label) for line in lines] == [("return", 3, "dqn"), ("eval_return", 3, "dqn")]
    expected = np.mean([read(run).metrics["eval_return"][1] for run in runs], axis=0)
    assert lines[1].mean == pytest.approx(expected)  # evaluations are not smoothed


def test_settings_that_differ_name_experiments_and_others_do_not(agent):
    one, two = agent("one"), agent("two", config={"lr": 0.01, "double": True})
    other = agent("other", algorithm="rainbow", config={"lr": 7, "atoms": 51})
    labels = {line.label for line in lines_of(one, two, other)}
    assert labels == {"dqn · lr=0.001", "dqn · lr=0.01", "rainbow"}


def test_settings_of_another_task_name_nothing(agent):
    lines = lines_of(agent("one"), agent("two", task="Acrobot", config={"lr": 0.5, "double": True}))
    assert {(line.task, line.label) for line in lines} == {("CartPole", "dqn"), ("Acrobot", "dqn")}


def test_seeds_side_by_side_count_like_runs(agent):
    assert {line.n for line in lines_of(agent("side", seeds=4))} == {4}
    assert {line.n for line in lines_of(agent("more", seeds=4), agent("one", seed=5))} == {5}


def test_agents_and_models_are_not_mixed(agent, model):
    with pytest.raises(UserError, match="plot dqn-1 and gan-1 apart"):
        lines_of(agent("dqn-1"), model("gan-1"))
    with pytest.raises(UserError, match="nothing to plot"):
        lines_of()


@pytest.mark.parametrize("n", [2, 3, 4, 10])
def test_the_band_contains_the_middle(agent, n):
    for line in lines_of(*(agent(f"run-{seed}", seed) for seed in range(n))):
        assert (line.low <= line.mean).all()
        assert (line.mean <= line.high).all()
        assert (line.low < line.high).any() == (n >= 4)
        assert line.interval == ("seeds" if n >= 4 else "")


def test_the_line_is_the_mean_over_seeds_however_many_and_the_interquartile_mean_stands_beside_it(agent, tmp_path):
    wild = write(tmp_path / "wild", {**AGENT, "seed": 9}, [{"time": 100 * i, "return": 1e6} for i in range(1, 41)])
    runs = [agent(f"run-{seed}", seed) for seed in range(3)]
    for n in (2, 3):
        line = lines_of(*runs[:n], wild)[0]
        assert line.mean.max() > 2e5
        assert line.n == n + 1
    assert line.iqm.max() < 50


def test_a_group_goes_as_far_as_its_shortest_run(agent):
    line, _ = lines_of(agent("long"), agent("short", seed=1, points=20))
    assert line.x[-1] == 2000


def test_a_seed_solved_early_keeps_its_last_value(agent):
    solved = agent("a", seed=0, points=20, status="finished", time=2_000, plan={"budget": 9_000})
    going = agent("b", seed=1, points=40, status="interrupted", time=4_000, plan={"budget": 9_000})
    (line,) = (line for line in lines_of(solved, going) if line.is_evaluation)
    ends = [read(folder).metrics["eval_return"][1][-1] for folder in (solved, going)]
    assert line.x[-1] == 4_000
    assert line.mean[-1] == pytest.approx(np.mean(ends))
    assert "seeds solved early keep their last value" in words(figure(lines_of(solved, going)))


def test_a_straight_line_stays_itself_when_smoothed(tmp_path):
    rows = [{"time": i, "return": 3.0} for i in range(1, 500)]
    (line,) = lines_of(write(tmp_path / "run", AGENT, rows))
    assert line.mean == pytest.approx(3)
    rows = [{"time": i, "return": 10.0 * i} for i in range(1, 500)]
    (line,) = lines_of(write(tmp_path / "ramp", AGENT, rows))
    assert line.mean[:480] == pytest.approx(line.curves[0].raw[1][:480])


def test_values_that_are_not_finite_leave_gaps_not_holes(tmp_path):
    rows = [{"time": 1, "return": None}, {"time": 2, "return": 2.0}, {"time": 3, "return": float("inf")}]
    (line,) = lines_of(write(tmp_path / "run", AGENT, rows))
    assert (line.x.tolist(), line.mean.tolist()) == ([2], [2])


def test_seconds_come_from_the_timing(agent, tmp_path):
    line, evaluation = lines_of(agent("run"), x="seconds")
    assert line.x[-1] == evaluation.x[-1] == 8  # 4000 steps at 500 a second
    untimed = write(tmp_path / "untimed", AGENT, [{"time": 1, "return": 1.0}], seconds=False)
    with pytest.raises(UserError, match="untimed has no timing"):
        lines_of(untimed, x="seconds")


def test_single_points_at_different_seconds(tmp_path):
    runs = [write(tmp_path / str(i), {**AGENT, "seed": i}, [{"time": 100 + i, "eval_return": 4.0}]) for i in range(2)]
    (line,) = lines_of(*runs, x="seconds")
    assert (len(line.x), line.mean.tolist(), line.n) == (1, [4], 2)


def test_a_seed_trained_twice_counts_once_and_the_finished_run_is_taken(agent):
    short = agent("a", points=20, status="finished", plan={"budget": 2_000}, time=2_000)
    long = agent("b", points=40, status="interrupted")
    other = agent("c", seed=1, points=40, status="finished", plan={"budget": 4_000}, time=4_000)
    line = lines_of(short, long, other)[0]
    assert [(curve.seed[0], len(curve.x)) for curve in line.curves] == [(0, 20), (1, 40)]
    assert "a seed trained several times counts once" in words(figure([line]))
    assert lines_of(agent("d", points=10), long, other)[0].curves[0].x[-1] == 4_000  # none is finished: the farthest


def test_unfinished_seeds_are_announced(agent):
    finished = {"status": "finished", "plan": {"budget": 4_000}, "time": 4_000}
    runs = [agent("a", **finished), agent("b", 1, points=20, status="interrupted"), agent("c", 2, status="running")]
    (note,) = lines_of(*runs)[0].notes
    assert note == "of 3 seeds 1 interrupted, 1 running: means end where the first of them ended"
    assert lines_of(runs[0])[0].notes == ()
    assert lines_of(runs[1])[0].notes == ()


def test_absolute_paths_are_shortened_to_names(agent):
    runs = [agent(name, task="folder:/home/me/cats", config={"data": f"/mnt/{name}"}) for name in ("a", "b")]
    picture = figure(lines_of(*runs))
    assert picture.axes[0].get_title() == "dqn on cats"
    assert words(picture)[:2] == ["dqn · data=a (n=1)", "dqn · data=b (n=1)"]


def test_what_a_model_learned_late_is_seen(tmp_path):
    rows = [{"time": 100 * i, "loss": 80 + 460 / i**3} for i in range(1, 41)]
    low, high = figure(lines_of(write(tmp_path / "run", MODEL, rows))).axes[0].get_ylim()
    assert low < 80.1
    assert 81 < high < 150  # at the tenth of the way, smoothed, and no more
    longer = write(
        tmp_path / "longer", {**MODEL, "config": {"lr": 1}}, [{"time": 100 * i, "loss": 80} for i in range(1, 900)]
    )
    assert figure(lines_of(tmp_path / "run", longer)).axes[0].get_ylim()[1] < 150  # however long it took the other


def test_a_single_point_is_seen(tmp_path):
    run = write(tmp_path / "run", AGENT, [{"time": 10, "return": 0.0}])
    panel = figure(lines_of(run)).axes[0]
    assert panel.lines[-1].get_marker() == "o"
    plots.curves([run], tmp_path / "one.png")
