"""Every setting of PixelCNN and PixelRNN has its effect on the model."""

from dataclasses import fields
from functools import partial

import pytest
import torch

from rlgen import data
from rlgen.core import device
from rlgen.generative import ema
from rlgen.generative.autoregressive.pixelcnn import PixelCNN
from rlgen.generative.autoregressive.pixelrnn import PixelRNN
from rlgen.generative.settings import Autoregressive
from tests.generative.autoregressive.cases import build_model
from tests.generative.wiring import Wire, check_every_field_has_a_wire, check_wire

LOADED, FUSED, DECAYS = [], [], []  # arguments of the functions that the fixture replaces


@pytest.fixture(autouse=True)
def _observed(monkeypatch):
    load = data.load

    def spy(task, split, **given):
        LOADED.append(given)
        return load(task, split, **{**given, "data": None})

    monkeypatch.setattr(data, "load", spy)
    monkeypatch.setattr(device, "half", lambda device: False)  # for --precision auto
    monkeypatch.setattr(ema, "fuse", lambda device, *networks: FUSED.extend(map(id, networks)))
    monkeypatch.setattr(ema, "update_ema", lambda ema, network, decay: DECAYS.append(decay))


def decays(model):
    DECAYS.clear()
    for _ in range(4):
        model.step()
    return DECAYS[-1]


def output_types(model):
    """Types of the outputs of the network in training."""
    types = []
    model.network.head.register_forward_hook(lambda head, x, out: types.append(out.dtype))
    model.step()
    return types


def step_size_after(images):
    """Share of --lr in the optimiser's step size after so many images, the warm-up of 200 steps aside."""

    def observe(model):
        model.time, model.steps, model.lr_warmup_steps = images, 10_000, 1
        model.step()
        return round(model.optimizer.param_groups[0]["lr"] / model.config.lr, 3)

    return observe


def binarised(model):
    """Whether two minibatches of the same images have the same pixels."""
    x, _ = model.data.next()
    return torch.equal(model.binarise_batch(x), model.binarise_batch(x))


def first_residual_block(network):
    body = network.body
    while not len(body.before):
        body = body.lower
    return body.before[0]


SHARED = {
    "lr": Wire({"lr": 0.03}, lambda model: model.optimizer.defaults["lr"], 0.03),
    "lr_anneal": Wire({"lr_anneal": 1_000}, step_size_after(500), pytest.approx(0.505, abs=0.05)),
    "batch": Wire({"batch": 7}, lambda model: len(model.data.next()[0]), 7),
    "ema": Wire({"ema": 0.01}, decays, 0.01),
    "conditional": Wire({"conditional": True}, lambda model: model.num_classes, 10),
    "precision": Wire({"precision": "bfloat16"}, output_types, [torch.bfloat16]),
    "compile": Wire({"compile": True}, lambda model: id(model.network) in FUSED, True),
    "data": Wire({"data": "somewhere"}, lambda model: LOADED[-1]["data"], "somewhere"),
    "size": Wire({"size": 12}, lambda model: model.shape, (1, 12, 12)),
    "skip_bad": Wire({"skip_bad": True}, lambda model: LOADED[-1]["skip_bad"], True),
    "likelihood": Wire({"likelihood": "softmax"}, lambda model: model.network.head.output.weight.shape[0], 256),
    "binarise": Wire({"binarise": "static"}, binarised, True),
    "components": Wire(
        {"components": 5, "likelihood": "mixture"}, lambda model: model.network.head.output.weight.shape[0], 15
    ),
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
