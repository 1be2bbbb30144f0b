"""The commands that train: what they print, leave behind and exit with."""

import json
import re
from pathlib import Path

import pytest

from rlgen.core.folder import Folder
from tests.cli.small import SMALL


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


def test_training_prints_a_panel_its_progress_and_the_commands_that_come_next(rlgen):
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


def test_quiet_prints_the_folder_alone(rlgen):
    code, out, err = rlgen("dqn", "CartPole", *SMALL, "--quiet")
    assert (code, out, err) == (0, "runs/dqn-CartPole-1\n", "")


def test_equal_seeds_give_equal_logs(rlgen):
    for seed in (0, 0, 1):
        assert rlgen("dqn", "CartPole", *SMALL, "--seed", seed, "-q")[0] == 0
    first, again, other = (Path(f"runs/dqn-CartPole-{i}/metrics.jsonl").read_text() for i in (1, 2, 3))
    assert first == again != other


def test_a_resumed_run_reaches_a_raised_budget(rlgen, trained):
    code, out, _ = rlgen("resume", "latest", "--budget", 900, "--json")
    assert code == 0
    assert json.loads(out)["time"] == 900
    rlgen("dqn", "CartPole", *SMALL, "--budget", 900, "-q")  # never stopped
    whole, parts = (Path(f"runs/dqn-CartPole-{i}/metrics.jsonl").read_text() for i in (2, 1))
    assert parts == whole


def test_resume_of_a_finished_run_names_the_budget(rlgen, trained):
    code, _, err = rlgen("resume")
    assert code == 2
    assert "--budget" in err


def test_a_run_json_repeats_the_run(rlgen, trained):
    assert rlgen("dqn", "CartPole", "--config", "runs/dqn-CartPole-1/run.json", "-q")[0] == 0
    first, again = (Path(f"runs/dqn-CartPole-{i}/metrics.jsonl").read_text() for i in (1, 2))
    assert first == again


def test_a_solved_run_can_be_trained_further(rlgen):
    code, out, _ = rlgen("dqn", "CartPole", *SMALL, "--stop-at", "5", "--json")
    assert code == 0
    assert json.loads(out)["time"] == 300  # the first evaluation is enough
    assert "(solved)" in rlgen("runs")[1]
    code, out, _ = rlgen("resume", "latest", "--budget", 400, "--json")
    assert (code, json.loads(out)["time"]) == (0, 400)


def test_a_budget_below_the_time_of_the_run_is_refused(rlgen, trained):
    before = Path(trained["run"], "run.json").read_text()
    code, _, err = rlgen("resume", "latest", "--budget", 300)
    assert code == 2
    assert "--budget 300: " in err
    assert "is at 600 already, a larger one trains it further" in err
    assert Path(trained["run"], "run.json").read_text() == before


def test_a_run_in_training_stays_as_it_is(rlgen, trained):

    with Folder(Path(trained["run"])):
        before = Path(trained["run"], "run.json").read_text()
        code, _, err = rlgen("resume", "latest", "--budget", 9_000)
        assert code == 2
        assert "is being trained" in err
        assert Path(trained["run"], "run.json").read_text() == before


def test_resume_with_settings_that_do_not_fit_the_checkpoint(rlgen, trained):
    path = Path(trained["run"], "run.json")
    info = json.loads(path.read_text())
    path.write_text(json.dumps({**info, "config": {**info["config"], "width": 8}}))
    code, _, err = rlgen("resume", "latest", "--budget", 900)
    assert code == 4
    assert "dqn-CartPole-1" in err


def test_the_bundled_digits_stand_in_for_mnist(rlgen, monkeypatch):
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


def test_a_config_file_with_a_misspelled_setting(rlgen):
    Path("settings.toml").write_text("lrr = 0.1\n")
    code, _, err = rlgen("dqn", "CartPole", "--config", "settings.toml")
    assert code == 2
    assert "did you mean lr" in err


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


@pytest.mark.parametrize(
    "words",
    [["--help", "cartpole"], ["CartPole", "--help"], ["CartPole-v1", "-h"], ["-q", "--lr", "1", "CartPole", "--help"]],
)
def test_the_help_shows_the_preset_of_a_task(rlgen, words):
    code, out, _ = rlgen("dqn", *words)
    assert code == 0
    text = " ".join(out.split())
    assert "the preset for CartPole; its measured score: 492 to 500" in text
    assert re.search(r"--budget INTEGER[^-]*default: 30,000", text)
    assert "default: 100,000" in " ".join(rlgen("dqn", "--help")[1].split())


def test_the_help_lists_the_presets_with_their_measured_scores(rlgen):
    text = " ".join(rlgen("pixelcnn", "--help")[1].split())
    assert "mnist --preset long: 81.2 nats in 1 seed" in text
    assert "digits: not measured" in text
    assert "the preset for mnist; its measured score: 81.2" in " ".join(
        rlgen("pixelcnn", "mnist", "--preset", "long", "--help")[1].split()
    )


def test_the_help_of_a_task_that_there_is_not(rlgen):
    code, _, err = rlgen("dqn", "Cartpol", "--help")
    assert code == 2
    assert "did you mean CartPole?" in err
