from dataclasses import fields

import pytest

from rlgen import data
from rlgen.catalog import CATALOG
from rlgen.core.config import resolve
from rlgen.core.settings import Plan
from rlgen.generative.presets import TUNED
from rlgen.kinds import MODEL

MODELS = {name: entry for name, entry in CATALOG.items() if entry.kind is MODEL}
CASES = [(name, task) for name, presets in TUNED.items() for task in presets]


def test_presets_are_of_models_and_datasets():
    assert set(TUNED) <= set(MODELS)
    for _, task in CASES:
        assert task == "folder*" or data.resolve(task.partition(":")[0]) == task.partition(":")[0]


@pytest.mark.parametrize(("name", "task"), CASES)
def test_a_preset_consists_of_valid_settings(name, task):
    entry, preset = MODELS[name], TUNED[name][task]
    known = {field.name for settings in (entry.config, Plan) for field in fields(settings)}
    assert set(preset) <= known
    layers = entry.presets(task.partition(":")[0], task)
    config, plan = (resolve(settings, *layers) for settings in (entry.config, Plan))
    if hasattr(config, "check"):
        config.check(())
    for setting, value in preset.items():
        assert getattr(config, setting, None) == value or getattr(plan, setting, None) == value
    if "lr_steps" in preset:
        assert plan.budget == config.lr_steps  # the learning rate is lowest at the end


@pytest.mark.parametrize("entry", MODELS.values(), ids=MODELS)
def test_measured_scores_are_of_known_tasks(entry):
    for task, score in entry.expected.items():
        assert data.resolve(task.partition(":")[0]) in task
        assert any(character.isdigit() for character in score)
    assert "mnist" in entry.expected
