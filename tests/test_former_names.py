"""Runs of earlier versions load, act as they did and can be resumed. The fixtures are never written again."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import rlgen
from rlgen.core import checkpoint, logs

FORMER = Path(__file__).parent / "fixtures" / "former"
RUNS = sorted(path.name for path in FORMER.iterdir())
OBSERVATION = {"CartPole": (4,), "CartPoleHidden": (2,)}  # shape, by task
RESUMED = {"CartPole": 800, "CartPoleHidden": 800, "FrozenLake": 800, "digits": 128}  # budget of a resumed run


def facts(name):
    return json.loads((FORMER / name / "run.json").read_text())


def expected(name):
    return json.loads((FORMER / name / "expected.json").read_text())


def observations(task):
    rng = np.random.default_rng(0)
    if task == "FrozenLake":
        return rng.integers(0, 16, 16)
    return rng.normal(size=(16, *OBSERVATION[task])).astype("float32")


def test_the_fixtures_are_of_every_family_and_of_schema_1():
    assert {"dqn", "drqn", "rainbow", "qlearning", "ae", "vae", "vqvae", "gan", "pixelcnn", "pixelrnn"} <= set(RUNS)
    for manifest in FORMER.glob("*/checkpoints/*/manifest.json"):
        assert json.loads(manifest.read_text())["schema"] == 1 < checkpoint.SCHEMA


@pytest.mark.parametrize("name", RUNS)
def test_a_former_run_acts_as_it_did(name):
    trained = rlgen.load(FORMER / name)
    if facts(name)["kind"] == "agent":
        actions, _ = trained.predict(observations(facts(name)["task"]))
        assert actions.tolist() == expected(name)["actions"]
        assert trained.rollout(2, 0).tolist() == expected(name)["returns"]
    else:
        sample = trained.sample(4, seed=0)
        assert sample.double().mean().item() == pytest.approx(expected(name)["sample_mean"], abs=1e-6)
        assert sample.flatten()[:64].tolist() == pytest.approx(expected(name)["sample"], abs=1e-5)


@pytest.mark.parametrize("name", RUNS)
def test_a_former_run_is_resumed(name, tmp_path):
    shutil.copytree(FORMER / name, tmp_path / name)
    run = rlgen.resume(tmp_path / name, budget=RESUMED[facts(name)["task"]])
    before, after = ((path / name / "metrics.jsonl").read_text() for path in (FORMER, tmp_path))
    assert re.sub(r', "check": "[^"]*"', "", after).startswith(before)
    assert not logs.read(tmp_path / name / "metrics.jsonl").lost()
    assert run.info["status"] == "finished"
    assert run.info["time"] >= 2 * facts(name)["time"]
    newest = checkpoint.newest_first(run.directory / "checkpoints")[0]
    assert checkpoint.verify(newest) == checkpoint.SCHEMA
    rlgen.load(run)


@pytest.mark.parametrize("name", RUNS)
def test_the_settings_of_a_former_run_can_be_used_again(name, tmp_path):
    from rlgen import catalog
    from rlgen.core.config import read_file
    from rlgen.core.settings import Plan, Setup

    entry = catalog.find(facts(name)["algorithm"])
    values = read_file(FORMER / name / "run.json", (entry.config, Setup, Plan))
    saved = sum(len(facts(name)[part]) for part in ("config", "setup", "plan"))
    assert len(values) == saved - ("seed" in facts(name)["config"]) + ("schedule" in values)
