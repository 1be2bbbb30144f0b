"""The table of what can be trained."""

import pytest

from rlgen import catalog
from rlgen.catalog import CATALOG, TOPICS
from rlgen.core.errors import UserError
from rlgen.kinds import AGENT, KINDS, MODEL


@pytest.mark.parametrize("entry", CATALOG.values(), ids=CATALOG)
def test_an_entry_leads_to_its_class_and_its_settings(entry):
    assert entry.algorithm.Config is entry.config
    assert entry.name == entry.name.lower()
    assert entry.summary.endswith(")")  # with its source
    entry.kind.tasks.resolve(entry.task)


def test_an_entry_is_found_in_any_case():
    assert catalog.find("DQN") is CATALOG["dqn"]
    with pytest.raises(UserError, match="no algorithm 'dqm': did you mean dqn"):
        catalog.find("dqm")
    with pytest.raises(UserError, match="no algorithm 'zzzz': there are dqn, c51"):
        catalog.find("zzzz")


def test_layers_of_presets_go_from_the_parent_to_the_special_one():
    layers = CATALOG["c51"].presets("CartPole")
    assert CATALOG["c51"].preset in layers
    assert layers.index(CATALOG["dqn"].tuned["CartPole"]) < layers.index(CATALOG["c51"].preset)
    assert CATALOG["pixelcnn"].presets("mnist", "mnist:long")[-1] is CATALOG["pixelcnn"].tuned["mnist:long"]
    assert CATALOG["dqn"].tuned["ALE/*"] in CATALOG["dqn"].presets("Pong", "ALE/Pong-v5")


def test_the_first_algorithm_of_a_kind_is_its_example():
    assert (catalog.first(AGENT).name, catalog.first(MODEL).name) == ("dqn", "ae")


def test_the_tables_of_the_list():
    assert TOPICS == ("agents", "models", "classifiers", "envs", "data", "networks", "presets")


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_kind_has_a_room_and_an_article(kind):
    assert kind.article.endswith(f" {kind.name}")
    name = next(iter(kind.tasks.listing()))[0]
    assert kind.tasks.short(kind.tasks.resolve(name)) == name
    assert not kind.fallback or kind.tasks.resolve(kind.fallback) == kind.fallback


@pytest.mark.parametrize("entry", CATALOG.values(), ids=CATALOG)
def test_measured_scores_are_of_tasks_that_exist(entry):
    for task, score in entry.expected.items():
        entry.kind.tasks.resolve(task.split(" --")[0].split(":")[0])
        assert any(character.isdigit() for character in score)
