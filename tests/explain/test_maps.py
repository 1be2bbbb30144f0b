import math

import pytest
import torch
from torch import nn

from rlgen.explain.gradients import saliency
from rlgen.explain.maps import MAPS, MapMethod, Maps, compare, enlarged, networks_needed, stages, strongest_channel
from rlgen.explain.sanity import rank_correlation
from rlgen.explain.subjects import subject_of
from tests.explain.by_hand import convolutional, linear
from tests.explain.test_subject import classifier


def subject(network=None):
    return subject_of(classifier(), "run") if network is None else network


def compared(method, n=3):
    thing = subject()
    x = thing.normalize(thing.images[:n])
    calls = []
    found = compare(method, thing, x, torch.arange(n), 0, calls.append)
    return thing, x, found, calls


def test_a_map_of_the_image_alone_fails():
    edges = MapMethod(lambda subject, network, x, target, seed: x, "Edges", "brightness")
    _, _, found, _ = compared(edges)
    assert found.correlation("all") == pytest.approx(1.0)
    assert found.verdict == "FAILS: much the same without training"


def test_the_saliency_passes_and_is_that_of_the_network():
    thing, x, found, calls = compared(MAPS["saliency"])
    assert torch.equal(found.trained, saliency(thing.network, x, torch.arange(3))[:, 0])
    assert torch.equal(found.random, saliency(thing.fresh(0), x, torch.arange(3))[:, 0])
    first = rank_correlation(found.trained, found.random)
    assert found.correlation("all") == pytest.approx(first.mean().item(), abs=0.3)
    assert "FAILS" not in found.verdict
    assert sum(calls) == networks_needed(thing.network)


def test_the_verdict_names_the_weights_whose_change_leaves_a_map_alike():
    def maps(**stages):
        values = {name: torch.tensor([value, value]) for name, value in stages.items()}
        return Maps(torch.rand(2, 4, 4), torch.rand(2, 4, 4), values)

    assert maps(head=0.6, all=0.5).verdict == "FAILS: much the same without training"
    assert maps(head=0.6, all=0.1).verdict == "FAILS in part: much the same with a random head"
    assert maps(head=0.6, half=0.5, all=0.1).verdict == "FAILS in part: much the same with a random upper half"
    assert maps(head=0.3, all=0.3).verdict == "depends on training in part"
    assert maps(head=0.2, all=-0.6).verdict == "depends on training"
    assert maps(head=math.nan, all=0.1).verdict == "depends on training"
    assert maps(all=math.nan).verdict == "undecided"


def test_constant_maps_are_counted():
    trained = torch.rand(3, 4, 4)
    trained[1] = 0
    found = Maps(trained, torch.rand(3, 4, 4), {"all": torch.tensor([0.1, math.nan, 0.3])})
    assert found.correlation("all") == pytest.approx(0.2)
    assert found.verdict == "depends on training; 1 of 3 maps are constant"


def test_stages_of_a_network():
    assert stages(convolutional()) == {"head": 4, "half": 2, "all": 0}  # conv1, pool1, conv2, flatten
    assert stages(linear()) == {"all": 0}
    assert networks_needed(linear()) == 4


def test_the_strongest_channel_keeps_its_sign():
    maps = torch.tensor([[[[1.0, -2.0]], [[-3.0, 1.5]]]])
    assert strongest_channel(maps).tolist() == [[[-3.0, -2.0]]]


def test_small_maps_are_enlarged():
    maps = torch.rand(2, 1, 4, 4)
    assert enlarged(maps, torch.Size((8, 8))).shape == (2, 8, 8)
    assert torch.equal(enlarged(maps, torch.Size((4, 4))), maps[:, 0])


@pytest.mark.parametrize("name", MAPS)
def test_every_method_gives_a_map_per_image(name):
    if name in ("integrated", "smooth"):
        pytest.importorskip("captum.attr", reason="captum is not installed: pip install 'rlgen[explain]'")
    thing = subject()
    x = thing.normalize(thing.images[:2])
    found = MAPS[name].compute(thing, thing.network, x, torch.tensor([3, 5]), 0)
    assert found.shape[:2] == (2, 1)
    assert found.isfinite().all()
    assert MAPS[name].signed or (found >= 0).all()
    assert isinstance(thing.network, nn.Module)
