"""The commands that take a run."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rlgen.core.errors import CheckpointError
from tests.cli.small import SMALL


@pytest.mark.slow
def test_several_seeds_are_scored_one_by_one_and_together(rlgen):
    assert rlgen("dqn", "CartPole", *SMALL, "--seeds", "3", "--quiet")[0] == 0
    _, out, _ = rlgen("eval", "latest", "--episodes", "4", "--json")
    scores = json.loads(out)
    each = np.reshape(scores["returns"], (3, 4)).mean(1)
    assert scores["per_seed"] == pytest.approx(each.tolist())
    assert scores["mean"] == pytest.approx(each.mean())
    assert scores["std"] == pytest.approx(each.std(ddof=1))  # of seeds, not of episodes
    assert each.min() <= scores["ci95"][0] <= scores["ci95"][1] <= each.max()
    _, out, _ = rlgen("eval", "latest", "--episodes", "4")
    assert "over 4 fresh greedy episodes of each of 3 seeds" in out
    name, *_, a, b, c = out.splitlines()[-1].split()
    scores = (a, b, c)
    assert name == "seeds"
    assert [float(score) for score in scores] == pytest.approx(each.tolist(), abs=0.051)


def test_eval_is_repeatable_and_complete(rlgen, trained):
    code, out, _ = rlgen("eval", "latest", "--episodes", 7, "--seed", 3, "--json")
    result = json.loads(out)
    assert code == 0
    assert {"episodes", "mean", "std", "iqm", "ci95", "returns"} <= set(result)
    assert len(result["returns"]) == result["episodes"] == 7
    assert result["mean"] == pytest.approx(np.mean(result["returns"]))
    assert rlgen("eval", "dqn-cartpole-1", "--episodes", 7, "--seed", 3, "--json")[1] == out
    assert rlgen("eval", trained["run"], "--episodes", 7, "--seed", 4, "--json")[1] != out


def test_eval_leaves_the_folder_as_it_was(rlgen, trained):
    folder = Path(trained["run"])
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert rlgen("eval", "latest", "--episodes", 1)[0] == 0
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_play_records_one_episode(rlgen, trained):
    code, out, _ = rlgen("play", "latest", "--out", "agent.gif")
    assert code == 0
    score = float(re.search(r"return ([\d.,]+)", out)[1].replace(",", ""))
    with Image.open("agent.gif") as gif:
        assert gif.n_frames >= score / 10  # equal frames may be joined, most move
        assert gif.size[0] == 600


def test_plot_several_runs(rlgen, trained):
    rlgen("dqn", "CartPole", *SMALL, "--seed", 1, "-q")
    code, out, _ = rlgen("plot", "dqn-CartPole-1", "dqn-CartPole-2", "--out", "both.png", "--x", "seconds")
    assert code == 0
    assert "both.png" in out
    with Image.open("both.png") as picture:
        assert picture.size[0] > 600


def test_a_model_from_training_to_samples(rlgen, monkeypatch):
    small = ["--budget", "192", "--batch", "64", "--log-every", "64", "--eval-every", "128", "--size", "8"]
    code, out, err = rlgen("gan", "Digits", *small, "--width", "4", "--discriminator-width", "4", "--json")
    assert code == 0, err
    folder = Path(json.loads(out)["run"])
    assert folder == Path("runs/gan-digits-1")
    assert [path.name for path in sorted((folder / "samples").iterdir())] == [
        "000000000.png", "000000128.png", "000000192.png",
    ]  # fmt: skip

    for name in ("curves.png", "evolution.png", "evolution.gif"):
        assert (folder / name).stat().st_size > 0, name
    code, out, _ = rlgen("sample", "latest", "--count", 5, "--out", "five.png", "--npy", "five.npy", "--seed", 2)
    assert (code, out) == (0, "five.png\n")
    images = np.load("five.npy")
    assert images.shape == (5, 1, 8, 8)
    assert 0 <= images.min() < images.max() <= 1
    rlgen("sample", "latest", "--count", 5, "--out", "again.png", "--npy", "again.npy", "--seed", 2)
    assert np.array_equal(images, np.load("again.npy"))
    from rlgen.data import idx
    from rlgen.generative.quality import feature_classifier as judge

    monkeypatch.setattr(idx, "cache", lambda: Path("cache").absolute())
    monkeypatch.setattr(judge, "STEPS", 20)
    scores = json.loads(rlgen("eval", "latest", "--json")[1])
    assert "eval_accuracy" in scores
    assert scores["samples"] == 299
    assert scores["real_data_reference"].keys() <= scores.keys()
    assert 0 <= scores["real_data_reference"]["lenet_fid"] < scores["lenet_fid"]
    code, out, _ = rlgen("eval", "latest", "--samples", 100)
    assert code == 0
    assert re.search(r"^memorization_rate +[0-9.e-]+ +0.01", out, re.MULTILINE)
    assert "no distances: 100 images are too few" in out
    assert rlgen("plot", "latest", "--quality", 299, "--metric", "eval_kid", "--out", "kid.csv")[0] == 0
    assert [row.split(",")[6] for row in Path("kid.csv").read_text().splitlines()[1:]] == ["0", "128", "192"]
    assert "rlgen sample" in rlgen("play", "latest")[2]
    assert rlgen("sample", "latest", "--out", "five.jpg")[0] == 2
    assert rlgen("eval", "latest", "--checkpoint", "best")[0] == 2  # no score ranks its evaluations


def test_samples_of_one_class_and_more_than_a_picture_shows(rlgen, monkeypatch):
    from rlgen.cli import inspect as cli
    from rlgen.generative import sampling

    small = ["--budget", "64", "--batch", "64", "--size", "8", "--width", "4", "--discriminator-width", "4", "-q"]
    assert rlgen("gan", "digits", *small, "--conditional")[0] == 0
    assert rlgen("sample", "latest", "--count", 30, "--label", "seven")[0] == 2
    assert "digits has no class 10: there are 0, 1, 2" in rlgen("sample", "latest", "--label", "10")[2]
    rlgen("sample", "latest", "--count", 8, "--label", 7, "--npy", "whole.npy")
    monkeypatch.setattr(sampling, "CHUNK_SIZE", 8)
    monkeypatch.setattr(cli, "SHOWN", 12)
    code, _, err = rlgen("sample", "latest", "--count", 20, "--label", 7, "--npy", "parts.npy", "--out", "some.png")
    assert code == 0
    assert "some.png shows the first 12" in err
    parts = np.load("parts.npy")
    assert parts.shape == (20, 1, 8, 8)
    assert np.array_equal(parts[:8], np.load("whole.npy"))
    assert len({image.tobytes() for image in parts}) == 20


@pytest.mark.slow
def test_an_autoencoder_from_training_to_its_probe(rlgen, monkeypatch):
    from rlgen.generative.quality import probe

    small = ["--budget", "200", "--batch", "50", "--width", "8", "--latent", "2", "--log-every", "100", "--json"]
    code, out, err = rlgen("ae", "digits", *small)
    assert code == 0, err
    assert {"eval_mse", "eval_pca_mse"} <= json.loads(out).keys()
    assert Path("runs/ae-digits-1/evolution.gif").is_file()
    assert rlgen("sample", "latest", "--what", "manifold")[0] == 0
    assert Path("runs/ae-digits-1/manifold.png").is_file()
    assert (
        "this model has no completions: it draws samples, rec" in rlgen("sample", "latest", "--what", "completions")[2]
    )
    code, _, err = rlgen("sample", "latest", "--what", "manifold", "--npy", "some.npy")
    assert code == 2
    assert "leave out --label and --npy" in err
    monkeypatch.setattr(probe, "STEPS", 3)
    monkeypatch.setattr(probe, "LABELS", (100,))
    code, out, _ = rlgen("probe", "latest", "--images", 200)
    assert code == 0
    assert re.search(r"^softmax +[0-9.]+% +[0-9.]+%$", out, re.MULTILINE)
    assert re.search(r"^1,498( +[0-9.]+%){3}$", out, re.MULTILINE)
    assert json.loads(rlgen("probe", "latest", "--images", 200, "--json")[1])["networks"]["100"].keys() == {
        "frozen",
        "tuned",
        "scratch",
    }


@pytest.mark.slow
def test_a_likelihood_is_printed_with_its_protocol(rlgen, monkeypatch):
    from rlgen.data import idx
    from rlgen.generative import presets
    from rlgen.generative.quality import feature_classifier as judge

    brief = {
        "budget": 100,
        "batch": 50,
        "width": 4,
        "levels": 1,
        "blocks": 1,
        "likelihood": "bernoulli",
        "head_width": 4,
    }
    monkeypatch.setitem(presets.TUNED["pixelcnn"], "digits:brief", brief)
    monkeypatch.setattr(idx, "cache", lambda: Path("cache").absolute())
    monkeypatch.setattr(judge, "STEPS", 20)
    code, _, err = rlgen("gated-pixelcnn", "digits", "--preset", "breif")
    assert code == 2
    assert (
        "--preset breif: gated-pixelcnn has no preset of that name for digits; there is mnist with --preset long" in err
    )
    assert "digits with --preset brief" in err
    code, out, err = rlgen("gated-pixelcnn", "digits", "--preset", "brief", "--head-width", "8", "--json")
    assert code == 0, err
    assert json.loads(out)["time"] == 100
    config = json.loads(Path("runs/gated-pixelcnn-digits-1/run.json").read_text())["config"]
    assert (config["width"], config["head_width"], config["gated"]) == (4, 8, True)
    scores = json.loads(rlgen("eval", "latest", "--json", "--samples", 20)[1])
    assert scores["protocol"] == "dynamic"
    assert scores["eval_nats"] < 2 * scores["uniform_nats"]
    assert re.search(r"^own metrics, dynamic  eval_nats", rlgen("eval", "latest", "--samples", 20)[1], re.MULTILINE)


# ---- portraits


def test_the_portrait_nearest_to_a_step_is_evaluated_and_named(rlgen, trained):
    rows = [json.loads(line) for line in Path(trained["run"], "metrics.jsonl").read_text().splitlines()]
    logged = {row["time"]: row["eval_return"] for row in rows if "eval_return" in row}
    assert set(logged) == {0, 300, 600}
    for typed, time in (("0", 0), ("1e2", 0), ("290", 300), ("99999", 600)):
        code, out, err = rlgen("eval", "latest", "--at", typed, "--episodes", "3", "--json")
        assert code == 0
        assert f"weights at {time:,} steps, the nearest portrait to --at" in err
        assert json.loads(out)["episodes"] == 3
    assert rlgen("play", "latest", "--at", "0", "--out", "early.gif")[0] == 0
    assert Path("early.gif").exists()


def test_a_portrait_that_cannot_be_had_is_one_clear_line(rlgen, trained):
    assert rlgen("eval", "latest", "--at", "-1")[0] == 2
    code, _, err = rlgen("eval", "latest", "--at", "3", "--checkpoint", "best")
    assert (code, "leave one out" in err) == (2, True)
    for path in Path(trained["run"], "portraits").glob("*/*"):
        path.unlink()
    code, _, err = rlgen("eval", "latest", "--at", "3")
    assert code == CheckpointError.code
    assert "the portrait of dqn-CartPole-1 at 0" in err
    shutil.rmtree(Path(trained["run"], "portraits"))
    code, _, err = rlgen("eval", "latest", "--at", "3")
    assert (code, "has no portraits" in err) == (2, True)
