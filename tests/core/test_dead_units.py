import pytest
import torch
from torch import nn

from rlgen.core.dead_units import dead_relus, dead_units


def network(bias):
    """A linear layer of three units, of which the first is dead at a bias of -100, and a convolution before it."""
    linear = nn.Linear(4, 3)
    linear.bias.data[0] = bias
    return nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(inplace=True), nn.Flatten(), linear, nn.ReLU())


def test_units_that_are_zero_on_every_input_are_counted():
    torch.manual_seed(0)
    dead = network(-100.0)
    dead[0].weight.data.fill_(1.0)
    dead[0].bias.data.fill_(0.0)
    dead[3].weight.data.copy_(torch.eye(4)[:3])
    x = torch.rand(8, 1, 2, 2)
    assert dead_units(dead, x) == {"1": (0, 1), "4": (1, 3)}
    assert dead_units(dead, -x)["1"] == (1, 1)
    assert all(not module._forward_hooks for module in dead.modules())
    assert dead.training


def test_a_unit_of_a_recurring_layer_is_dead_only_if_it_is_in_every_call():
    relu = nn.ReLU()

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu = relu

        def forward(self, x):
            return self.relu(x) + self.relu(-x)

    assert dead_units(Twice(), torch.tensor([[1.0, 0.0]])) == {"relu": (1, 2)}


@pytest.mark.parametrize(
    ("counts", "severity"),
    [
        ({"a": (1, 10), "b": (2, 10)}, None),
        ({"a": (6, 10), "b": (2, 10)}, "note"),
        ({"a": (0, 100), "b": (10, 10)}, "problem"),
        ({}, None),
    ],
)
def test_the_finding_names_the_worst_layer(counts, severity):
    found = list(dead_relus("encoder", counts, "rlgen vae mnist"))
    assert [finding.severity for finding in found] == ([] if severity is None else [severity])
    if severity:
        dead, units = map(sum, zip(*counts.values(), strict=True))
        assert found[0].number == pytest.approx(dead / units)
        worst = max(counts, key=lambda name: counts[name][0] / counts[name][1])
        assert f"layer {worst}" in found[0].text
        assert found[0].command == "rlgen vae mnist"
