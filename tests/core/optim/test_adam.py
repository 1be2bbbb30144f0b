"""Adam and AdamW, beside torch's own."""

import copy

import pytest
import torch
from torch import nn

from rlgen.core import checkpoint
from rlgen.core.optim.adam import Adam
from rlgen.core.optim.flat import flat

SETTINGS = (0.05, (0.8, 0.99), 1e-3)


def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))


def groups(module, decay):
    weights = list(module.parameters())
    return [{"params": weights[::2], "weight_decay": decay}, {"params": weights[1::2], "weight_decay": 0.0}]


def train(module, optimizer, steps, buffers=None):
    stream = torch.Generator().manual_seed(1)
    for _ in range(steps):
        module.zero_grad()
        (module(torch.randn(4, 3, generator=stream)) - 1).square().sum().backward()
        if buffers is not None:
            buffers.gather()
        optimizer.step()


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_steps_are_those_of_torch(decoupled, decay):
    mine, theirs = build(), build()
    reference = torch.optim.AdamW if decoupled else torch.optim.Adam
    train(mine, Adam(groups(mine, decay), *SETTINGS, decoupled=decoupled), 5)
    train(theirs, reference(groups(theirs, decay), *SETTINGS, fused=True), 5)
    for own, other in zip(mine.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(own, other)


@pytest.mark.parametrize("in_one_buffer", [False, True])
def test_states_are_exchanged_with_torch(in_one_buffer, tmp_path):
    """Also those of a checkpoint: earlier versions saved the state of torch.optim.Adam."""
    mine, theirs = build(), build()

    def adam(module):
        buffers = flat(list(module.parameters()), 1) if in_one_buffer else None
        return Adam([{"params": list(module.parameters()), "scale": 1.0}], *SETTINGS, flat=buffers), buffers

    own, buffers = adam(mine)
    other = torch.optim.Adam([{"params": list(theirs.parameters()), "scale": 1.0}], *SETTINGS, fused=True)
    train(theirs, other, 3)
    checkpoint.save(tmp_path / "1", {"module": theirs.state_dict(), "optimizer": other.state_dict()})
    saved = checkpoint.load(tmp_path / "1")
    mine.load_state_dict(saved["module"])
    own.load_state_dict(saved["optimizer"])
    train(mine, own, 2, buffers)
    checkpoint.save(tmp_path / "2", {"module": mine.state_dict(), "optimizer": own.state_dict()})
    anew = build()
    back = torch.optim.Adam([{"params": list(anew.parameters())}], 1.0, fused=True)
    saved = checkpoint.load(tmp_path / "2")
    anew.load_state_dict(saved["module"])
    back.load_state_dict(saved["optimizer"])
    train(theirs, other, 2)
    train(theirs, other, 2)
    train(anew, back, 2)
    for weight, expected in zip(anew.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(weight, expected)
    assert {float(state["step"]) for state in back.state.values()} == {7.0}


def test_a_weight_without_a_gradient_stays():
    module = build()
    optimizer = Adam([{"params": list(module.parameters())}], *SETTINGS)
    before = copy.deepcopy(module)
    module[0].bias.sum().backward()
    optimizer.step()
    changed = [not torch.equal(a, b) for a, b in zip(before.parameters(), module.parameters(), strict=True)]
    assert changed == [False, True, False, False]
    assert list(optimizer.state_dict()["state"]) == [1]


def test_a_step_is_skipped_where_a_gradient_is_not_finite():
    module = build()
    optimizer = Adam([{"params": list(module.parameters())}], *SETTINGS)
    train(module, optimizer, 2)
    before = copy.deepcopy((module.state_dict(), optimizer.state_dict()["state"]))
    optimizer.found_inf = torch.tensor(1.0)
    train(module, optimizer, 1)
    assert str((module.state_dict(), optimizer.state_dict()["state"])) == str(before)


def test_a_state_of_other_weights_is_refused():
    optimizer, other = (Adam([{"params": [nn.Parameter(torch.ones(n))]}], *SETTINGS) for n in (2, 3))
    for each in (optimizer, other):
        (weight,) = each.param_groups[0]["params"]
        weight.grad = torch.ones_like(weight)
        each.step()
    with pytest.raises(ValueError, match=r"exp_avg of Adam has the shape \(3,\), not \(2,\)"):
        optimizer.load_state_dict(other.state_dict())
    with pytest.raises(ValueError, match="for other weights"):
        optimizer.load_state_dict(Adam(groups(build(), 0.0), *SETTINGS).state_dict())
    saved = optimizer.state_dict()
    del saved["state"][0]["exp_avg_sq"]
    with pytest.raises(KeyError, match="exp_avg_sq"):
        optimizer.load_state_dict(saved)
