from dataclasses import replace

import pytest
import torch

from rlgen.core.errors import UserError
from rlgen.core.settings import Setup
from rlgen.generative import settings
from rlgen.generative.autoregressive.causal import CausalConv
from rlgen.generative.autoregressive.gated import GatedNetwork
from rlgen.generative.autoregressive.masked import MaskedNetwork
from rlgen.generative.autoregressive.pixelcnn import PixelCNN
from tests.generative.autoregressive.cases import CNN, GATED, build_model, build_network


def test_gated_chooses_the_network():
    assert isinstance(build_network(CNN), MaskedNetwork)
    assert isinstance(build_network(GATED), GatedNetwork)


def test_the_network_of_the_paper_has_its_number_of_parameters():
    given = {"levels": 1, "blocks": 15, "width": 32, "bottleneck": True, "position_bias": False, "head_width": 32}
    model = PixelCNN("digits", settings.PixelCNN(**given), Setup(threads=1))
    convolutions = [m for m in model.network.modules() if isinstance(m, CausalConv)]
    sides = [m.weight.shape[3] for m in convolutions]
    taps = [m.weight.shape[0] * m.weight.shape[1] * side**2 for m, side in zip(convolutions, sides, strict=True)]
    assert sum(taps) + sum(len(m.bias) for m in convolutions) == 53_569  # with the masked half of the taps
    assert model.parameter_count() == 37_409


@pytest.mark.parametrize("config", [CNN, GATED])
def test_kernels_have_the_sides_of_their_settings(config):
    network = build_network(replace(config, kernel=5, first_kernel=7))
    first = network.horizontal_input_conv if config.gated else network.input_conv
    inner = network.body.before[0].horizontal_conv if config.gated else network.body.before[0].conv
    assert (first.left, inner.left) == (3, 2)


def test_gated_blocks_have_no_bottleneck():
    with pytest.raises(UserError, match="--bottleneck"):
        settings.PixelCNN(gated=True, bottleneck=True).check(set())


def test_training_lowers_the_loss():
    model = build_model("bernoulli", lr=0.01, batch=64)
    before = model.measure()["eval_nats"]
    for _ in range(60):
        model.step()
    assert model.measure()["eval_nats"] < before - 8


def test_the_seed_determines_the_initial_weights():
    one, twin, other = build_model(), build_model(), build_model(seed=1)
    assert torch.equal(one.network.input_conv.weight, twin.network.input_conv.weight)
    assert not torch.equal(one.network.input_conv.weight, other.network.input_conv.weight)
