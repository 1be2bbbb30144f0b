from dataclasses import replace

import pytest
import torch

from rlgen.generative.autoregressive.causal import channel_groups
from rlgen.generative.autoregressive.gated import GatedBlock, GatedStacks, gate
from tests.generative.autoregressive.cases import GATED, PYRAMID, binary_images, build_network, dependencies, perturb


@pytest.mark.parametrize("shape", [(1, 6, 6), (3, 3, 4)])
def test_gated_stacks_have_no_blind_spot(shape):
    network = build_network(replace(GATED, blocks=5, first_kernel=3, width=48, head_width=96), shape)
    size = torch.Size(shape).numel()
    assert torch.equal(dependencies(network, shape) != 0, torch.ones(size, size).tril(-1).bool())


def test_a_gate_is_tanh_times_sigmoid():
    x = torch.tensor([[0.5, -1.0, 2.0, 0.0]])
    expected = torch.tensor([[0.5, -1.0]]).tanh() / (1 + torch.tensor([[-2.0, 0.0]]).exp())
    torch.testing.assert_close(gate(x), expected)


def test_a_block_is_the_equation_of_the_paper():
    """v' = gate(a), h' = h + 1×1(gate(U ∗ h + 1×1(a))), a = W ∗ v, with a bias per label of both stacks."""
    torch.manual_seed(0)
    block = GatedBlock(channel_groups(6, 3), GATED, 2, 1)
    perturb(block)
    v, h, y, links = torch.randn(2, 6, 4, 5), torch.randn(2, 6, 4, 5), torch.tensor([1, 0]), {}
    bias_v, bias_h = block.label_bias(y)[:, :12, None, None], block.label_bias(y)[:, 12:, None, None]
    a = block.vertical_conv(v) + bias_v
    torch.testing.assert_close(block.vertical(v, links, y), a[:, :6].tanh() * a[:, 6:].sigmoid())
    b = block.horizontal_conv(h) + block.link(a) + bias_h
    expected = h + block.output(b[:, :6].tanh() * b[:, 6:].sigmoid())
    torch.testing.assert_close(block.horizontal(h, links, y), expected)


def test_lower_stacks_are_added_between_the_blocks():
    stacks, links, low_links = GatedStacks(replace(PYRAMID, gated=True, levels=2), 1, 0), {}, {}
    perturb(stacks)
    v, h = torch.randn(2, 6, 5, 5), torch.randn(2, 6, 5, 5)
    before, after = stacks.before[0], stacks.after[0]
    a = before.vertical(v, low_links, None)
    a = a + stacks.vertical_upsample(stacks.lower.vertical(stacks.vertical_downsample(a), low_links, None), a)
    torch.testing.assert_close(stacks.vertical(v, links, None), after.vertical(a, low_links, None))
    b = before.horizontal(h, links, None)
    b = b + stacks.horizontal_upsample(stacks.lower.horizontal(stacks.horizontal_downsample(b), links, None), b)
    torch.testing.assert_close(stacks.horizontal(h, links, None), after.horizontal(b, links, None))


def test_the_vertical_stack_has_the_position_bias():
    network, x = build_network(GATED), binary_images(1, (1, 5, 6))
    inputs = []
    network.body.before[0].vertical_conv.register_forward_pre_hook(lambda conv, given: inputs.append(given[0]))
    network(x)
    network.position_bias.data[2, 1, 3] += 5.0
    network(x)
    difference = (inputs[1] - inputs[0])[0]
    assert difference[2, 1, 3].item() == pytest.approx(5)
    assert difference.count_nonzero() == 1
