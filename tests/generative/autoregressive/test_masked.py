import itertools
import re
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from rlgen.generative import settings
from rlgen.generative.autoregressive.causal import CausalConv, channel_groups
from rlgen.generative.autoregressive.masked import (
    MaskedNetwork,
    PredictionHead,
    ResidualBlock,
    ResidualStack,
    plan_level,
)
from rlgen.generative.autoregressive.pixelcnn import PixelCNN
from rlgen.generative.autoregressive.pixelrnn import PixelRNN
from tests.generative.autoregressive.cases import (
    CASES,
    CNN,
    PYRAMID,
    binary_images,
    build_network,
    dependencies,
    perturb,
)


def test_stacked_masks_miss_exactly_their_blind_spot():
    """A kernel of side 3 reaches as far to the right as up, however many layers there are."""
    network = build_network(replace(CNN, blocks=6, first_kernel=3), (1, 6, 6))
    found = (dependencies(network, (1, 6, 6)) != 0).view(6, 6, 6, 6)
    for i, j, k, m in itertools.product(range(6), repeat=4):
        assert found[i, j, k, m] == (m < j if k == i else k < i and m - j <= i - k), (i, j, k, m)


def test_a_residual_block_is_the_equation_of_the_paper():
    torch.manual_seed(0)
    x, y, groups = torch.randn(2, 6, 4, 4), torch.tensor([1, 0]), channel_groups(6, 3)
    block = ResidualBlock(groups, CNN, 2, 1)
    perturb(block)
    biased = block.conv(x) + block.label_bias(y)[:, :, None, None]
    torch.testing.assert_close(block(x, y), x + block.expand(F.relu(biased)))
    block = ResidualBlock(groups, replace(CNN, bottleneck=True), 0, 1)
    perturb(block)
    inner = F.relu(block.conv(F.relu(block.reduce(F.relu(x)))))
    assert inner.shape == (2, 3, 4, 4)  # half of the features, one per channel
    torch.testing.assert_close(block(x), x + block.expand(inner))


@pytest.mark.parametrize("name", ["masked", "masked, three levels", "gated", "gated, two levels"])
def test_features_stay_in_the_precision_of_autocast(name):
    """A learned bias in float32 does not turn the features after it into float32."""
    network, kinds = build_network(CASES[name], dtype=torch.float32), set()
    for module in network.modules():
        if isinstance(module, CausalConv):
            module.register_forward_pre_hook(
                lambda module, inputs: kinds.add((module.weight.shape[1], inputs[0].dtype))
            )
    with torch.autocast("cpu", torch.bfloat16):
        network(binary_images(2, (1, 5, 6), torch.float32))
    assert {kind for features, kind in kinds if features > 1} == {torch.bfloat16}


def test_the_input_of_a_network_is_not_overwritten():
    x = torch.randn(1, 6, 3, 3)
    before = x.clone()
    ResidualBlock(channel_groups(6, 1), CNN, 0, 1)(x)
    PredictionHead(channel_groups(6, 1), 1, CNN, 1)(x)
    assert torch.equal(x, before)


def test_a_head_is_two_convolutions():
    head, x = PredictionHead(channel_groups(6, 3), 2, replace(CNN, head_width=9), 3), torch.randn(2, 6, 4, 4)
    assert head.hidden(x).shape == (2, 9, 4, 4)
    assert head(x).shape == (2, 6, 4, 4)
    torch.testing.assert_close(head(x), head.output(F.relu(head.hidden(F.relu(x)))))


def test_levels_split_their_blocks_and_multiply_their_width():
    config = replace(PYRAMID, blocks=3, levels=3, width=4, width_multiplier=3)
    found = [plan_level(config, 1, level) for level in range(3)]
    assert [(len(groups), len(lower), before, after) for groups, lower, before, after in found] == [
        (4, 12, 1, 2), (12, 36, 1, 2), (36, 108, 3, 0),
    ]  # fmt: skip
    stack = ResidualStack(config, 1, 0)
    assert stack.lower.lower.before[0].conv.weight.shape[:2] == (36, 36)
    assert len(stack.lower.lower.before) == 3
    assert not hasattr(stack.lower.lower, "lower")


def test_the_lower_level_is_added_between_the_blocks():
    stack, x = ResidualStack(replace(PYRAMID, levels=2), 1, 0), torch.randn(2, 6, 5, 5)
    perturb(stack)
    h = stack.before[0](x)
    h = h + stack.upsample(stack.lower(stack.downsample(h)), h)
    torch.testing.assert_close(stack(x), stack.after[0](h))


def test_pixels_enter_between_minus_1_and_1():
    network = build_network(CNN)
    assert torch.equal(network.encode_input(torch.tensor([0.0, 0.5, 1.0])), torch.tensor([-1.0, 0.0, 1.0]))


def test_a_position_bias_is_added_at_its_position():
    config = replace(CNN, blocks=1, position_bias=True)
    network = MaskedNetwork((1, 3, 4), 1, config, ResidualStack(config, 1, 0))
    inputs = []
    network.body.register_forward_pre_hook(lambda body, given: inputs.append(given[0]))
    x = binary_images(1, (1, 3, 4), torch.float32)
    network(x)
    network.position_bias.data[2, 1, 3] = 5.0
    network(x)
    difference = (inputs[1] - inputs[0])[0]
    assert difference[2, 1, 3].item() == pytest.approx(5)
    assert difference.count_nonzero() == 1
    assert MaskedNetwork((1, 3, 4), 1, replace(config, position_bias=False), network.body).position_bias is None


@pytest.mark.parametrize("config", [
    settings.PixelCNN(levels=1, blocks=15), settings.PixelCNN(), settings.PixelRNN(layers=7),
    settings.PixelRNN(layers=7, scan="diagonal"),
])  # fmt: skip
def test_depth_keeps_the_scale_of_activations(config):
    torch.manual_seed(0)
    model = object.__new__(PixelRNN if isinstance(config, settings.PixelRNN) else PixelCNN)
    model.config, model.shape = config, (1, 28, 28)
    network = model.build(1, 0)
    scales = []
    network.body.register_forward_hook(lambda body, x, out: scales.extend([x[0].std(), out.std()]))
    network((torch.rand(4, 1, 28, 28) < 0.2).float())
    assert 0.3 < scales[1] / scales[0] < 3


@pytest.mark.parametrize("case", ["masked", "gated", "row", "diagonal"])
def test_a_body_of_zero_layers_is_the_identity(case):
    """Each residual connection adds its input once."""
    network = build_network(CASES[case])
    for name, p in network.named_parameters():
        if re.search(r"body.*(expand|output)\.(weight|bias)$|position_bias$", name):
            p.data.zero_()
    activations = []
    input_conv = network.horizontal_input_conv if case == "gated" else network.input_conv
    input_conv.register_forward_hook(lambda module, x, out: activations.append(out))
    network.head.register_forward_pre_hook(lambda module, x: activations.append(x[0]))
    network(binary_images(2, (1, 5, 6)))
    torch.testing.assert_close(activations[1], activations[0])
