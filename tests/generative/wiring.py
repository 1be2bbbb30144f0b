"""Proof that a setting of a model configures what it names."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, NamedTuple

import pytest
import torch

from rlgen import data
from rlgen.core import device
from rlgen.generative import ema
from tests.wiring import optimizer_effects

LOADED, FUSED, DECAYS = [], [], []  # arguments of the functions that `replace_functions` replaces


class Wire(NamedTuple):
    """With `settings` the model has `expected` where `observe` reads; with the defaults it has something else."""

    settings: dict[str, Any]
    observe: Callable[[Any], Any]
    expected: Any


def check_wire(wire, build):
    assert wire.observe(build()) != wire.expected, "the default has the same effect: choose another value"
    assert wire.observe(build(**wire.settings)) == wire.expected


def check_every_field_has_a_wire(wires, settings):
    assert set(wires) == {field.name for field in fields(settings)}
    for name, wire in wires.items():
        assert name in wire.settings, f"the wire of {name} leaves it at its default"


def replace_functions(monkeypatch):
    """Record how data is loaded, networks are compiled and moving averages are updated."""
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


def output_types(module):
    """Observation of the types of the outputs of a module of the network in training."""

    def observe(model):
        types = []
        module(model.network).register_forward_hook(lambda module, x, out: types.append(out.dtype))
        model.step()
        return types

    return observe


def learning_rate_after(images):
    """Observation of the learning rate after so many images, as a share of --lr, the warm-up of 200 steps aside."""

    def observe(model):
        model.time, model.optimizer.steps = images, 10_000
        model.step()
        return round(model.optimizer.rule.param_groups[0]["lr"] / model.config.lr, 3)

    return observe


def binarised(model):
    """Whether two minibatches of the same images have the same pixels."""
    x, _ = model.data.next()
    return torch.equal(model.binarise_batch(x), model.binarise_batch(x))


def optimizer_wires(optimization, without=()):
    """A wire per setting of the optimiser but `lr`."""
    return {
        name: Wire({**effect.base, name: effect.value}, effect.observe, effect.expected)
        for name, effect in optimizer_effects(optimization, without).items()
    }


def ema_wires(module):
    """Wires of the settings of every EMAModel, given the last layer of its network."""
    return {
        "lr": Wire({"lr": 0.03}, lambda model: model.optimizer.rule.defaults["lr"], 0.03),
        **optimizer_wires(lambda model: model.optimizer, {"lr_steps"}),
        "lr_steps": Wire(
            {"schedule": "cosine", "lr_steps": 1_000}, learning_rate_after(500), pytest.approx(0.5, abs=0.1)
        ),
        "batch": Wire({"batch": 7}, lambda model: len(model.data.next()[0]), 7),
        "ema": Wire({"ema": 0.01}, decays, 0.01),
        "precision": Wire({"precision": "bfloat16"}, output_types(module), [torch.bfloat16]),
        "compile": Wire({"compile": True}, lambda model: id(model.network) in FUSED, True),
        "data": Wire({"data": "somewhere"}, lambda model: LOADED[-1]["data"], "somewhere"),
        "size": Wire({"size": 12}, lambda model: model.shape, (1, 12, 12)),
        "skip_bad": Wire({"skip_bad": True}, lambda model: LOADED[-1]["skip_bad"], True),
    }


def likelihood_wires(outputs):
    """Wires of the settings of every model with a likelihood; `outputs` counts the network's, per pixel."""
    return {
        "likelihood": Wire({"likelihood": "softmax"}, outputs, 256),
        "binarise": Wire({"binarise": "static"}, binarised, True),
        "components": Wire({"components": 5, "likelihood": "mixture"}, outputs, 15),
        "conditional": Wire({"conditional": True}, lambda model: model.num_classes, 10),
    }
