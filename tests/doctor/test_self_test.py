from dataclasses import replace

import pytest

from rlgen.agents.dqn import DQN
from rlgen.doctor.self_test import TRIALS, findings

AGENT = replace(TRIALS[1], options={**TRIALS[1].options, "budget": 400, "eval_every": 200, "save_every": 200})


def names(*trials):
    return [finding.name for finding in findings(trials)]


def test_a_sound_installation_passes():
    assert names(AGENT) == ["self-test passed"]


def test_a_training_that_learns_nothing_fails():
    assert names(replace(AGENT, least=1000.0)) == ["self-test failed"]


def test_a_training_that_stops_with_an_error_fails():
    (finding,) = findings((replace(AGENT, task="CartPol"),))
    assert finding.severity == "problem"
    assert "did you mean CartPole" in finding.text


def test_a_resume_that_forgets_a_part_of_the_state_fails(monkeypatch):
    monkeypatch.setattr(DQN, "state", tuple(name for name in DQN.state if name != "rng"))
    assert names(AGENT) == ["resume is not exact"]


@pytest.mark.parametrize("trial", TRIALS)
def test_every_trial_evaluates_before_its_last_checkpoint(trial):
    assert trial.options["save_every"] < trial.options["budget"]
