import copy

import numpy as np
import pytest
import torch
from torch import nn

from rlgen.core import checkpoint
from rlgen.core.state import Stateful


class Part(Stateful):
    state = ("count", "rng")

    def __init__(self, seed):
        self.count, self.rng = seed, np.random.default_rng(seed)


class Everything(Stateful):
    state = (
        "number", "real", "word", "flag", "nothing", "tensor", "array", "scalar", "mask", "numpy_rng", "torch_rng",
        "part", "module", "optimizer", "numbers", "tree",
    )  # fmt: skip

    def __init__(self, seed):
        torch.manual_seed(seed)
        self.number, self.real, self.word, self.flag, self.nothing = seed, seed / 3, f"é{seed}", bool(seed), None
        self.tensor, self.array = torch.randn(2, 3), np.random.default_rng(seed).normal(size=(3, 2))
        self.scalar, self.mask = np.array(seed, np.float32), np.arange(4) % 2 == seed % 2
        self.numpy_rng, self.torch_rng = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
        self.part = Part(seed)
        self.module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
        self.optimizer = torch.optim.Adam(self.module.parameters(), lr=0.01 * (seed + 1), fused=True)
        self.numbers, self.tree = [seed, seed + 1], {"a": [torch.full((2,), float(seed))], 3: (seed, None)}
        for _ in range(seed):
            self.step()

    def step(self):
        self.optimizer.zero_grad()
        self.module(torch.randn(8, 2, generator=self.torch_rng)).square().sum().backward()
        self.optimizer.step()
        self.tensor += float(self.numpy_rng.normal() + self.part.rng.normal())
        self.array -= 1
        self.number += 1

    def plain(self):
        return repr([self.__dict__[name] for name in ("number", "real", "word", "flag", "nothing", "numbers", "tree")])


@pytest.mark.parametrize("through", [copy.deepcopy, "disk"])
def test_a_restored_object_continues_like_the_original(through, tmp_path):
    original, other = Everything(5), Everything(2)
    saved = original.state_dict()
    if through == "disk":
        checkpoint.save(tmp_path / "1", saved)
        saved = checkpoint.load(tmp_path / "1")
    else:
        saved = through(saved)
    other.load_state_dict(saved)
    for _ in range(3):
        original.step()
        other.step()
    assert other.plain() == original.plain()
    assert torch.equal(other.tensor, original.tensor)
    for name in ("array", "scalar", "mask"):
        assert np.array_equal(getattr(other, name), getattr(original, name))
        assert getattr(other, name).dtype == getattr(original, name).dtype
    for ours, theirs in zip(other.module.state_dict().values(), original.module.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
    assert other.optimizer.param_groups[0]["lr"] == original.optimizer.param_groups[0]["lr"]
    assert other.optimizer.param_groups[0]["betas"] == original.optimizer.param_groups[0]["betas"]
    assert other.numpy_rng.integers(2**60) == original.numpy_rng.integers(2**60)
    assert other.part.rng.integers(2**60) == original.part.rng.integers(2**60)
    assert other.part.count == 5


def test_shared_memory_stays_shared():
    """Acting in numpy shares the memory of the weights: restoring must write in place."""
    thing = Everything(1)
    weights, array = thing.module[0].weight.detach().numpy(), thing.array
    thing.load_state_dict(copy.deepcopy(Everything(4).state_dict()))
    assert thing.array is array
    assert np.array_equal(weights, Everything(4).module[0].weight.detach().numpy())


def test_saving_changes_nothing():
    watched, control = Everything(3), Everything(3)
    watched.state_dict()
    watched.step()
    control.step()
    assert torch.equal(watched.tensor, control.tensor)
    assert watched.numpy_rng.bit_generator.state == control.numpy_rng.bit_generator.state


@pytest.mark.parametrize("change", [lambda s: s.pop("array"), lambda s: s.update(stranger=1)])
def test_other_names_are_refused_before_anything_changes(change):
    thing, saved = Everything(1), Everything(2).state_dict()
    change(saved)
    with pytest.raises(KeyError, match="Everything has the state"):
        thing.load_state_dict(saved)
    assert thing.plain() == Everything(1).plain()


@pytest.mark.parametrize("name", ["tensor", "array", "scalar"])
def test_another_shape_is_refused_even_where_it_could_be_broadcast(name):
    saved = Everything(2).state_dict()
    saved[name] = torch.zeros(1, 1)
    with pytest.raises(ValueError, match=r"shape \(1, 1\) where"):
        Everything(1).load_state_dict(saved)


class ChannelsLast(Stateful):
    """Fused Adam requires weights and moments of equal strides."""

    state = ("module", "optimizer")

    def __init__(self):
        torch.manual_seed(0)
        self.module = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.module.parameters(), fused=True)

    def step(self, seed):
        self.optimizer.zero_grad()
        x = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
        self.module(x).pow(3).sum().backward()
        self.optimizer.step()


def test_channels_last_weights_continue_from_a_checkpoint(tmp_path):
    straight, resumed = ChannelsLast(), ChannelsLast()
    straight.step(0)
    checkpoint.save(tmp_path / "1", straight.state_dict())
    resumed.load_state_dict(checkpoint.load(tmp_path / "1"))
    for seed in (1, 2):
        straight.step(seed)
        resumed.step(seed)
    assert torch.equal(straight.module.weight, resumed.module.weight)
