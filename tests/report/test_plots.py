import csv
import json
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from rlgen.core.errors import StorageError, UserError
from rlgen.report.comparison import compare, read
from rlgen.report.plots import curves, figure

AGENT = {"kind": "agent", "algorithm": "dqn", "task": "CartPole", "seed": 0, "config": {"lr": 0.001, "double": True}}
MODEL = {"kind": "model", "algorithm": "gan", "task": "mnist", "seed": 0, "config": {"lr": 0.0002}}


def write(directory, info, rows, seconds=True, episodes=()):
    directory.mkdir()
    (directory / "run.json").write_text(json.dumps({"name": directory.name, **info}))
    (directory / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if episodes:
        (directory / "episodes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in episodes))
    if seconds:
        timing = [{"time": row["time"], "seconds": row["time"] / 500, "rate": 500.0} for row in rows]
        (directory / "timing.jsonl").write_text("".join(json.dumps(row) + "\n" for row in timing))
    return directory


@pytest.fixture
def agent(tmp_path):
    """A run of an agent, whose curves depend on its seed."""

    def make(name, seed=0, points=40, seeds=None, **info):
        noise = np.random.default_rng(seed)
        rows = []
        for i in range(1, points + 1):
            value = i + noise.normal(size=seeds)
            rows.append({"time": 100 * i, "return": np.round(value, 3).tolist(), "loss": 0.5})
            if i % 10 == 0:
                rows.append({"time": 100 * i, "eval_return": np.round(value + 1, 3).tolist()})
        return write(tmp_path / name, {**AGENT, "seed": seed, **info}, rows)

    return make


@pytest.fixture
def model(tmp_path):
    def make(name, **info):
        rows = [{"time": 64 * i, "discriminator_loss": 1 / i, "generator_loss": 2.0, "fid": 9.0} for i in range(1, 30)]
        return write(tmp_path / name, {**MODEL, **info}, rows)

    return make


def lines_of(*directories, x="steps"):
    return compare([read(directory) for directory in directories], x)


def words(picture):
    (legend,) = picture.legends
    return [text.get_text() for text in legend.get_texts()]


# Reading


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


# Grouping


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
        compare([])


# Summaries


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


# Drawing


def test_one_run_in_words(agent):
    picture = figure(lines_of(agent("run")))
    (panel,) = picture.axes
    assert panel.get_title() == "dqn on CartPole, seed 0"
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("environment steps", "return per episode")
    assert words(picture) == ["training, smoothed", "greedy evaluation"]
    raw, bold, _, points = panel.lines
    assert raw.get_alpha() < 0.5
    assert bold.get_linewidth() > raw.get_linewidth()
    assert points.get_marker() not in ("", "None")
    picture.draw_without_rendering()
    assert "4,000" in [label.get_text() for label in panel.get_xticklabels()]


def test_a_group_has_a_band_and_says_of_what(agent):
    picture = figure(lines_of(*(agent(f"run-{seed}", seed) for seed in range(4))))
    (panel,) = picture.axes
    assert panel.get_title() == "dqn on CartPole, 4 seeds"
    assert words(picture) == [
        "training, smoothed, mean over seeds",
        "greedy evaluation, mean over seeds",
        "single seeds",
        "95 % bootstrap interval of the mean over seeds",
    ]
    assert len(panel.collections) == 2  # the band, and the intervals of the evaluations
    thin = [line for line in panel.lines if line.get_linewidth() < 1]
    assert len(thin) == 4


def test_a_mean_over_seeds_in_the_log_does_not_hide_them(tmp_path):
    rows = [{"time": i, "return": 1.0, "eval_return": [0.5, 1.0, 1.5]} for i in (1, 2)]
    picture = figure(lines_of(write(tmp_path / "run", AGENT, rows)))
    assert picture.axes[0].get_title() == "dqn on CartPole, 3 seeds"


def test_a_comparison_tells_its_experiments_apart(agent):
    runs = [agent(f"run-{seed}", seed) for seed in range(3)] + [agent("other", config={"lr": 0.01, "double": True})]
    picture = figure(lines_of(*runs))
    assert picture.axes[0].get_title() == "dqn on CartPole"
    assert words(picture)[:2] == ["dqn · lr=0.001 · n=3", "dqn · lr=0.01 · n=1"]
    assert {"training, smoothed, mean over seeds", "greedy evaluation"} <= set(words(picture))
    colours = [handle.get_color() for handle in picture.legends[0].legend_handles[:2]]
    assert {line.get_color() for line in picture.axes[0].lines} == set(colours)
    assert len(set(colours)) == 2


def test_the_legend_hides_no_data(agent):
    picture = figure(lines_of(*(agent(f"run-{i}", config={"lr": i}) for i in range(9))))
    picture.draw_without_rendering()
    assert picture.legends[0].get_window_extent().y1 <= picture.axes[0].get_tightbbox().y0


def test_a_panel_for_each_task(agent):
    tasks = ("CartPole", "Acrobot", "Taxi", "MountainCar")
    picture = figure(lines_of(*(agent(task, task=task) for task in tasks)))
    assert [panel.get_title() for panel in picture.axes] == [f"dqn on {task}, seed 0" for task in tasks]


def values(picture):
    return [panel.get_ylabel() for panel in picture.axes]


def test_the_two_sides_of_a_gan_have_a_panel_each(model):
    picture = figure(lines_of(model("run")))
    assert values(picture) == ["loss of the discriminator", "loss of the generator"]
    assert words(picture) == ["discriminator, smoothed", "generator, smoothed"]
    assert picture.axes[0].get_xlabel() == "images seen"
    low, high = picture.axes[1].get_ylim()
    assert low < 2.0 < high < 3


def test_losses_on_different_scales_have_panels_of_their_own(model):
    runs = [
        model(name, config={"loss": loss, "lr": lr}) for name, loss, lr in (("a", "x", 1), ("b", "y", 1), ("c", "y", 2))
    ]
    picture = figure(lines_of(*runs))
    assert len(picture.axes) == 4
    assert [panel.get_title() for panel in picture.axes] == 2 * ["gan on mnist\nloss=x", "gan on mnist\nloss=y"]
    others = [model(name, algorithm=name, config={"loss": name}) for name in ("gan", "lsgan")]
    assert [panel.get_title() for panel in figure(lines_of(*others)).axes] == 2 * ["gan on mnist", "lsgan on mnist"]


def test_a_training_bound_is_drawn_beside_the_test_bound_and_not_beside_the_loss(tmp_path):
    rows = [{"time": 64, "loss": 5.0, "nats": 99.0, "kl": 3.0}, {"time": 64, "eval_nats": 98.0, "eval_bits": 0.2}]
    picture = figure(lines_of(write(tmp_path / "run", {**MODEL, "algorithm": "vae"}, rows)))
    assert (values(picture), words(picture)) == (["nats per image"], ["training, smoothed", "test"])
    only = write(tmp_path / "only", {**MODEL, "algorithm": "new"}, [{"time": 64, "loss": 5.0}])
    assert values(figure(lines_of(only))) == ["loss"]


def test_models_of_different_measures_have_panels_not_one_axis(tmp_path):
    vae = write(tmp_path / "vae", {**MODEL, "algorithm": "vae"}, [{"time": 64, "loss": 99.0, "nats": 99.0}])
    ae = write(tmp_path / "ae", {**MODEL, "algorithm": "ae"}, [{"time": 64, "loss": 9.0, "mse": 0.01}])
    picture = figure(lines_of(vae, ae))
    assert values(picture) == ["nats per image", "squared error per pixel"]
    assert [panel.get_title() for panel in picture.axes] == ["vae on mnist", "ae on mnist"]


def test_known_values_are_lines_with_their_number(tmp_path, agent):
    rows = [{"time": 64, "mse": 0.02}, {"time": 64, "eval_mse": 0.01, "eval_pca_mse": 0.015}]
    picture = figure(lines_of(write(tmp_path / "ae", {**MODEL, "algorithm": "ae"}, rows)))
    assert "PCA of as many components, test 0.015" in words(picture)
    assert [0.015, 0.015] in [list(line.get_ydata()) for line in picture.axes[0].lines]
    low, high = picture.axes[0].get_ylim()
    assert low < 0.01 < 0.02 < high
    picture = figure(lines_of(agent("lake", result={"optimum": 99.0})))
    assert "optimum 99" in words(picture)
    assert picture.axes[0].get_ylim()[1] > 99


EPISODES = [{"time": 25 * i, "seed": 0, "return": float(i % 7), "length": 25} for i in range(1, 401)]


def test_episodes_are_dots_and_a_running_mean(tmp_path):
    rows = [{"time": 10_100, "return": 1.0}, {"time": 10_100, "eval_return": 3.0, "eval_return_se": 0.5}]
    run = write(tmp_path / "run", AGENT, rows, episodes=EPISODES)
    training, evaluation = lines_of(run)
    returns = [row["return"] for row in EPISODES]
    assert training.window == 40  # a tenth of 400
    assert training.x.tolist() == [row["time"] for row in EPISODES] + [10_100]
    assert training.mean[-2:].tolist() == pytest.approx([np.mean(returns[-40:])] * 2)
    assert training.mean[9] == pytest.approx(np.mean(returns[:10]))
    assert (evaluation.low[0], evaluation.high[0]) == pytest.approx((3 - 0.98, 3 + 0.98))
    picture = figure([training, evaluation])
    assert words(picture) == [
        "training, mean of 40 episodes",
        "greedy evaluation",
        "training episode",
        "95 % interval over the episodes of an evaluation",
    ]
    dots = picture.axes[0].lines[0]
    assert (list(dots.get_ydata()), dots.get_linestyle()) == (returns, "None")


def test_many_episodes_are_thinned_and_a_long_run_has_the_window_of_the_console(tmp_path):
    many = [{"time": i, "seed": 0, "return": 1.0} for i in range(1, 7_001)]
    run = write(tmp_path / "run", AGENT, [{"time": 7_000, "return": 1.0}], episodes=many)
    (line,) = lines_of(run)
    assert line.window == 100
    picture = figure([line])
    assert "1 of 3 training episodes" in words(picture)
    assert len(picture.axes[0].lines[0].get_xdata()) == 2_334


def test_a_run_without_logged_episodes_takes_them_from_none(tmp_path, agent):
    run = write(tmp_path / "run", {**AGENT, "seed": 5}, [{"time": 9_000, "return": 1.0}], episodes=EPISODES)
    assert lines_of(run, agent("old"))[0].window == 0


def test_each_seed_has_its_own_episodes(tmp_path):
    two = [{**row, "seed": seed, "return": row["return"] + 10 * seed} for row in EPISODES for seed in (0, 1)]
    info = {**AGENT, "config": {"seeds": 2}}
    (line,) = lines_of(write(tmp_path / "run", info, [{"time": 10_000, "return": [1.0, None]}], episodes=two))
    assert [curve.seed for curve in line.curves] == [(0, 2, 0), (0, 2, 1)]
    assert line.curves[1].y - line.curves[0].y == pytest.approx(10)


# Which seeds count


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
    assert words(picture)[:2] == ["dqn · data=a · n=1", "dqn · data=b · n=1"]


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
    curves([run], tmp_path / "one.png")


# Writing


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf", "csv"])
def test_the_same_data_give_the_same_file(agent, tmp_path, suffix):
    run = agent("run")
    before = dict(matplotlib.rcParams)
    for name in ("a", "b"):
        curves([run], tmp_path / f"{name}.{suffix}")
    assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()
    assert (tmp_path / f"a.{suffix}").stat().st_size > 500
    assert dict(matplotlib.rcParams) == before
    assert not list(tmp_path.glob(".*"))


def test_csv_has_the_numbers_that_are_drawn(agent, tmp_path):
    run = agent("run")
    curves([run, run], tmp_path / "deep" / "run.csv", x="seconds")  # named twice, counted once
    with (tmp_path / "deep" / "run.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "eval_return"]
    assert [float(row["seconds"]) for row in rows] == [2, 4, 6, 8]
    assert [float(row["mean"]) for row in rows] == read(run).metrics["eval_return"][1].tolist()
    assert {(row["n"], row["statistic"], row["iqm"]) for row in rows} == {("1", "greedy evaluation", "")}


def test_csv_names_the_statistic_and_what_its_interval_is_over(agent, tmp_path):
    curves([agent(f"run-{seed}", seed) for seed in range(4)], tmp_path / "four.csv")
    with (tmp_path / "four.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["statistic"] for row in rows} == {
        "training, smoothed, mean over seeds", "greedy evaluation, mean over seeds"
    }  # fmt: skip
    assert {(row["n"], row["interval_over"]) for row in rows} == {("4", "seeds")}
    for row in rows:
        assert float(row["ci95_low"]) <= float(row["mean"]) <= float(row["ci95_high"])
        assert row["iqm"] != ""


def test_places_that_cannot_be_written(agent, tmp_path):
    with pytest.raises(UserError, match=r"cannot write curves\.gif: its name may end in \.png"):
        curves([agent("run")], tmp_path / "curves.gif")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        curves([tmp_path / "run"], tmp_path / "file" / "curves.png")


def test_drawing_needs_no_torch_and_no_pyplot(agent, tmp_path):
    code = f"""
import sys
from pathlib import Path
import rlgen.report.plots, rlgen.report.pictures, rlgen.report.statistics
assert "matplotlib" not in sys.modules
rlgen.report.plots.curves([Path({str(agent("run"))!r})], Path({str(tmp_path / "out.png")!r}))
assert not {{"torch", "matplotlib.pyplot", "scipy"}} & set(sys.modules)
"""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.png").exists()
