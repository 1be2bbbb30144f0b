"""A run from its settings to its final report."""

import json
import math

import pytest
import torch

import rlgen
import rlgen.agents.settings
from rlgen import catalog, session
from rlgen.core.algorithm import Report
from rlgen.core.errors import CheckpointError, UserError
from rlgen.core.folder import Folder
from rlgen.core.settings import Plan

QUICK = {"eval_episodes": 2, "final_episodes": 3}


def start(runs, given=None, **more):
    return session.prepare("qlearning", "FrozenLake", {**QUICK, "budget": 400, **(given or {})}, runs=runs, **more)


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


def test_what_is_restored_is_what_was_trained(tmp_path):
    run = start(tmp_path)
    run.train(quiet=True)
    restored = session.restore(Folder(run.run.directory))
    assert torch.equal(torch.from_numpy(restored.q), torch.from_numpy(run.algorithm.q))


def test_a_plan_without_an_end_is_refused_where_nothing_ranks(tmp_path):
    with pytest.raises(UserError, match="--stop-at 3: gan has no score that ranks its evaluations"):
        session.prepare("gan", "digits", {"stop_at": 3.0}, runs=tmp_path)
    assert Plan().stop_at == math.inf


def test_a_run_of_another_machine_is_restored_on_the_device_at_hand(tmp_path):
    made = session.prepare("dqn", "CartPole", {"budget": 10, "width": 4, "learning_starts": 5}, runs=tmp_path)
    made.train(quiet=True)
    folder = Folder(made.run.directory)
    folder.describe(setup={**folder.info["setup"], "device": "mps" if torch.cuda.is_available() else "cuda"})
    assert session.restore(folder).time == folder.info["time"]


def test_a_budget_that_is_reached_already_is_refused(tmp_path):
    run = start(tmp_path)
    run.train(quiet=True)
    folder = Folder(run.run.directory)
    folder.describe(status="interrupted")
    info, rows = folder.info, folder.rows()
    for budget in (100, info["time"] - 1):
        with pytest.raises(UserError, match=rf"--budget {budget}: .* is at {info['time']} already, a larger one"):
            session.reopen(folder, {"budget": budget})
    assert (folder.info, folder.rows()) == (info, rows)
    session.reopen(folder, {"budget": 400}).train(quiet=True)  # the same budget: only its end is made up for
    assert folder.status == "finished"


def test_a_changed_run_json_is_neither_loaded_nor_resumed(tmp_path):
    run = start(tmp_path)
    run.train(quiet=True)
    path = run.run.directory / "run.json"
    path.write_text(path.read_text().replace('"lr": 0.1', '"lr": 0.2').replace('"seed": 0', '"seed": 1'))
    before = path.read_bytes()
    for attempt in (session.restore, lambda folder: session.reopen(folder, {"budget": 800})):
        with pytest.raises(CheckpointError, match=r"run\.json was changed after it was written.*rlgen verify"):
            attempt(Folder(run.run.directory))
    assert path.read_bytes() == before
