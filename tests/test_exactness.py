"""What makes a resumed run differ in bits is found in run.json."""

import torch

from rlgen import exactness, session
from rlgen.core.folder import Folder

CPU = torch.device("cpu")


def test_nothing_differs_on_the_same_machine():
    assert exactness.changes(exactness.facts(CPU), CPU) == []


def test_every_fact_that_differs_is_named():
    now = exactness.facts(CPU)
    flags = {**now["arithmetic"], "deterministic": True}
    then = {
        "device": "H100",
        "processor": "none",
        "arithmetic": flags,
        "versions": {**now["versions"], "torch": "1.0", "python": "2.7"},
    }
    assert exactness.changes(then, CPU) == [
        f"device H100 then, {now['device']} now",
        f"processor none then, {now['processor']} now",
        "deterministic True then, False now",
        f"torch 1.0 then, {now['versions']['torch']} now",
    ]


def test_facts_that_an_earlier_version_did_not_write_are_left_out():
    assert exactness.changes({}, CPU) == exactness.changes({"versions": 5, "device": None, "arithmetic": 1}, CPU) == []


def test_a_new_run_records_them_and_says_nothing(tmp_path, caplog):
    settings = {
        "budget": 200,
        "learning_starts": 300,
        "width": 4,
        "eval_episodes": 1,
        "final_episodes": 1,
        "threads": 1,
    }
    prepared = session.prepare("dqn", "CartPole", settings, runs=tmp_path)
    prepared.train(quiet=True)
    assert prepared.run.info["processor"] == torch.backends.cpu.get_cpu_capability()
    session.reopen(Folder(prepared.run.directory), {"budget": 300}).train(quiet=True)
    assert "inexact" not in prepared.run.info
    assert "not equal" not in caplog.text
