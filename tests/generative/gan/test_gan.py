import copy

import pytest
import torch
from PIL import Image

from rlgen.core.errors import DataError, UserError
from rlgen.core.optim import Optimization
from rlgen.core.seeds import derive, torch_stream
from rlgen.core.settings import Setup
from rlgen.generative.gan import gan
from rlgen.generative.gan.gan import GAN
from rlgen.generative.gan.losses import LOSSES, gradient_penalty, r1_penalty
from rlgen.generative.grids import latent_grid

SMALL = {"batch": 16, "width": 4, "discriminator_width": 4, "latent": 8}


def build(seed=0, task="digits", **settings):
    return GAN(task, GAN.Config(**{**SMALL, **settings}), Setup(seed=seed, threads=1))


def tensors(state):
    if isinstance(state, torch.Tensor):
        yield state
    elif isinstance(state, dict):
        for value in state.values():
            yield from tensors(value)
    elif not isinstance(state, list | tuple | str):
        yield torch.as_tensor(float(state or 0))


def same(one, other):
    pairs = list(zip(tensors(one.state_dict()), tensors(other.state_dict()), strict=True))
    return len(pairs) > 30 and all(torch.equal(a, b) for a, b in pairs)


def weights(module):
    return [parameter.detach().clone() for parameter in module.parameters()]


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


WGAN_GP = {"loss": "wgan", "spectral_norm": False, "gradient_penalty_weight": 10.0, "beta1": 0.0}
VARIANTS = {
    "lsgan": {"loss": "lsgan"},
    "hinge, residual, R1, DiffAugment": {
        "loss": "hinge", "architecture": "residual", "r1_weight": 1.0, "r1_interval": 2, "augment": "diffaugment",
    },
    "wgan-gp": WGAN_GP,
    "adaptive, conditional": {"augment": "adaptive", "augment_images": 200, "conditional": True},
}  # fmt: skip


@pytest.mark.parametrize("variant", [{}, *VARIANTS.values()])
def test_each_gradient_step_changes_one_network(monkeypatch, variant):
    model, calls = build(**variant), []

    def spy(optimizer, loss, time, batch):
        before = weights(model.generator), weights(model.discriminator)
        gradients = [None if p.grad is None else p.grad.clone() for p in model.discriminator.parameters()]
        metrics = step(optimizer, loss, time, batch)
        if optimizer is model.discriminator_optimizer:
            assert all(p.grad is None or not p.grad.any() for p in model.generator.parameters())
            assert equal(before[0], weights(model.generator))
            assert not equal(before[1], weights(model.discriminator))
            calls.append("discriminator")
        else:
            assert all(p.grad is not None for p in model.generator.parameters())
            assert all(p.grad.any() for p in model.generator.parameters() if p.ndim > 1)
            assert equal(before[1], weights(model.discriminator))
            assert equal(gradients, [p.grad for p in model.discriminator.parameters()])
            assert not equal(before[0], weights(model.generator))
            calls.append("generator")
        return metrics

    step = Optimization.step
    monkeypatch.setattr(Optimization, "step", spy)
    model.step()
    assert calls == ["discriminator", "generator"]


def test_both_networks_have_the_settings_of_the_optimiser():
    model = build(optimizer="rmsprop", weight_decay=0.1, schedule="linear", lr_steps=100, discriminator_lr=0.02)
    for optimizer, lr in ((model.generator_optimizer, model.config.lr), (model.discriminator_optimizer, 0.02)):
        assert type(optimizer.rule).__name__ == "RMSprop"
        assert optimizer.settings.weight_decay == 0.1
        assert optimizer.learning_rate(50) == pytest.approx(0.505 * lr)


def test_metrics_have_no_gradients():
    assert not any(value.requires_grad for value in build().step().values())


@pytest.mark.parametrize("critic_steps", [1, 2, 5])
def test_the_generator_steps_once_in_critic_steps(critic_steps):
    model, moved = build(**WGAN_GP, critic_steps=critic_steps), []
    for _ in range(2 * critic_steps):
        before = weights(model.generator), weights(model.discriminator), weights(model.ema)
        metrics = model.step()
        assert not equal(before[1], weights(model.discriminator))
        moved.append(not equal(before[0], weights(model.generator)))
        assert moved[-1] == (not equal(before[2], weights(model.ema))) == ("generator_loss" in metrics)
        assert "gradient_penalty" in metrics
    assert moved == [*[False] * (critic_steps - 1), True] * 2


@pytest.mark.parametrize(
    ("settings", "steps", "expected"),
    [
        ({"batch": 16}, 4, [1 / 11, 2 / 12, 3 / 13, 4 / 14]),
        ({"batch": 1_000}, 4, [1 / 11, 2 / 12, 3 / 13, 4 / 14]),  # every second batch of 1498 images is of 498
        ({"batch": 999_999_999}, 3, [1 / 11, 2 / 12, 3 / 13]),
        ({"batch": 16, "critic_steps": 3}, 9, [1 / 11, 2 / 12, 3 / 13]),
        ({"batch": 16, "ema": 0.15}, 3, [1 / 11, 0.15, 0.15]),
    ],
)
def test_the_ema_warms_up_over_generator_steps(monkeypatch, settings, steps, expected):
    """Decay min(ema, t / (10 + t)) at the t-th gradient step of the generator."""
    model, decays = build(**settings), []
    monkeypatch.setattr(gan, "update_ema", lambda ema, network, decay: decays.append((ema, network, decay)))
    for _ in range(steps):
        model.step()
    assert all(ema is model.ema and network is model.generator for ema, network, _ in decays)
    assert [decay for *_, decay in decays] == pytest.approx(expected)


def images(count=16):
    return torch.rand(2, count, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("conditional", [False, True])
def test_the_loss_pairs_each_image_with_its_label(loss, conditional):
    """Compared with one pass per image; real and generated images of a batch have the same labels in the same order."""
    model = build(loss=loss, spectral_norm=False, gradient_penalty_weight=1.0, conditional=conditional)
    (real, fake), y = images(), torch.arange(16).remainder(7) if conditional else None
    with torch.no_grad():
        if conditional:
            model.discriminator.label_embedding.weight.mul_(5)
        real_logit, fake_logit = (
            torch.cat([model.discriminator(x[i : i + 1], y[i : i + 1] if conditional else None) for i in range(16)])
            for x in (real, fake)
        )
    expected = LOSSES[loss].real_loss(real_logit) + LOSSES[loss].fake_loss(fake_logit)
    found, metrics = model._discriminator_loss(real, fake, y)
    assert (found - metrics["gradient_penalty"]).item() == pytest.approx(expected.item(), rel=1e-4)


def test_both_networks_get_the_labels_of_the_batch(monkeypatch):
    model, given = build(conditional=True), []
    x, y = model.data.next()
    for name, network in (("generator", model.generator), ("discriminator", model.discriminator)):
        network.register_forward_pre_hook(lambda _, args, name=name: given.append((name, args[1].tolist())))
    model.update(x, y)
    y = y.tolist()
    assert given == [("generator", y), ("discriminator", y + y), ("discriminator", y)]


def test_the_gradient_penalty_is_added_with_its_weight():
    real, fake = images()
    plain, penalised = build(spectral_norm=False), build(spectral_norm=False, gradient_penalty_weight=10.0)
    loss, metrics = penalised._discriminator_loss(real, fake, None)
    mix = torch.rand(16, generator=build().regularization_stream)
    expected = gradient_penalty(penalised.discriminator, real, fake, None, mix).item()
    assert expected > 0.01
    assert metrics["gradient_penalty"].item() == pytest.approx(expected, rel=1e-5)
    assert loss.item() == pytest.approx(plain._discriminator_loss(real, fake, None)[0].item() + 10 * expected, rel=1e-5)


def test_r1_is_added_every_interval_with_the_weight_of_the_interval():
    """The steps without it count as well."""
    real, fake = images()
    plain, lazy = build(spectral_norm=False), build(spectral_norm=False, r1_weight=0.5, r1_interval=3)
    unpenalised = plain._discriminator_loss(real, fake, None)[0].item()
    for lazy.steps in (1, 2, 4, 5):
        loss, metrics = lazy._discriminator_loss(real, fake, None)
        assert "r1" not in metrics
        assert loss.item() == pytest.approx(unpenalised)
    for lazy.steps in (3, 6):
        loss, metrics = lazy._discriminator_loss(real, fake, None)
        expected = r1_penalty(lazy.discriminator, real, None).item()
        assert expected != pytest.approx(r1_penalty(lazy.discriminator, fake, None).item(), rel=1e-2)
        assert metrics["r1"].item() == pytest.approx(expected, rel=1e-5)
        assert loss.item() == pytest.approx(unpenalised + 0.5 * 3 * expected, rel=1e-5)
        assert loss.item() != pytest.approx(unpenalised, rel=1e-5)


def test_real_and_generated_images_are_augmented():
    model, gradients = build(augment="diffaugment"), []
    augment = model.augment

    class Spy(type(augment)):
        def __call__(self, x):
            gradients.append(x.requires_grad)
            return super().__call__(x)

    model.augment = Spy(model.regularization_stream)
    model.step()
    assert gradients == [False, False, True]  # real and generated for the discriminator, generated for the generator


def test_augmentation_grows_while_the_discriminator_is_certain():
    model = build(augment="adaptive", augment_images=160)
    with torch.no_grad():
        model.discriminator.output.bias.fill_(100)
    metrics = [model.step() for _ in range(8)]
    assert [m["augmentation"].item() for m in metrics] == pytest.approx([0, 0, 0, 0.4, 0.4, 0.4, 0.4, 0.8])


@pytest.mark.parametrize(("loss", "threshold"), [("non-saturating", 0.0), ("hinge", 0.0), ("lsgan", 0.5)])
def test_augmentation_adapts_to_the_decision_threshold_of_the_loss(monkeypatch, loss, threshold):
    """The signs are of logits of real images minus the threshold."""
    model, signs = build(loss=loss, augment="adaptive"), []
    monkeypatch.setattr(model.augment, "adapt", lambda sign: signs.append(sign.tolist()))
    logits = threshold + torch.tensor([-0.1, 0.1, -0.2, 0.3])
    monkeypatch.setattr(model.discriminator, "forward", lambda x, y: torch.cat([logits, torch.full((4,), 9.0)]))
    model._discriminator_loss(*images(4), None)
    assert signs == [[-1.0, 1.0, -1.0, 1.0]]


def test_each_optimizer_has_its_learning_rate():
    model = build(lr=0.01, discriminator_lr=0.02, beta1=0.3)
    for optimizer, network, lr in (
        (model.generator_optimizer, model.generator, 0.01),
        (model.discriminator_optimizer, model.discriminator, 0.02),
    ):
        (group,) = optimizer.rule.param_groups
        assert (group["lr"], group["betas"]) == (lr, (0.3, 0.99))
        assert [id(p) for p in group["params"]] == [id(p) for p in network.parameters()]


@pytest.mark.parametrize(("settings", "discriminator"), [
    ({}, True), ({"r1_weight": 1.0}, False), ({"gradient_penalty_weight": 1.0}, False),
])  # fmt: skip
def test_a_discriminator_with_a_gradient_penalty_is_not_compiled(monkeypatch, settings, discriminator):
    """Compiled code has no second derivative."""
    compiled = []
    monkeypatch.setattr(gan, "fuse", lambda device, *networks: compiled.extend(networks))
    model = build(compile=True, **settings)
    expected = [model.generator, model.discriminator] if discriminator else [model.generator]
    assert [id(network) for network in compiled] == [id(network) for network in expected]


def endpoints(rows, seed):
    return torch.randn(2, rows, 1, 8, generator=torch_stream(seed, "ends of arcs"))[:, :, 0]


def test_interpolation_goes_along_a_great_arc():
    """At its ends the noise itself, in the middle (z₀ + z₁) / (2 cos ω/2), and equal angles between the steps."""
    model = build()
    model.step()
    pictures = model.interpolate(3, 5, seed=1)
    assert pictures.shape == (3, 5, 1, 8, 8)
    start, end = endpoints(3, 1)
    torch.testing.assert_close(pictures[:, 0], model._generate(start, None))
    torch.testing.assert_close(pictures[:, -1], model._generate(end, None))
    half = torch.cosine_similarity(start, end, 1).acos()[:, None] / 2
    assert (half.cos() < 0.95).all()  # so that the arc differs from the chord
    middle = (start + end) / (2 * half.cos())
    torch.testing.assert_close(pictures[:, 2], model._generate(middle, None))
    assert not torch.allclose(pictures[:, 2], model._generate((start + end) / 2, None), atol=1e-4)
    quarter = ((1.5 * half).sin() * start + (0.5 * half).sin() * end) / (2 * half).sin()
    torch.testing.assert_close(pictures[:, 1], model._generate(quarter, None))


def test_interpolations_of_a_conditional_model_are_of_one_class_per_row():
    model = build(conditional=True)
    model.step()
    pictures = model.interpolate(12, 3, seed=1)
    start, end = endpoints(12, 1)
    labels = torch.arange(12) % 10
    torch.testing.assert_close(pictures[:, 0], model._generate(start, labels))
    torch.testing.assert_close(pictures[:, -1], model._generate(end, labels))


def test_one_dimensional_noise_is_interpolated_on_a_line():
    """The angle is 0 or half a turn."""
    pictures = build(latent=1).interpolate(6, 5, seed=0)
    assert pictures.isfinite().all()
    assert not torch.equal(pictures[:, 0], pictures[:, 2])


def test_a_manifold_is_a_grid_of_two_dimensional_noise():
    model = build(latent=2, conditional=True)
    model.step()
    expected = model._generate(latent_grid(3), torch.full((9,), 4))
    assert torch.equal(model.manifold(3, label=4), expected)
    with pytest.raises(UserError, match="noise of 2 dimensions, not 8: train with --latent 2"):
        build().manifold()


def test_contradictory_settings_are_refused():
    with pytest.raises(UserError, match="nothing bounds the critic"):
        GAN.Config(loss="wgan", spectral_norm=False).check(())
    with pytest.raises(UserError, match="--augment adaptive"):
        GAN.Config(**WGAN_GP, augment="adaptive").check(())
    GAN.Config(**WGAN_GP).check(())


def test_labels_are_given_by_name_or_number():
    model = build(conditional=True)
    assert model.label("7") == 7
    for wrong in ("10", "-1", "seven"):
        with pytest.raises(UserError, match=f"digits has no class {wrong}: there are 0, 1, 2"):
            model.label(wrong)
    with pytest.raises(UserError, match="trained without --conditional"):
        build().label("7")


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("before", [0, 3, 94, 95])  # 94 batches an epoch, the last one smaller
def test_resume_is_exact(before, conditional):
    settings = {"conditional": conditional, "width": 2, "discriminator_width": 2}
    whole = build(**settings)
    for _ in range(before):
        whole.step()
    resumed = build(seed=0, **settings)
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    for _ in range(3):
        whole.step()
        resumed.step()
    assert whole.time == resumed.time
    assert same(whole, resumed)


def test_the_seed_determines_every_step():
    one, twin, other = build(), build(), build(seed=1)
    torch.manual_seed(5)
    one.step()
    torch.rand(3)
    twin.step()
    other.step()
    assert same(one, twin)
    assert not equal(weights(one.generator), weights(other.generator))


def test_an_evaluation_changes_no_state_and_depends_on_weights_alone():
    evaluated, control = build(), build()
    for _ in range(3):
        evaluated.step()
        control.step()
    torch.manual_seed(1)
    first, stream = evaluated.measure(), torch.get_rng_state()
    grids = evaluated.grids(0)
    assert evaluated.measure() == first
    assert torch.equal(grids["samples"].images, evaluated.grids(0)["samples"].images)
    assert torch.equal(stream, torch.get_rng_state())
    assert same(evaluated, control)
    assert evaluated.generator.training
    assert evaluated.discriminator.training
    evaluated.step()
    control.step()
    assert same(evaluated, control)
    assert not torch.equal(grids["samples"].images, evaluated.grids(0)["samples"].images)


@pytest.mark.parametrize(
    ("loss", "threshold"), [("non-saturating", 0.0), ("hinge", 0.0), ("lsgan", 0.5), ("wgan", None)]
)
@pytest.mark.parametrize("conditional", [False, True])
def test_an_evaluation_compares_test_images_with_as_many_samples(loss, threshold, conditional):
    """Both of the same classes, by logits of images one at a time."""
    model = build(loss=loss, conditional=conditional)
    for _ in range(4):
        model.step()
    model.discriminator.eval()
    metrics, logits = model.measure(), []
    real, y = model.test_batch(slice(None))
    fake = model.sample(len(real), seed=derive(0, "evaluation"), labels=y)
    with torch.no_grad():
        for x in (real, fake):
            labels = [None] * len(x) if y is None else y[:, None]
            logits.append(torch.cat([model.discriminator(x[i : i + 1], labels[i]) for i in range(len(x))]))
    assert metrics["eval_real_logit"].item() == pytest.approx(logits[0].mean().item(), abs=1e-5)
    assert metrics["eval_fake_logit"].item() == pytest.approx(logits[1].mean().item(), abs=1e-5)
    assert ("eval_accuracy" in metrics) == (threshold is not None)
    if threshold is not None:
        accuracy = ((logits[0] > threshold).float().mean() + (logits[1] < threshold).float().mean()) / 2
        assert metrics["eval_accuracy"].item() == pytest.approx(accuracy.item(), abs=0.005)


def test_grids_have_captions():
    grids = build(latent=2).grids(0)
    assert set(grids) == {"samples", "interpolations", "manifold"}
    samples, interpolations, manifold = grids.values()
    assert (samples.images.shape, samples.columns, samples.column_labels) == ((64, 1, 8, 8), 8, ())
    assert 0 <= samples.images.min() < samples.images.max() <= 1
    assert (interpolations.columns, interpolations.column_labels) == (8, ("start", *[""] * 6, "end"))
    assert (manifold.columns, len(manifold.row_labels), len(manifold.column_labels)) == (20, 20, 20)
    assert set(build().grids(0)) == {"samples", "interpolations"}


def test_samples_of_a_conditional_model_have_a_column_per_class_and_a_noise_per_row():
    model = build(conditional=True)
    model.step()
    samples = model.grids(0)["samples"]
    assert (samples.columns, samples.column_labels) == (10, tuple("0123456789"))
    z = torch.randn(64, 8, generator=torch_stream(0, "samples"))
    torch.testing.assert_close(samples.images[23], model._generate(z[2:3], torch.tensor([3]))[0])


def test_samples_depend_on_their_seed_not_on_the_chunk_size(monkeypatch):
    model = build()
    model.step()
    first = model.sample(10, seed=3)
    assert first.shape == (10, 1, 8, 8)
    assert torch.equal(first, model.sample(10, seed=3))
    assert not torch.equal(first, model.sample(10, seed=4))
    monkeypatch.setattr(gan, "CHUNK_SIZE", 3)
    torch.testing.assert_close(first, model.sample(10, seed=3))
    assert not first.requires_grad


def test_chunks_keep_images_with_their_labels(monkeypatch):
    model, labels = build(conditional=True), torch.tensor([4, 7, 1, 1, 9])
    model.step()
    whole = model.sample(5, labels=labels)
    monkeypatch.setattr(gan, "CHUNK_SIZE", 2)
    torch.testing.assert_close(whole, model.sample(5, labels=labels))


def test_the_ema_generator_has_the_contrast_of_the_generator():
    """In evaluation mode, with running statistics of the batch norms."""
    model = build(ema=0.9)
    for _ in range(60):
        model.step()
    z = torch.randn(500, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        trained = model.generator(z)
    averaged = model._generate(z, None)
    assert not model.ema.training
    assert averaged.mean() == pytest.approx(trained.mean().item(), abs=0.05)
    assert averaged.std() == pytest.approx(trained.std().item(), abs=0.05)


def test_a_conditional_model_generates_the_given_classes():
    model = build(conditional=True)
    model.step()
    sevens = model.sample(4, labels=torch.full((4,), 7))
    assert torch.equal(sevens, model.sample(4, labels=torch.full((4,), 7)))
    assert not torch.equal(sevens, model.sample(4, labels=torch.full((4,), 3)))
    assert torch.equal(model.sample(12), model.sample(12, labels=torch.arange(12) % 10))
    for labels in (torch.tensor([1]), torch.tensor([0, 1, 2, 10])):
        with pytest.raises(UserError, match="4 labels"):
            model.sample(4, labels=labels)
    with pytest.raises(UserError, match="trained without --conditional"):
        build().sample(2, labels=torch.tensor([0, 1]))


def test_images_of_an_unsupported_shape_are_refused(tmp_path):
    for number in range(8):
        Image.effect_noise((30, 20), 100).save(tmp_path / f"{number}.png")
    task = f"folder:{tmp_path}"
    with pytest.raises(DataError, match="30x20 pixels: give a --size"):
        build(task=task)
    model = build(task=task, size=32)
    model.step()
    assert model.sample(2).shape == (2, 1, 32, 32)
    with pytest.raises(UserError, match="has no labels"):
        build(task=task, size=32, conditional=True)


def test_settings_are_bounded():
    with pytest.raises(ValueError, match="multiple of 4"):
        GAN.Config(size=30)
    with pytest.raises(ValueError, match="less than 1"):
        GAN.Config(ema=1.0)


def test_the_parameters_of_both_networks_are_counted():
    model = build()
    expected = sum(p.numel() for m in (model.generator, model.discriminator) for p in m.parameters())
    assert model.parameter_count() == expected
    model.step()
    assert model.parameter_count() == expected
