"""Explanations of one picture."""

import numpy as np
import pytest

from rlgen.core.errors import UserError
from rlgen.explain.maps import MAPS, compare
from rlgen.explain.subjects import subject_of
from rlgen.ui.actions.explain import explained, subject
from tests.explain.test_subject import classifier
from tests.explain.test_subjects import gan, pixel_agent


class Trained:
    """A classifier of the tests of explanations, with a time."""

    def __init__(self):
        self.__dict__.update(vars(classifier()))
        self.time = 100


def test_the_choices_are_those_of_the_network():
    agent = pixel_agent()
    found = subject(agent, {}, {})
    whole = subject_of(agent, "run")
    assert (found["networks"], found["output"], found["classes"]) == (
        ["Q-network"],
        "action",
        ["left", "stay", "right"],
    )
    assert [method["name"] for method in found["methods"]] == list(MAPS)
    index = whole.choose(24, 0)
    assert found["decided"] == [whole.classes[k] for k in whole.labels[index].tolist()]
    assert len(found["pictures"]) == len(index)
    assert found["pictures"][0].startswith("data:image/png;base64,")


def test_a_discriminator_comes_before_the_feature_classifier():
    found = subject(gan(), {}, {})
    assert found["networks"] == ["discriminator", "features"]
    assert set(found["labels"]) == {"real", "generated"}


def test_a_run_without_a_network_of_images_has_a_reason_instead():
    class Table:
        """An agent without a network."""

    assert subject(Table(), {}, {}) == {
        "unavailable": "this run has no network to explain: its values are a table or distances to examples"
    }
    with pytest.raises(UserError, match="no network"):
        explained(Table(), {"picture": 0, "method": "saliency"}, {})


@pytest.mark.parametrize("build", [Trained, pixel_agent, gan])
def test_maps_are_those_of_the_method_and_their_rank_correlations(build):
    trained = build()
    found = explained(trained, {"picture": 2, "target": 1, "method": "saliency"}, {})
    whole = subject_of(trained, "run")
    x = whole.normalize(whole.images[whole.choose(24, 0)[2:3]])
    maps = compare(MAPS["saliency"], whole, x, whole.labels.new_tensor([1]), 0, lambda done: None)
    for name in ("trained", "random"):
        expected = getattr(maps, name)[0]
        values = np.array(found[name]).reshape(found["height"], found["width"])
        np.testing.assert_allclose(values, expected / expected.abs().max(), atol=6e-4)
    assert found["correlations"] == pytest.approx({stage: maps.correlation(stage) for stage in maps.correlations})
    assert found["target"] == whole.classes[1]
    assert found["passed"] == (not maps.verdict.startswith("FAILS"))
    assert maps.verdict in found["sentence"]
    assert f"{maps.correlation('all'):.2f}" in found["sentence"]


def test_the_decided_class_is_the_default():
    trained = Trained()
    whole = subject_of(trained, "run")
    x = whole.normalize(whole.images[whole.choose(1, 0)])
    assert explained(trained, {"method": "occlusion"}, {})["target"] == whole.classes[int(whole.decide(x)[0])]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"method": "magic"}, "method must be saliency or"),
        ({"target": 10}, "target must be a whole number from -1 to 9"),
        ({"picture": 24}, "picture must be a whole number from 0 to 23"),
        ({"network": "features"}, "network must be classifier"),
    ],
)
def test_requests_that_make_no_sense_are_refused(request_, message):
    with pytest.raises(UserError, match=message):
        explained(Trained(), request_, {})
