"""Pictures with options: metrics, scales, axes, bands, width; known values far from the curves."""

import numpy as np
import pytest

from rlgen.report.lines import View
from rlgen.report.plots import COLOURS, POINTS, _thin, figure
from rlgen.report.statistics import bootstrap, iqm
from tests.report.small_runs import AGENT, EPISODES, MODEL, lines_of, words, write


def drawn(*directories, width=None, **view):
    return figure(lines_of(*directories, **view), View(**view), width)


def labels(picture):
    return [panel.get_ylabel().replace("\n", " ") for panel in picture.axes]


def test_each_metric_has_a_panel_in_the_order_of_the_names(agent):
    picture = drawn(agent("run"), metrics=("eval_return", "loss", "return"))
    assert labels(picture) == ["return per episode, greedy evaluation", "TD loss", "return per episode, training"]
    assert picture.get_suptitle() == "dqn on CartPole, seed 0"
    assert labels(drawn(agent("other"), metrics=("eval_return",))) == ["return per episode"]


def test_a_metric_without_a_label_has_its_name(tmp_path):
    rows = [{"time": 1, "odd_number": 1.0, "eval_odd_number": 2.0}]
    picture = drawn(write(tmp_path / "run", AGENT, rows), metrics=("odd_number",))
    assert (labels(picture), words(picture)) == (["odd number"], ["training, smoothed"])


def test_a_metric_that_some_runs_lack_is_drawn_for_the_others(agent, tmp_path):
    without = write(tmp_path / "without", {**AGENT, "config": {"lr": 9}}, [{"time": 1, "return": 1.0}])
    (line,) = lines_of(agent("run"), without, metrics=("loss",))
    assert line.label == "dqn · lr=0.001, double=true"
    runs = [agent("a"), write(tmp_path / "b", {**AGENT, "seed": 1}, [{"time": 100, "return": 1.0}])]
    assert lines_of(*runs, metrics=("loss",))[0].notes[-1] == "without loss: b"


def test_logarithmic_axes(tmp_path, agent):
    assert drawn(agent("run"), log=True).axes[0].get_yscale() == "log"
    rows = [{"time": i, "return": -1.0, "loss": float(i > 3)} for i in range(1, 9)]
    picture = drawn(write(tmp_path / "below", AGENT, rows), log=True, metrics=("return", "loss"))
    assert [panel.get_yscale() for panel in picture.axes] == ["linear", "log"]
    assert "return is nowhere above 0: its axis is linear" in words(picture)
    assert "loss of 0 and less is not on the logarithmic axis" in words(picture)


def test_episodes_of_each_seed_are_an_axis(tmp_path):
    two = [{**row, "seed": seed, "time": row["time"] * (1 + seed)} for row in EPISODES for seed in (0, 1)]
    rows = [{"time": 5_000, "return": [1.0, 2.0], "eval_return": [3.0, 4.0]}]
    run = write(tmp_path / "run", {**AGENT, "config": {"seeds": 2}}, rows, episodes=two)
    training, evaluation = lines_of(run, x="episodes")
    assert training.x[:3].tolist() == [1, 2, 3]
    assert [curve.x.tolist() for curve in evaluation.curves] == [[200], [100]]
    assert drawn(run, x="episodes").axes[0].get_xlabel() == "training episodes"


def test_the_band_of_the_interquartile_mean(agent):
    runs = [agent(f"run-{seed}", seed, shift=100.0 * (seed == 5)) for seed in range(6)]
    line = lines_of(*runs, band="iqm")[-1]
    seeds = np.stack([curve.y for curve in line.curves], axis=1)
    assert line.centre == pytest.approx(iqm(seeds))
    assert np.array([line.low, line.high]) == pytest.approx(np.array(bootstrap(seeds, iqm)))
    picture = drawn(*runs, band="iqm")
    assert "training, smoothed, interquartile mean over seeds (n=6)" in words(picture)
    assert "95 % bootstrap interval of the interquartile mean" in words(picture)


def test_no_band(agent):
    runs = [agent(f"run-{seed}", seed) for seed in range(4)]
    for line in lines_of(*runs, band="none"):
        assert line.interval == ""
        assert line.low is line.high is line.centre
    assert not drawn(*runs, band="none").axes[0].collections


def test_seeds_of_different_lengths_have_a_common_grid(agent):
    line = lines_of(agent("a", points=40), agent("b", 1, points=33), agent("c", 2, points=21))[0]
    assert line.x[-1] == 2_100
    assert (line.n, len(line.x)) == (3, 21)


def test_known_values_far_from_the_curves_are_named_beside_them(tmp_path):
    rows = [{"time": i, "nats": 80.0 + i, "eval_nats": 81.0 + i} for i in range(1, 30)]
    info = {**MODEL, "algorithm": "vae", "baselines": {"uniform_nats": 543.4}}
    picture = drawn(write(tmp_path / "far", info, rows))
    assert "uniform distribution 543.4, above" in words(picture)
    assert picture.axes[0].get_ylim()[1] < 120
    info["baselines"] = {"uniform_nats": 130.0}
    picture = drawn(write(tmp_path / "near", info, rows))
    assert "uniform distribution 130" in words(picture)
    assert picture.axes[0].get_ylim()[1] > 130


def test_known_values_differ_in_their_dashes(tmp_path):
    baselines = {"discriminator_loss_at_chance": 1.4, "generator_loss_at_chance": 0.7}
    rows = [{"time": i, "discriminator_loss": 1.0 + i / 9, "generator_loss": 1.0 + i / 9} for i in range(9)]
    picture = drawn(write(tmp_path / "gan", {**MODEL, "baselines": baselines}, rows))
    known = [line for panel in picture.axes for line in panel.lines if list(line.get_xdata()) == [0, 1]]
    assert [line.get_ydata()[0] for line in known] == [1.4, 0.7]
    assert len({str(line._unscaled_dash_pattern) for line in known}) == 2


def test_the_two_sides_of_a_gan_on_test_images(tmp_path):
    rows = [{"time": i, "eval_real_logit": 2.0, "eval_fake_logit": -1.0, "eval_accuracy": 0.9} for i in range(9)]
    picture = drawn(write(tmp_path / "gan", MODEL, rows))
    assert labels(picture) == ["logit of the discriminator", "images classified right by the discriminator"]
    assert {"real test images", "samples", "gap of the logit of the discriminator, 3 at the end"} <= set(words(picture))


def test_the_quality_of_samples_has_its_floor(tmp_path):
    run = write(tmp_path / "gan", MODEL, [{"time": 1, "other": 1.0}])
    (run / "quality.jsonl").write_text('{"time": 1, "eval_lenet_fid": 90.0, "lenet_fid_floor": 7.25}\n')
    picture = drawn(run)
    assert labels(picture) == ["Fréchet distance of features (feature classifier)"]
    assert words(picture) == ["samples", "floor: as many real test images 7.25"]
    low, high = picture.axes[0].get_ylim()
    assert low < 7.25 < 90 < high


@pytest.mark.parametrize(("width", "columns"), [(3.3, 1), (5.0, 2), (6.9, 3)])
def test_panels_beside_each_other_fit_the_width(agent, width, columns):
    picture = drawn(agent("run"), metrics=("return", "loss", "eval_return"), width=width)
    assert picture.get_figwidth() == width
    picture.draw_without_rendering()
    assert len({round(panel.get_position().x0, 3) for panel in picture.axes}) == columns
    for panel in picture.axes:
        box = panel.get_tightbbox()
        assert 0 <= box.x0 < box.x1 <= picture.bbox.width
        assert panel.get_position().height * picture.get_figheight() > 0.9


def test_many_evaluations_are_a_band_and_few_are_bars(tmp_path):
    rows = [{"time": i, "eval_return": float(i), "eval_return_se": 1.0} for i in range(1, 41)]
    few = drawn(write(tmp_path / "few", AGENT, rows[:10])).axes[0]
    many = drawn(write(tmp_path / "many", AGENT, rows)).axes[0]
    assert [type(shape).__name__ for shape in few.collections] == ["LineCollection"]
    assert type(many.collections[0]).__name__ != "LineCollection"
    assert many.lines[-1].get_linestyle() == "-"


@pytest.mark.parametrize("points", [5, POINTS, 3 * POINTS + 7, 9 * POINTS])
def test_thinned_curves_keep_their_ends_and_extremes(points):
    x, y = np.arange(points, dtype=float), np.random.default_rng(0).normal(size=points)
    thin_x, thin_y = _thin(x, y)
    assert (thin_x[0], thin_x[-1]) == (0, points - 1)
    assert (np.diff(thin_x) > 0).all()
    assert (thin_y.min(), thin_y.max()) == (y.min(), y.max())
    assert thin_y == pytest.approx(y[thin_x.astype(int)])
    assert len(thin_x) <= max(3 * POINTS, min(points, 3 * POINTS))


def test_colours_differ_for_people_without_red_green_or_blue_cones():
    """Simulated by the matrices of Viénot 1999 and of Brettel 1997 for linear RGB, as distances in a uniform space."""
    srgb = np.array([[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in COLOURS])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    matrices = {
        "protanopia": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
        "deuteranopia": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
    }
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    for matrix in matrices.values():
        xyz = (linear @ np.array(matrix).T).clip(0, 1) @ to_xyz.T / [0.9505, 1, 1.089]
        f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
        lab = np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)
        distance = np.linalg.norm(lab[:, None] - lab[None], axis=-1) + 1e9 * np.eye(len(lab))
        assert distance.min() > 9  # 2.3 is just noticeable
