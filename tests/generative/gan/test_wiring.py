"""Every setting of a GAN has its effect on the model."""

import pytest
import torch

from rlgen import data
from rlgen.core.settings import Setup
from rlgen.generative.gan import gan
from rlgen.generative.gan.gan import GAN
from tests.generative.wiring import Wire, check_every_field_has_a_wire, check_wire, optimizer_wires

PENALTY = 1e5  # of the penalties of these tests, far above the loss without them
LOADED, FUSED, DECAYS = [], [], []  # arguments of the functions that the fixture replaces


@pytest.fixture(autouse=True)
def _observed(monkeypatch):
    load = data.load

    def spy(task, split, **given):
        LOADED.append(given)
        return load(task, split, **{**given, "data": None})

    monkeypatch.setattr(data, "load", spy)
    monkeypatch.setattr(gan, "fuse", lambda device, *networks: FUSED.extend(map(id, networks)))
    monkeypatch.setattr(gan, "update_ema", lambda ema, network, decay: DECAYS.append(decay))
    monkeypatch.setattr(gan, "gradient_penalty", lambda *given: torch.tensor(PENALTY))
    monkeypatch.setattr(gan, "r1_penalty", lambda *given: torch.tensor(PENALTY))


def build(**settings):
    small = {"batch": 16, "width": 4, "discriminator_width": 4, "latent": 8}
    return GAN("digits", GAN.Config(**{**small, **settings}), Setup(threads=1))


def penalty_weight(model):
    """Sum of the weights of the penalties in the loss, at a step with R1."""
    model.steps = model.config.r1_interval
    real, fake = torch.rand(2, 4, 1, 8, 8)
    return round(model._discriminator_loss(real, fake, None)[0].item() / PENALTY)


def steps_with(metric):
    return lambda model: [metric in model.step() for _ in range(6)]


def output_types(model):
    """Types of the outputs of the last layers in training: generator, discriminator, discriminator."""
    types = []
    for layer in (model.generator.upsample, model.discriminator.output):
        layer.register_forward_hook(lambda module, x, out: types.append(out.dtype))
    model.step()
    return types


def decays(model):
    DECAYS.clear()
    for _ in range(3):
        model.step()
    return list(DECAYS)


WIRES = {
    "lr": Wire({"lr": 0.03}, lambda model: model.generator_optimizer.rule.param_groups[0]["lr"], 0.03),
    "discriminator_lr": Wire(
        {"discriminator_lr": 0.03}, lambda model: model.discriminator_optimizer.rule.param_groups[0]["lr"], 0.03
    ),
    **optimizer_wires(lambda model: model.generator_optimizer),
    "beta1": Wire({"beta1": 0.2}, lambda model: model.generator_optimizer.rule.param_groups[0]["betas"][0], 0.2),
    "batch": Wire({"batch": 7}, lambda model: len(model.data.next()[0]), 7),
    "ema": Wire({"ema": 0.1}, decays, [1 / 11, 0.1, 0.1]),
    "conditional": Wire(
        {"conditional": True},
        lambda model: [network.num_embeddings for network in [model.discriminator.label_embedding] if network],
        [10],
    ),
    "precision": Wire({"precision": "bfloat16"}, output_types, [torch.bfloat16] * 3),
    "compile": Wire({"compile": True}, lambda model: id(model.generator) in FUSED, True),
    "data": Wire({"data": "somewhere"}, lambda model: LOADED[-1]["data"], "somewhere"),
    "size": Wire({"size": 16}, lambda model: (model.shape, tuple(model.sample(1).shape[1:])), ((1, 16, 16),) * 2),
    "skip_bad": Wire({"skip_bad": True}, lambda model: LOADED[-1]["skip_bad"], True),
    "loss": Wire({"loss": "lsgan"}, lambda model: model.adversarial_loss.decision_threshold, 0.5),
    "critic_steps": Wire({"critic_steps": 3}, steps_with("generator_loss"), [False, False, True] * 2),
    "spectral_norm": Wire(
        {"spectral_norm": False}, lambda model: hasattr(model.discriminator.output, "parametrizations"), False
    ),
    "gradient_penalty_weight": Wire({"gradient_penalty_weight": 7.0}, penalty_weight, 7),
    "r1_weight": Wire({"r1_weight": 2.0, "r1_interval": 5}, penalty_weight, 10),
    "r1_interval": Wire({"r1_interval": 3, "r1_weight": 1.0}, steps_with("r1"), [False, False, True] * 2),
    "augment": Wire({"augment": "diffaugment"}, lambda model: type(model.augment).__name__, "DiffAugment"),
    "augment_images": Wire(
        {"augment_images": 321, "augment": "adaptive"}, lambda model: getattr(model.augment, "images", None), 321
    ),
    "architecture": Wire(
        {"architecture": "residual"},
        lambda model: [type(network).__name__ for network in (model.generator, model.discriminator)],
        ["ResidualGenerator", "ResidualDiscriminator"],
    ),
    "discriminator": Wire(
        {"discriminator": "mlp"},
        lambda model: next(type(layer).__name__ for layer in model.discriminator.features),
        "Flatten",
    ),
    "latent": Wire({"latent": 5}, lambda model: model.generator.project.in_features, 5),
    "width": Wire({"width": 6}, lambda model: model.generator.upsample[-1].in_channels, 6),
    "discriminator_width": Wire(
        {"discriminator_width": 6}, lambda model: model.discriminator.features[0].out_channels, 6
    ),
}


def test_every_setting_is_listed():
    check_every_field_has_a_wire(WIRES, GAN.Config)


@pytest.mark.parametrize("field", WIRES)
def test_a_setting_has_its_effect(field):
    check_wire(WIRES[field], build)


@pytest.mark.parametrize("loss", ["non-saturating", "lsgan", "hinge", "wgan"])
def test_a_loss_is_chosen_by_its_name(loss):
    assert build(loss=loss).adversarial_loss is gan.LOSSES[loss]


@pytest.mark.parametrize(
    ("augment", "kind"), [("none", "NoAugmentation"), ("diffaugment", "DiffAugment"), ("adaptive", "AdaptiveAugment")]
)
def test_an_augmentation_is_chosen_by_its_name(augment, kind):
    assert type(build(augment=augment).augment).__name__ == kind
