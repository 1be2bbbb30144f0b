"""LeNet-5 of 1998: its sparse convolution, subsampling and outputs against slow forms of the paper."""

import pytest
import torch
import torch.nn.functional as F

from rlgen.networks import build
from rlgen.networks.lenet import TABLE, Distances, ScaledTanh, SparseConv2d, Subsampling


def test_the_table_of_connections():
    assert [len(row) for row in TABLE] == [3] * 6 + [4] * 9 + [6]
    assert sum(map(len, TABLE)) == 60
    assert all(sum(before in row for row in TABLE) == 10 for before in range(6))


def test_each_map_of_c3_takes_the_maps_of_its_row_alone():
    layer, x = SparseConv2d(), torch.randn(2, 6, 9, 9)
    torch.nn.init.normal_(layer.weight)
    out, kernels = layer(x), iter(layer.weight)
    for after, row in enumerate(TABLE):
        expected = sum(F.conv2d(x[:, [before]], next(kernels)[None]) for before in row) + layer.bias[after]
        torch.testing.assert_close(out[:, [after]], expected, rtol=1e-4, atol=1e-4)


def test_subsampling_sums_windows():
    layer, x = Subsampling(2), torch.arange(32.0).view(1, 2, 4, 4)
    torch.nn.init.constant_(layer.coefficient, 0.5)
    torch.nn.init.constant_(layer.bias, 3.0)
    assert layer(x)[0, 0, 0, 0].item() == pytest.approx(0.5 * (0 + 1 + 4 + 5) + 3)


def test_the_scaled_tanh_is_1_at_1():
    assert ScaledTanh()(torch.tensor([-1.0, 0.0, 1.0])).tolist() == pytest.approx([-1, 0, 1], abs=1e-4)


def test_outputs_are_distances_to_codes():
    head = Distances(3)
    assert set(head.codes.unique().tolist()) == {-1.0, 1.0}
    assert head(head.codes).diagonal().tolist() == [0.0, 0.0, 0.0]
    x = torch.randn(5, 84)
    torch.testing.assert_close(head(x), -torch.cdist(x, head.codes).square(), rtol=1e-4, atol=1e-3)
    assert list(head.parameters()) == []


def test_initial_weights_are_uniform_with_a_bound_of_the_fan_in():
    network = build("lenet5-1998", (1, 32, 32), 10)
    layers = [network.body.C1[0], network.body.C5[0], network.body.F6[0]]
    for layer, inputs in zip(layers, (25, 400, 120), strict=True):
        assert layer.weight.abs().max().item() == pytest.approx(2.4 / inputs, rel=0.05)
    sparse = network.body.C3[0].weight.flatten(1).abs().amax(1)
    assert sparse[:18].max().item() <= 2.4 / 75
    assert sparse[-6:].max().item() <= 2.4 / 150


def test_it_learns():
    torch.manual_seed(0)
    network, x, y = build("lenet5-1998", (1, 16, 16), 10), torch.randn(64, 1, 16, 16), torch.arange(64) % 10
    optimizer = torch.optim.Adam(network.parameters(), 5e-3)
    for _ in range(150):
        loss = F.cross_entropy(network(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3
