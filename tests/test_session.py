"""A run from its settings to its final report."""

import json
import math
from dataclasses import fields

import pytest
import torch

import rlgen
import rlgen.agents.presets
import rlgen.agents.settings
from rlgen import catalog, preparation, session
from rlgen.core import algorithm as protocols
from rlgen.core.algorithm import Report, missing
from rlgen.core.errors import DataError, UserError
from rlgen.core.folder import Folder
from rlgen.core.settings import Plan

QUICK = {"eval_episodes": 2, "final_episodes": 3}


def start(runs, given=None, **more):
    return session.prepare("qlearning", "FrozenLake", {**QUICK, "budget": 400, **(given or {})}, runs=runs, **more)


def settings(algorithm, task, **typed):
    entry = catalog.find(algorithm)
    config, _, plan = preparation.settings_of(entry, preparation.preset_names(entry, task), typed)
    return config, plan


def test_a_typed_budget_scales_what_depends_on_it():
    (config, plan), (short, brief) = settings("dqn", "CartPole"), settings("dqn", "CartPole", budget=3_000)
    assert plan.budget == 30_000
    for name in ("log_every", "eval_every", "save_every"):
        assert getattr(brief, name) == getattr(plan, name) / 10, name
    assert short.epsilon_steps == config.epsilon_steps / 10
    scaled = {"lr_steps", "epsilon_steps", "beta_steps"}
    for f in fields(config):
        assert f.name in scaled or getattr(short, f.name) == getattr(config, f.name), f.name


@pytest.mark.parametrize(
    ("algorithm", "task", "names"),
    [
        ("vae", "mnist", ["kl_warmup", "lr_anneal"]),
        ("pixelcnn", "mnist", ["lr_anneal"]),
        ("dqn", "LunarLander", ["lr_steps", "epsilon_steps"]),
        ("rainbow", "CartPole", ["beta_steps"]),
        ("qlearning", "FrozenLake", ["epsilon_steps"]),
    ],
)
def test_schedules_of_every_algorithm_are_scaled(algorithm, task, names):
    config, plan = settings(algorithm, task)
    longer, _ = settings(algorithm, task, budget=3 * plan.budget)
    for name in names:
        assert getattr(longer, name) == 3 * getattr(config, name) > 0, name


def test_what_is_typed_is_not_scaled():
    config, plan = settings("dqn", "CartPole", budget=300, epsilon_steps=7, log_every=100, eval_every=9)
    assert (config.epsilon_steps, plan.log_every, plan.eval_every, plan.save_every) == (7, 100, 9, 100)


def test_the_same_budget_scales_nothing():
    assert settings("dqn", "CartPole", budget=30_000) == settings("dqn", "CartPole")


def test_nothing_that_is_off_is_scaled_on():
    config, _ = settings("vae", "folder:.", budget=10)
    assert config.kl_warmup == config.lr_anneal == 0


@pytest.mark.parametrize("budget", [1, 19, 20, 999, 100_000, 10**9])
def test_a_curve_has_twenty_points(budget, monkeypatch):
    monkeypatch.setitem(rlgen.agents.presets.TUNED, "dqn", {"CartPole": {"log_every": 90_000, "budget": 100_000}})
    _, plan = settings("dqn", "CartPole", budget=budget)
    assert budget / plan.log_every >= min(20, budget)


def test_a_run_json_scales_nothing(tmp_path):
    first = start(tmp_path)
    info = first.run.info
    again = start(tmp_path, {"budget": 800}, file={**info["config"], **info["plan"]})
    assert again.plan.log_every == first.plan.log_every
    assert again.algorithm.config == first.algorithm.config


def test_the_final_report_is_in_run_json(tmp_path):
    run = start(tmp_path)
    report = run.train(quiet=True)
    assert isinstance(report, Report)
    assert Folder(run.run.directory).info["result"] == json.loads(json.dumps(report.values))
    assert report.values["episodes"] == 3
    assert Folder(run.run.directory).status == "finished"


def test_what_is_drawn_and_written_at_the_end(tmp_path):
    run = start(tmp_path)
    run.train(quiet=True)
    assert {"run.json", "metrics.jsonl", "curves.png", "log.txt", "checkpoints"} <= {
        path.name for path in run.run.directory.iterdir()
    }


def test_the_start_panel_names_the_algorithm_the_settings_and_the_folder(tmp_path):
    facts = start(tmp_path, {"lr_decay": 0.25}).facts()
    assert facts["algorithm"] == catalog.find("qlearning").summary
    assert facts["folder"] == str(tmp_path / "qlearning-FrozenLake-1")
    assert facts["budget"] == "400 steps"
    assert "lr_decay=0.25" in facts["settings"]


def test_a_resumed_run_keeps_the_score_that_ends_it(tmp_path):
    run = start(tmp_path, {"stop_at": 5.0})
    run.train(quiet=True)
    assert session.reopen(Folder(run.run.directory), {"budget": 900}).plan.stop_at == 5.0


def test_a_solved_run_that_is_trained_further_has_no_such_score(tmp_path):
    run = start(tmp_path, {"stop_at": -1.0})
    run.train(quiet=True)
    folder = Folder(run.run.directory)
    assert session.reopen(folder, {"budget": 900}).plan.stop_at == math.inf
    assert session.reopen(folder, {"budget": 900, "stop_at": 0.5}).plan.stop_at == 0.5


def test_a_refused_resume_writes_nothing(tmp_path):
    run = start(tmp_path)
    run.train(quiet=True)
    again = session.reopen(Folder(run.run.directory), {"budget": 900})

    def content():
        return {p: p.read_bytes() for p in run.run.directory.rglob("*") if p.is_file() and p.name != "run.lock"}

    with Folder(run.run.directory):
        before = content()
        with pytest.raises(UserError, match="is being trained by process"):
            again.train()
        assert content() == before


def test_an_agent_and_a_model_point_at_each_other():
    with pytest.raises(UserError, match=r"CartPole-v1 is an environment, and gan trains on a dataset: try `rlgen dqn"):
        preparation.canonical(catalog.find("gan"), "CartPole")
    with pytest.raises(UserError, match=r"mnist is a dataset, and dqn trains on an environment: try `rlgen ae MNIST`"):
        preparation.canonical(catalog.find("dqn"), "MNIST")
    with pytest.raises(UserError, match="did you mean CartPole"):
        preparation.canonical(catalog.find("dqn"), "Cartpol")
    with pytest.raises(DataError, match="nowhere"):
        preparation.canonical(catalog.find("gan"), "folder:nowhere")


def test_presets_are_found_by_every_name_of_a_task():
    entry = catalog.find("dqn")
    for name in ("CartPole", "cartpole", "CartPole-v1"):
        assert preparation.preset_names(entry, name) == ["CartPole", "CartPole-v1"]
    assert preparation.preset_names(catalog.find("pixelcnn"), "mnist", "long") == ["mnist", "mnist:long"]
    with pytest.raises(
        UserError, match="--preset short: pixelcnn has no preset of that name for mnist; there is mnist"
    ):
        preparation.preset_names(catalog.find("pixelcnn"), "mnist", "short")


class Unfinished:
    """An algorithm in the making."""

    Config = rlgen.agents.settings.QLearning

    def step(self):
        return {}

    def rollout(self, episodes, seed):
        raise NotImplementedError


def test_a_missing_method_is_named_at_the_start(tmp_path, monkeypatch):
    entry = catalog.find("qlearning")
    monkeypatch.setattr(type(entry), "algorithm", property(lambda self: Unfinished))
    with pytest.raises(UserError, match=r"Unfinished does not implement describe_task, .*rollout, score"):
        start(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("entry", catalog.CATALOG.values(), ids=catalog.CATALOG)
def test_every_algorithm_implements_the_protocol_of_its_kind(entry):
    assert missing(entry.algorithm, getattr(protocols, entry.kind.name.title())) == []


def test_what_is_restored_is_what_was_trained(tmp_path):
    run = start(tmp_path)
    run.train(quiet=True)
    restored = session.restore(Folder(run.run.directory))
    assert torch.equal(torch.from_numpy(restored.q), torch.from_numpy(run.algorithm.q))


def test_a_plan_without_an_end_is_refused_where_nothing_ranks(tmp_path):
    with pytest.raises(UserError, match="--stop-at 3: gan has no score that ranks its evaluations"):
        session.prepare("gan", "digits", {"stop_at": 3.0}, runs=tmp_path)
    assert Plan().stop_at == math.inf
