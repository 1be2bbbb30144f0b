"""Training speed over a few steps."""

import torch
from torch import nn

from rlgen.networks import speed
from rlgen.networks.speed import Speed, batch_size, measure


def test_a_step_of_bounded_work_and_memory():
    assert batch_size(400_000, 5_000) == 128
    assert batch_size(15_470_000_000, 15_000_000) == 2
    assert 2 < batch_size(1_814_000_000, 2_500_000) < 30
    assert batch_size(1, 10_000_000) == 7


def test_steps_are_counted_over_the_time(monkeypatch):
    clock = iter(range(0, 1_000))  # each look at the clock takes a quarter of a second
    monkeypatch.setattr(speed.time, "perf_counter", lambda: next(clock) / 4)
    calls = []
    network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(16), nn.Linear(16, 3))
    network.register_forward_hook(lambda module, x, out: calls.append((len(x[0]), module.training)))
    found = measure(network, (1, 4, 4), 8)
    assert found.steps == 3
    assert calls == [(8, True)] * 4  # the first is not timed
    assert found.images_per_second == 8 * 3 / 1.25
    assert network[2].weight.grad is not None
    assert found.threads == torch.get_num_threads()


def test_minutes_of_an_epoch():
    assert Speed(500.0, 32, 4, 2).minutes(60_000) == 2.0
