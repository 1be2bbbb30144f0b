import pytest
import torch

from rlgen.core.optim import eager

RULES = {
    "SGD": {"fused": True},
    "Adam": {"fused": True, "betas": (0.8, 0.99), "weight_decay": 0.1},
    "RMSprop": {"foreach": True, "alpha": 0.9},
    "Adagrad": {"fused": True},
}
GRADIENTS = torch.randn(6, 3, 5, generator=torch.Generator().manual_seed(0)).unbind()


def steps(optimizer, weight, gradients):
    path = []
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()
        path.append(weight.detach().clone())
    return torch.stack(path)


def made(module, name):
    weight = torch.nn.Parameter(torch.ones(3, 5))
    return getattr(module, name)([{"params": [weight], "scale": 2.0}], 0.01, **RULES[name]), weight


@pytest.mark.parametrize("name", RULES)
def test_steps_and_state_are_those_of_torch_to_the_bit(name):
    ours, theirs = made(eager, name), made(torch.optim, name)
    assert torch.equal(steps(*ours, GRADIENTS), steps(*theirs, GRADIENTS))
    assert isinstance(ours[0], type(theirs[0]))
    assert str(ours[0].state_dict()) == str(theirs[0].state_dict())


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(("first", "then"), [(eager, torch.optim), (torch.optim, eager)])
def test_the_state_of_either_continues_in_the_other(name, first, then):
    expected = steps(*made(torch.optim, name), GRADIENTS)
    before, weight = made(first, name)
    steps(before, weight, GRADIENTS[:3])
    after, copy = made(then, name)
    copy.data.copy_(weight.data)
    after.load_state_dict(before.state_dict())
    assert torch.equal(steps(after, copy, GRADIENTS[3:]), expected[3:])


@pytest.mark.parametrize("name", RULES)
def test_gradients_are_cleared_and_recorded_outside_of_a_step(name):
    optimizer, weight = made(eager, name)
    weight.square().sum().backward()
    optimizer.step()
    assert torch.is_grad_enabled()
    assert weight.requires_grad
    optimizer.zero_grad()
    assert weight.grad is None
