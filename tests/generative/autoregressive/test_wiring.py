"""Every setting of PixelCNN and PixelRNN has its effect on the model."""

from dataclasses import fields
from functools import partial

import pytest

from rlgen.generative.autoregressive.pixelcnn import PixelCNN
from rlgen.generative.autoregressive.pixelrnn import PixelRNN
from rlgen.generative.settings import Autoregressive
from tests.generative.autoregressive.cases import build_model
from tests.generative.wiring import (
    Wire,
    check_every_field_has_a_wire,
    check_wire,
    ema_wires,
    likelihood_wires,
    replace_functions,
)


@pytest.fixture(autouse=True)
def _observed(monkeypatch):
    replace_functions(monkeypatch)


def first_residual_block(network):
    body = network.body
    while not len(body.before):
        body = body.lower
    return body.before[0]


SHARED = {
    **ema_wires(lambda network: network.head),
    **likelihood_wires(lambda model: model.network.head.output.weight.shape[0]),
    "width": Wire({"width": 6}, lambda model: model.network.input_conv.weight.shape[0], 6),
    "first_kernel": Wire({"first_kernel": 5}, lambda model: model.network.input_conv.left, 2),
    "head_width": Wire({"head_width": 10}, lambda model: model.network.head.hidden.weight.shape[0], 10),
    "position_bias": Wire({"position_bias": False}, lambda model: model.network.position_bias, None),
}
CNN = {
    **SHARED,
    "blocks": Wire(
        {"blocks": 5}, lambda model: (len(model.network.body.before), len(model.network.body.after)), (2, 3)
    ),
    "levels": Wire({"levels": 3}, lambda model: hasattr(model.network.body.lower, "lower"), True),
    "width_multiplier": Wire(
        {"width_multiplier": 3}, lambda model: model.network.body.downsample.conv.weight.shape[0], 12
    ),
    "kernel": Wire({"kernel": 5}, lambda model: first_residual_block(model.network).conv.left, 2),
    "bottleneck": Wire({"bottleneck": True}, lambda model: first_residual_block(model.network).conv.weight.shape[0], 2),
    "gated": Wire({"gated": True}, lambda model: type(model.network).__name__, "GatedNetwork"),
}
RNN = {
    **SHARED,
    "layers": Wire({"layers": 2}, lambda model: len(model.network.body), 2),
    "scan": Wire(
        {"scan": "diagonal"},
        lambda model: [type(layer).__name__ for layer in model.network.body][:1],
        ["DiagonalBiLSTM"],
    ),
}


def test_every_setting_is_listed():
    check_every_field_has_a_wire(CNN, PixelCNN.Config)
    check_every_field_has_a_wire(RNN, PixelRNN.Config)
    assert {field.name for field in fields(Autoregressive)} == set(SHARED)


@pytest.mark.parametrize("field", CNN)
def test_a_setting_of_pixelcnn_has_its_effect(field):
    check_wire(CNN[field], build_model)


@pytest.mark.parametrize("field", RNN)
def test_a_setting_of_pixelrnn_has_its_effect(field):
    check_wire(RNN[field], partial(build_model, kind=PixelRNN))
