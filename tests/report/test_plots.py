"""Pictures of learning curves."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from rlgen.core.errors import StorageError, UserError
from rlgen.report.lines import View, lines
from rlgen.report.logs import read
from rlgen.report.plots import curves, figure
from tests.report.small_runs import AGENT, EPISODES, MODEL, lines_of, words, write


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
        "training, smoothed, mean over seeds (n=4)",
        "greedy evaluation, mean over seeds (n=4)",
        "single seeds",
        "95 % bootstrap interval of the mean",
    ]
    assert len(panel.collections) == 2  # the band, and the intervals of the evaluations
    thin = [line for line in panel.lines if line.get_linewidth() < 0.6 and line.get_linestyle() == "-"]
    assert len(thin) == 4


def test_a_mean_over_seeds_in_the_log_does_not_hide_them(tmp_path):
    rows = [{"time": i, "return": 1.0, "eval_return": [0.5, 1.0, 1.5]} for i in (1, 2)]
    picture = figure(lines_of(write(tmp_path / "run", AGENT, rows)))
    assert picture.axes[0].get_title() == "dqn on CartPole, 3 seeds"


def test_a_comparison_tells_its_experiments_apart(agent):
    runs = [agent(f"run-{seed}", seed) for seed in range(3)] + [agent("other", config={"lr": 0.01, "double": True})]
    picture = figure(lines_of(*runs))
    assert picture.axes[0].get_title() == "dqn on CartPole"
    assert words(picture)[:2] == ["dqn · lr=0.001 (n=3)", "dqn · lr=0.01 (n=1)"]
    assert {"greedy evaluation, mean over seeds", "greedy evaluation"} <= set(words(picture))
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
    curves([run, run], tmp_path / "deep" / "run.csv", View(x="seconds"))  # named twice, counted once
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


def test_a_run_that_is_removed_while_it_is_drawn_does_not_come_back(agent, tmp_path, monkeypatch):
    run = agent("run")

    def removed(*words):
        shutil.rmtree(run)
        return lines(*words)

    monkeypatch.setattr("rlgen.report.plots.lines", removed)
    with pytest.raises(UserError, match="run was removed while it was plotted"):
        curves([run], run / "curves.png")
    assert not run.exists()


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_full_disk_is_named_in_every_format(agent, tmp_path, monkeypatch, suffix):
    """Matplotlib does not write to the disk itself: its writer of PDF fails with an AttributeError of its own there."""

    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError, match="No space left on device"):
        curves([agent("run")], tmp_path / f"curves.{suffix}")
