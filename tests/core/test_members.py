import copy

import pytest
import torch
from torch import nn

from rlgen.core.layers import BatchNorm2d, Dropout
from rlgen.core.members import Members
from rlgen.core.seeds import Conv2d, Linear, Seeds


class Flat(nn.Module):
    def forward(self, x):
        return x.flatten(-3)


def build():
    return nn.Sequential(Conv2d(2, 3, 3), nn.ReLU(), Flat(), Linear(48, 4))


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def pair(count=3):
    torch.manual_seed(0)
    members = Members(build, count)
    seeds = Seeds(build, count)
    seeds.load_state_dict(members.state_dict())
    return members, seeds, torch.randn(count, 5, 2, 6, 6)


def gradients(network, x):
    out = network(x)
    return out, torch.autograd.grad(out.square().sum(), list(network.parameters()))


def test_outputs_and_gradients_are_those_of_seeds(threads):
    members, seeds, x = pair()
    (one, one_gradients), (other, other_gradients) = gradients(members, x), gradients(seeds, x)
    torch.testing.assert_close(one, other)
    for a, b in zip(one_gradients, other_gradients, strict=True):
        torch.testing.assert_close(a, b)


def test_results_do_not_depend_on_the_number_of_threads():
    results = []
    for threads in (1, 2):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        results.append(gradients(*pair()[::2]))
        torch.set_num_threads(before)
    (one, one_gradients), (other, other_gradients) = results
    assert torch.equal(one, other)
    assert all(torch.equal(a, b) for a, b in zip(one_gradients, other_gradients, strict=True))


def test_an_optimiser_changes_every_copy(threads):
    members, _, x = pair()
    before = members(x)
    optimizer = torch.optim.SGD(members.parameters(), 0.1)
    members(x).sum().backward()
    optimizer.step()
    assert (members(x) - before).abs().amax((1, 2)).min() > 0


def test_frozen_weights_have_no_gradient(threads):
    members, _, x = pair()
    members(x)  # copies exist before the weights are frozen
    members.network[0].requires_grad_(False)
    members(x).sum().backward()
    assert [p.grad is None for p in members.parameters()] == [True, True, False, False]


def test_copies_follow_new_weights_modes_and_deep_copies(threads):
    torch.manual_seed(0)
    members = Members(lambda: nn.Sequential(Conv2d(3, 3, 1), BatchNorm2d(3)), 2)
    x = torch.randn(2, 8, 3, 2, 2)
    members(x)
    assert members.network[1].running_mean.abs().amin(1).min() > 0  # buffers of every copy change in training
    average = copy.deepcopy(members).eval()
    with torch.no_grad():
        kept = average(x)
        for weight in members.parameters():
            weight.zero_()
        assert torch.equal(average(x), kept)
        assert members(x).abs().max() == 0
    members.load_state_dict(average.state_dict())
    torch.testing.assert_close(members.eval()(x), kept)


def test_one_copy_is_the_plain_network():
    members, seeds, x = pair(1)
    assert torch.equal(members(x), seeds(x))


def test_random_draws_keep_the_order_of_a_stack():
    members = pair()[0]
    assert members.separable()
    members.network.append(Dropout(0.5))
    assert not members.separable()
    assert members.eval().separable()
    assert not Members(lambda: nn.Sequential(Linear(3, 3)), 2).separable()


def test_weights_that_are_learned_again_have_gradients(threads):
    members, _, x = pair()
    members.network[0].requires_grad_(False)
    members(x).sum().backward()
    members.network[0].requires_grad_(True)
    members(x).sum().backward()
    assert all(p.grad is not None for p in members.parameters())
