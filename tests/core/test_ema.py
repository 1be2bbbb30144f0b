import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rlgen import data
from rlgen.core.ema import average_of, decay_at, update_ema


def test_the_ema_holds_weights_and_batch_statistics():
    module = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    average, before = copy.deepcopy(module), copy.deepcopy(module)
    module(torch.randn(8, 3))
    nn.init.ones_(module[0].weight)
    update_ema(average, module, 0.75)
    torch.testing.assert_close(average[0].weight, 0.75 * before[0].weight + 0.25)
    torch.testing.assert_close(average[1].running_mean, 0.25 * module[1].running_mean)
    assert average[1].num_batches_tracked == 1
    update_ema(average, module, 0.0)
    for averaged, current in zip(average.state_dict().values(), module.state_dict().values(), strict=True):
        assert torch.equal(averaged, current)


def test_the_average_has_no_gradients_and_no_shared_memory():
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = average_of(module)
    assert not average.training
    assert not any(p.requires_grad for p in average.parameters())
    assert module.training
    nn.init.zeros_(module[0].weight)
    assert average[0].weight.abs().min() > 0


def test_the_ema_is_of_the_tensors_of_a_checkpoint_each_once():
    """A layer that is used twice moves once; a buffer that is not saved stays that of its own module."""
    layer = nn.Linear(2, 2, bias=False)
    module = nn.Sequential(layer, layer)
    module.register_buffer("scratch", torch.ones(3), persistent=False)
    average = average_of(module)
    nn.init.ones_(average[0].weight)
    nn.init.zeros_(average.scratch)
    nn.init.zeros_(layer.weight)
    update_ema(average, module, 0.75)
    assert (average[0].weight == 0.75).all()
    assert not average.scratch.any()


def test_the_decay_rises_to_its_setting():
    assert [decay_at(step, 0.5) for step in (1, 10, 1_000)] == pytest.approx([1 / 11, 0.5, 0.5])


def accuracy(network, x, y):
    with torch.no_grad():
        return (network(x).argmax(1) == y).float().mean().item()


def test_averaged_batch_statistics_fit_the_averaged_weights():
    """Accuracy within a point of that with statistics estimated anew; with the initial statistics it collapses."""
    dataset = data.load("digits", "train")
    x, y = dataset.images.float() / 255, dataset.labels
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(),
        nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip
    average, initial = average_of(network), copy.deepcopy(network)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for step in range(1, 151):
        index = torch.randint(len(x), (100,))
        optimizer.zero_grad()
        F.cross_entropy(network(x[index]), y[index]).backward()
        optimizer.step()
        update_ema(average, network, decay_at(step, 0.98))
    anew, without = copy.deepcopy(average), copy.deepcopy(average)
    for layer in (anew[2], anew[5]):
        layer.reset_running_stats()
        layer.momentum = None  # the mean over all batches
    anew.train()
    with torch.no_grad():
        anew(x)
    anew.eval()
    for layer in (2, 5):
        without[layer].running_mean.copy_(initial[layer].running_mean)
        without[layer].running_var.copy_(initial[layer].running_var)
    assert accuracy(average, x, y) == pytest.approx(accuracy(anew, x, y), abs=0.01)
    assert accuracy(average, x, y) > 0.95
    assert accuracy(without, x, y) < accuracy(average, x, y) - 0.05
