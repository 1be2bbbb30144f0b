"""From the words of a command line to settings and an algorithm."""

from dataclasses import fields

import pytest

import rlgen.agents.presets
from rlgen import catalog, preparation
from rlgen.core import algorithm as protocols
from rlgen.core.algorithm import missing
from rlgen.core.errors import DataError, UserError
from rlgen.core.settings import Setup


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
        ("vae", "mnist", ["kl_warmup", "lr_steps"]),
        ("pixelcnn", "mnist", ["lr_steps"]),
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
    assert config.kl_warmup == 0
    assert config.schedule == "constant"


@pytest.mark.parametrize("budget", [1, 19, 20, 999, 100_000, 10**9])
def test_a_curve_has_twenty_points(budget, monkeypatch):
    monkeypatch.setitem(rlgen.agents.presets.TUNED, "dqn", {"CartPole": {"log_every": 90_000, "budget": 100_000}})
    _, plan = settings("dqn", "CartPole", budget=budget)
    assert budget / plan.log_every >= min(20, budget)


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


def test_settings_select_presets_of_their_own():
    entry = catalog.find("classify")
    names = preparation.preset_names(entry, "MNIST", "long", {"network": "resnet20"})
    networks = ["mnist --network resnet20", "mnist:long --network resnet20"]
    optimizers = ["mnist --optimizer nesterov", "mnist:long --optimizer nesterov"]
    assert names == ["mnist", "mnist:long", *networks, *optimizers]
    resolved = preparation.settings_of(entry, names, {"network": "resnet20"})[0]
    assert (resolved.optimizer, resolved.lr) == ("nesterov", entry.tuned["* --optimizer nesterov"]["lr"])
    names = preparation.preset_names(entry, "mnist", None, {"optimizer": "sgd"})
    assert preparation.settings_of(entry, names, {"optimizer": "sgd"})[0].lr == entry.tuned["* --optimizer sgd"]["lr"]
    own = preparation.settings_of(entry, names, {"optimizer": "sgd", "lr": 0.3})[0]
    assert own.lr == 0.3


@pytest.mark.parametrize("spelling", ["resnet20", "ResNet20", "resnet-20"])
def test_presets_of_a_network_are_found_by_every_spelling_of_it(spelling):
    names = preparation.preset_names(catalog.find("classify"), "mnist", None, {"network": spelling})
    assert "mnist --network resnet20" in names
    assert "mnist --optimizer nesterov" in names


@pytest.mark.parametrize("entry", catalog.CATALOG.values(), ids=catalog.CATALOG)
def test_every_algorithm_implements_the_protocol_of_its_kind(entry):
    assert missing(entry.algorithm, getattr(protocols, entry.kind.name.title())) == []


def test_a_setting_without_an_effect_counts_as_no_change():
    config = catalog.find("dqn").config
    assert preparation.changed(config(lr_steps=5, gamma=0.5)) == {"gamma": 0.5}
    assert preparation.changed(config(lr_steps=5, schedule="step")) == {"lr_steps": 5, "schedule": "step"}


def test_typed_settings_without_an_effect_or_in_contradiction_are_refused():
    dqn, gan, setup = catalog.find("dqn"), catalog.find("gan"), Setup()
    with pytest.raises(UserError, match="--lr-steps has no effect: it belongs to a --schedule"):
        preparation.make(dqn, "CartPole", dqn.config(lr_steps=5, width=4), setup, ["lr_steps"])
    with pytest.raises(UserError, match="--loss wgan: nothing bounds the critic"):
        preparation.make(gan, "digits", gan.config(loss="wgan", spectral_norm=False), setup, [])
    preparation.make(dqn, "CartPole", dqn.config(lr_steps=5, width=4), setup)  # as a saved run has them
