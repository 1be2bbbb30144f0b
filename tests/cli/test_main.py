"""The commands as a user types them: what they print, leave behind and exit with."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rlgen.cli.main import main

SMALL = [
    *("--budget", "600", "--log-every", "200", "--eval-every", "300", "--save-every", "300"),
    *("--learning-starts", "100", "--epsilon-steps", "5000", "--train-freq", "4", "--gradient-steps", "1"),
]


def call(monkeypatch, capsys, *words):
    monkeypatch.setattr("sys.argv", ["rlgen", *map(str, words)])
    with pytest.raises(SystemExit) as exit_:
        main()
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return exit_.value.code or 0, out, err


@pytest.fixture
def rlgen(monkeypatch, capsys, tmp_path):
    """Run a command line in a folder of its own: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RLGEN_RUNS", raising=False)
    monkeypatch.setenv("COLUMNS", "160")
    return lambda *words: call(monkeypatch, capsys, *words)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A small run, trained once."""
    folder = tmp_path_factory.mktemp("original")
    words = [sys.executable, "-m", "rlgen", "dqn", "cartpole", *SMALL, "--json"]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(words, cwd=folder, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


@pytest.fixture
def trained(rlgen, original, tmp_path):
    """A copy of it in the folder of this test, and what its training printed."""
    folder, printed = original
    shutil.copytree(folder / "runs", tmp_path / "runs")
    return printed


def test_training_prints_one_object_and_leaves_a_folder(trained):
    folder = Path(trained["run"])
    assert folder == Path("runs/dqn-CartPole-1")
    assert trained["status"] == "finished"
    assert trained["time"] == 600
    assert trained["score"] == trained["mean"] > 0
    assert trained["ci95"][0] <= trained["mean"] <= trained["ci95"][1]
    for name in ("run.json", "metrics.jsonl", "timing.jsonl", "curves.png", "log.txt"):
        assert (folder / name).stat().st_size > 0, name
    info = json.loads((folder / "run.json").read_text())
    assert info["changed"]["learning_starts"] == 100
    assert info["config"]["learning_starts"] == 100
    assert info["argv"][1:3] == ["dqn", "cartpole"]
    times = [json.loads(line)["time"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert times == sorted(times)
    assert times[-1] == 600


def test_a_person_sees_a_panel_lines_and_what_to_do_next(rlgen):
    code, out, err = rlgen("dqn", "CartPole", *SMALL)
    assert code == 0
    for word in (
        "device",
        "seed",
        "budget",
        "parameters",
        "settings",
        "learning_starts=100",
        "runs/dqn-CartPole-1",
        "steps/s",
    ):
        assert word in err, word
    assert re.search(r"mean return [\d.]+ over 100 fresh greedy episodes \(95 % interval", out)
    assert "rlgen play runs/dqn-CartPole-1" in out


def test_several_seeds_are_told_one_by_one_and_together(rlgen):
    assert rlgen("dqn", "CartPole", *SMALL, "--seeds", "3", "--quiet")[0] == 0
    _, out, _ = rlgen("eval", "latest", "--episodes", "4", "--json")
    told = json.loads(out)
    each = np.reshape(told["returns"], (3, 4)).mean(1)
    assert told["per_seed"] == pytest.approx(each.tolist())
    assert told["mean"] == pytest.approx(each.mean())
    assert told["std"] == pytest.approx(each.std(ddof=1))  # of seeds, not of episodes
    assert each.min() <= told["ci95"][0] <= told["ci95"][1] <= each.max()
    _, out, _ = rlgen("eval", "latest", "--episodes", "4")
    assert "over 4 fresh greedy episodes of each of 3 seeds" in out
    name, *_, a, b, c = out.splitlines()[-1].split()
    scores = (a, b, c)
    assert name == "seeds"
    assert [float(score) for score in scores] == pytest.approx(each.tolist(), abs=0.051)


def test_quiet_prints_the_folder_alone(rlgen):
    code, out, err = rlgen("dqn", "CartPole", *SMALL, "--quiet")
    assert (code, out, err) == (0, "runs/dqn-CartPole-1\n", "")


def test_same_seed_same_log_and_another_seed_another(rlgen):
    for seed in (0, 0, 1):
        assert rlgen("dqn", "CartPole", *SMALL, "--seed", seed, "-q")[0] == 0
    first, again, other = (Path(f"runs/dqn-CartPole-{i}/metrics.jsonl").read_text() for i in (1, 2, 3))
    assert first == again != other


def test_runs_lists_what_is_there(rlgen, trained):
    code, out, _ = rlgen("runs")
    assert code == 0
    assert "dqn-CartPole-1" in out
    assert "600/600 (100 %)" in out
    row = json.loads(rlgen("runs", "--json")[1])[0]
    assert (row["name"], row["status"], row["time"], row["budget"]) == ("dqn-CartPole-1", "finished", 600, 600)


def test_runs_where_there_are_none(rlgen):
    code, out, _ = rlgen("runs", "--runs", "nowhere")
    assert code == 0
    assert "no runs in nowhere" in out


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


def test_play_films_one_episode(rlgen, trained):
    code, out, _ = rlgen("play", "latest", "--out", "agent.gif")
    assert code == 0
    score = float(re.search(r"return ([\d.,]+)", out)[1].replace(",", ""))
    with Image.open("agent.gif") as film:
        assert film.n_frames >= score / 10  # equal frames may be joined, most move
        assert film.size[0] == 600


def test_plot_several_runs(rlgen, trained):
    rlgen("dqn", "CartPole", *SMALL, "--seed", 1, "-q")
    code, out, _ = rlgen("plot", "dqn-CartPole-1", "dqn-CartPole-2", "--out", "both.png", "--x", "seconds")
    assert code == 0
    assert "both.png" in out
    with Image.open("both.png") as picture:
        assert picture.size[0] > 600


def test_resume_goes_on_to_a_raised_budget(rlgen, trained):
    code, out, _ = rlgen("resume", "latest", "--budget", 900, "--json")
    assert code == 0
    assert json.loads(out)["time"] == 900
    rlgen("dqn", "CartPole", *SMALL, "--budget", 900, "-q")  # never stopped
    whole, parts = (Path(f"runs/dqn-CartPole-{i}/metrics.jsonl").read_text() for i in (2, 1))
    assert parts == whole


def test_resume_of_a_finished_run_says_how_to_go_on(rlgen, trained):
    code, _, err = rlgen("resume")
    assert code == 2
    assert "--budget" in err


def test_a_run_json_repeats_the_run(rlgen, trained):
    assert rlgen("dqn", "CartPole", "--config", "runs/dqn-CartPole-1/run.json", "-q")[0] == 0
    first, again = (Path(f"runs/dqn-CartPole-{i}/metrics.jsonl").read_text() for i in (1, 2))
    assert first == again


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["dqm", "CartPole"], 2, "dqn"),
        (["dqn", "Cartpol"], 2, "did you mean CartPole?"),
        (["dqn", "Pendulum"], 2, "only Discrete"),
        (["dqn", "CartPole", "--lr", "-1"], 2, "--lr"),
        (["dqn", "CartPole", "--lr", "fast"], 2, "--lr"),
        (["dqn", "CartPole", "--lrr", "1"], 2, "--lr"),
        (["dqn", "CartPole", "--loss", "hubert"], 2, "huber"),
        (["dqn", "CartPole", "--gamma", "1.5"], 2, "--gamma"),
        (["dqn", "CartPole", "--buffer-size", "2", "--n-step", "3"], 2, "--buffer-size"),
        (["dqn", "CartPole", "--device", "cuda"], 2, "cpu"),
        (["dqn", "CartPole", "--config", "missing.toml"], 2, "missing.toml"),
        (["dqn"], 2, "TASK"),
        (["gan", "mnits"], 2, "did you mean mnist"),
        (["gan", "folder:nowhere"], 5, "nowhere"),
        (["resume", "dqn-CartPole-9"], 2, "no run"),
        (["resume"], 2, "no runs"),
        (["eval", "dqn-CartPole-9"], 2, "no run"),
        (["plot", "latest", "--x", "hours"], 2, "seconds"),
        (["dqn", "CartPole", "--lr", "inf"], 2, "--lr"),
        (["dqn", "CartPole", "--stop-at", "nan"], 2, "--stop-at"),
        (["dqn", "CartPole", "--seed", "-1"], 2, "--seed"),
        (["dqn", "CartPole", "--name", "../mine"], 2, "--name"),
        (["gan", "digits", "--stop-at", "3"], 2, "--stop-at"),
        (["play"], 2, "no runs"),
    ],
)
def test_bad_input_is_one_clear_line_and_leaves_nothing(rlgen, words, code, said):
    got, out, err = rlgen(*words)
    assert got == code, err
    assert said in err
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert not list(Path().glob("runs/*"))


def test_a_solved_run_can_be_trained_further(rlgen):
    code, out, _ = rlgen("dqn", "CartPole", *SMALL, "--stop-at", "5", "--json")
    assert code == 0
    assert json.loads(out)["time"] == 300  # the first evaluation is enough
    assert "(solved)" in rlgen("runs")[1]
    code, out, _ = rlgen("resume", "latest", "--budget", 400, "--json")
    assert (code, json.loads(out)["time"]) == (0, 400)


def test_a_budget_that_was_passed_long_ago_is_refused(rlgen, trained):
    before = Path(trained["run"], "run.json").read_text()
    code, _, err = rlgen("resume", "latest", "--budget", 300)
    assert code == 2
    assert "larger --budget" in err
    assert Path(trained["run"], "run.json").read_text() == before


def test_a_run_in_use_is_left_alone(rlgen, trained):
    from rlgen.core.folder import Folder

    with Folder(Path(trained["run"])):
        before = Path(trained["run"], "run.json").read_text()
        code, _, err = rlgen("resume", "latest", "--budget", 9_000)
        assert code == 2
        assert "is being trained" in err
        assert Path(trained["run"], "run.json").read_text() == before


def test_a_foreign_run_json_hides_no_run(rlgen, trained):
    Path("runs/other").mkdir()
    Path("runs/other/run.json").write_text("{}")
    code, out, _ = rlgen("runs")
    assert code == 0
    assert "dqn-CartPole-1" in out
    code, _, err = rlgen("eval", "other")
    assert code == 2
    assert "not made by this rlgen" in err


def test_resume_with_settings_that_do_not_fit_the_checkpoint(rlgen, trained):
    path = Path(trained["run"], "run.json")
    info = json.loads(path.read_text())
    path.write_text(json.dumps({**info, "config": {**info["config"], "width": 8}}))
    code, _, err = rlgen("resume", "latest", "--budget", 900)
    assert code == 4
    assert "dqn-CartPole-1" in err


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
    assert "rlgen sample" in rlgen("play", "latest")[2]
    assert rlgen("sample", "latest", "--out", "five.jpg")[0] == 2
    assert rlgen("eval", "latest", "--checkpoint", "best")[0] == 2  # no score ranks its evaluations


def test_samples_of_one_class_and_more_than_a_picture_holds(rlgen, monkeypatch):
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


def test_an_autoencoder_from_training_to_what_its_code_is_worth(rlgen, monkeypatch):
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


def test_a_likelihood_is_told_with_its_protocol(rlgen, monkeypatch):
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


def test_where_mnist_cannot_be_had(rlgen, monkeypatch):
    monkeypatch.setenv("RLGEN_OFFLINE", "1")
    monkeypatch.delenv("RLGEN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path.cwd() / "cache"))
    code, _, err = rlgen("gan", "mnist", "--no-fallback")
    assert code == 5
    assert "train-images-idx3-ubyte.gz" in err
    assert not Path("runs").exists()
    code, _, err = rlgen("gan", "mnist", "--budget", 64, "--width", 4, "--discriminator-width", 4, "-q")
    assert code == 0
    assert err.count("\n") == 1
    assert "digits" in err
    assert [path.name for path in Path("runs").iterdir()] == ["gan-digits-1"]
    assert json.loads(Path("runs/gan-digits-1/run.json").read_text())["task"] == "digits"


def test_a_config_file_with_a_near_miss(rlgen):
    Path("settings.toml").write_text("lrr = 0.1\n")
    code, _, err = rlgen("dqn", "CartPole", "--config", "settings.toml")
    assert code == 2
    assert "did you mean lr" in err


def test_wrong_kind_of_run(rlgen, trained):
    code, _, err = rlgen("sample", "latest")
    assert code == 2
    assert "rlgen play" in err
    assert rlgen("plot", "latest", "--out", "curves.doc")[0] == 2
    assert rlgen("eval", "latest", "--checkpoint", "first")[0] == 2


def test_a_damaged_run_is_named(rlgen, trained):
    folder = Path(trained["run"])
    for path in folder.glob("checkpoints/*/manifest.json"):
        path.write_text("{}")
    code, _, err = rlgen("eval", "latest")
    assert code == 4
    assert "dqn-CartPole-1" in err
    (folder / "run.json").write_text("not json")
    code, _, err = rlgen("eval", folder)
    assert code == 2
    assert "run.json" in err
    assert rlgen("runs")[0] == 0  # the others are still listed


def test_a_name_is_taken_once(rlgen):
    assert rlgen("dqn", "CartPole", *SMALL, "--name", "mine", "-q")[0] == 0
    code, _, err = rlgen("dqn", "CartPole", *SMALL, "--name", "mine")
    assert code == 2
    assert "rlgen resume mine" in err


def test_divergence_exits_3_and_keeps_the_weights_finite(rlgen):
    code, _, err = rlgen(
        "dqn", "CartPole", *SMALL, "--lr", "1e30", "--max-grad-norm", "inf", "--loss", "mse", "--budget", 3000
    )
    assert code == 3
    assert "--lr" in err
    assert json.loads(Path("runs/dqn-CartPole-1/run.json").read_text())["status"] == "diverged"


def test_every_help_has_two_examples(rlgen):
    code, out, _ = rlgen("--help")
    assert code == 0
    for command in ("dqn", "gan", "runs", "resume", "plot", "eval", "play", "sample", "list"):
        assert command in out
        code, help_, _ = rlgen(command, "--help")
        assert code == 0
        assert len(re.findall(rf"^ *rlgen {command}\b", help_.split("Examples")[1], re.MULTILINE)) >= 2, command
