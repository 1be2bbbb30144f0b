import copy

import pytest
import torch
from PIL import Image

from rlgen.core.errors import DataError, UserError
from rlgen.core.seeds import torch_stream
from rlgen.core.settings import Setup
from rlgen.generative.gan import gan
from rlgen.generative.gan.gan import GAN
from rlgen.generative.gan.losses import gradient_penalty, r1_penalty

SMALL = {"batch": 16, "width": 4, "discriminator_width": 4, "latent": 8}


def build(seed=0, **settings):
    return GAN("digits", GAN.Config(**{**SMALL, **settings}), Setup(seed=seed, threads=1))


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
    "hinge, residual, R1 and a policy": {
        "loss": "hinge", "architecture": "residual", "r1_weight": 1.0, "r1_interval": 2, "augment": "diffaugment",
    },
    "wgan-gp": {**WGAN_GP, "critic_steps": 3},
    "adaptive, conditional": {"augment": "adaptive", "augment_images": 200, "conditional": True},
}  # fmt: skip


@pytest.mark.parametrize("variant", [{}, *({**v, "critic_steps": 1} for v in VARIANTS.values())])
def test_each_step_moves_one_network(monkeypatch, variant):
    model, calls = build(**variant), []

    def spy(optimizer, loss):
        before = weights(model.generator), weights(model.discriminator)
        judged = [None if p.grad is None else p.grad.clone() for p in model.discriminator.parameters()]
        norm = descend(optimizer, loss)
        if optimizer is model.discriminator_optimizer:
            assert all(p.grad is None or not p.grad.any() for p in model.generator.parameters())
            assert equal(before[0], weights(model.generator))
            assert not equal(before[1], weights(model.discriminator))
            calls.append("discriminator")
        else:
            assert all(p.grad is not None for p in model.generator.parameters())
            assert all(p.grad.any() for p in model.generator.parameters() if p.ndim > 1)
            assert equal(before[1], weights(model.discriminator))
            assert equal(judged, [p.grad for p in model.discriminator.parameters()])
            assert not equal(before[0], weights(model.generator))
            calls.append("generator")
        return norm

    descend = gan.descend
    monkeypatch.setattr(gan, "descend", spy)
    monkeypatch.setattr(model.generator, "zero_grad", None)
    model.step()
    assert calls == ["discriminator", "generator"]


def test_metrics_are_detached():
    assert not any(value.requires_grad for value in build().step().values())


@pytest.mark.parametrize("critics", [2, 5])
def test_a_critic_steps_more_often_than_the_generator(critics):
    model, moved = build(**WGAN_GP, critic_steps=critics), []
    for _ in range(2 * critics):
        before = weights(model.generator), weights(model.discriminator)
        metrics = model.step()
        assert not equal(before[1], weights(model.discriminator))
        moved.append(not equal(before[0], weights(model.generator)))
        assert moved[-1] == ("generator_loss" in metrics)
        assert "gradient_penalty" in metrics
    assert moved == [*[False] * (critics - 1), True] * 2


def test_penalties_reach_the_loss_with_their_weight():
    """R1 counts for the steps it is left out as well."""
    real, fake = torch.rand(2, 16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    plain, punished, lazy = (build(spectral_norm=False, **given) for given in (
        {}, {"gradient_penalty_weight": 10.0}, {"r1_weight": 0.5, "r1_interval": 3},
    ))  # fmt: skip
    bare = plain._judge(real, fake, None)[0].item()
    loss, metrics = punished._judge(real, fake, None)
    assert metrics["gradient_penalty"] > 0.01
    mix = torch.rand(16, generator=build(spectral_norm=False, gradient_penalty_weight=10.0).chance)
    assert metrics["gradient_penalty"].item() == pytest.approx(
        gradient_penalty(punished.discriminator, real, fake, None, mix).item(), rel=1e-5
    )
    assert loss.item() == pytest.approx(bare + 10 * metrics["gradient_penalty"].item(), rel=1e-5)
    for lazy.steps in (1, 2):
        assert lazy._judge(real, fake, None)[0].item() == pytest.approx(bare)
    lazy.steps = 3
    loss, metrics = lazy._judge(real, fake, None)
    assert metrics["r1"].item() == pytest.approx(r1_penalty(lazy.discriminator, real, None).item(), rel=1e-5)
    assert metrics["r1"].item() != pytest.approx(r1_penalty(lazy.discriminator, fake, None).item(), rel=1e-2)
    assert loss.item() == pytest.approx(bare + 0.5 * 3 * metrics["r1"].item(), rel=1e-5)
    assert loss.item() != pytest.approx(bare, rel=1e-5)


def test_what_the_discriminator_sees_is_changed_on_both_sides():
    model, seen = build(augment="diffaugment"), []
    change = model.augment

    class Spy(type(change)):
        def __call__(self, x):
            seen.append(x.requires_grad)
            return super().__call__(x)

    model.augment = Spy(model.chance)
    model.step()
    assert seen == [False, False, True]  # real ones, fakes, and those the generator learns through


def test_adaptive_changes_grow_more_likely_while_the_discriminator_is_certain():
    model = build(augment="adaptive", augment_images=160)
    with torch.no_grad():
        model.discriminator.judge.bias.fill_(100)
    metrics = [model.step() for _ in range(8)]
    assert [m["augmentation"].item() for m in metrics] == pytest.approx([0, 0, 0, 0.4, 0.4, 0.4, 0.4, 0.8])


def test_interpolation_goes_from_one_image_to_another():
    model = build()
    model.step()
    images = model.interpolate(3, 5, seed=1)
    assert images.shape == (3, 5, 1, 8, 8)
    z = torch.randn(2, 3, 1, 8, generator=torch_stream(1, "ends of arcs"))
    torch.testing.assert_close(images[:, 0], model._images(z[0, :, 0], None))
    torch.testing.assert_close(images[:, -1], model._images(z[1, :, 0], None))
    assert build(conditional=True).interpolate(2, 3).shape == (2, 3, 1, 8, 8)


def test_between_two_single_numbers_the_way_is_straight():
    """Their angle is none, or half a turn."""
    pictures = build(latent=1).interpolate(6, 5, seed=0)
    assert pictures.isfinite().all()
    assert not torch.equal(pictures[:, 0], pictures[:, 2])


def test_contradictions_are_refused():
    with pytest.raises(UserError, match="nothing bounds the critic"):
        GAN.Config(loss="wgan", spectral_norm=False).check(())
    with pytest.raises(UserError, match="no sign to adapt to"):
        GAN.Config(**WGAN_GP, augment="adaptive").check(())
    GAN.Config(**WGAN_GP).check(())


def test_labels_have_names_and_numbers():
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


def test_the_seed_decides_everything():
    one, twin, other = build(), build(), build(seed=1)
    torch.manual_seed(5)
    one.step()
    torch.rand(3)
    twin.step()
    other.step()
    assert same(one, twin)
    assert not equal(weights(one.generator), weights(other.generator))


def test_evaluation_leaves_no_trace_and_depends_on_weights_alone():
    watched, control = build(), build()
    for _ in range(3):
        watched.step()
        control.step()
    torch.manual_seed(1)
    first, stream = watched.evaluate(), torch.get_rng_state()
    second = watched.evaluate()
    assert torch.equal(stream, torch.get_rng_state())
    assert same(watched, control)
    assert watched.generator.training
    assert watched.discriminator.training
    for name in first:
        one, other = (metrics[name] for metrics in (first, second))
        assert torch.equal(getattr(one, "images", one), getattr(other, "images", other))
    watched.step()
    control.step()
    assert same(watched, control)
    assert not torch.equal(watched.evaluate()["samples"].images, first["samples"].images)


def test_what_an_evaluation_tells():
    model = build()
    metrics = model.evaluate()
    images = metrics["samples"].images
    assert images.shape == (64, 1, 8, 8)
    assert 0 <= images.min() < images.max() <= 1
    assert 0 <= metrics["eval_accuracy"] <= 1
    with torch.no_grad():
        model.discriminator.judge.bias.fill_(100)  # everything passes for real
    metrics = model.evaluate()
    assert metrics["eval_real_logit"] > 90
    assert metrics["eval_fake_logit"] > 90
    assert metrics["eval_accuracy"] == 0.5


def test_samples_depend_on_their_seed_not_on_how_many_are_made_at_once(monkeypatch):
    model = build()
    model.step()
    images = model.sample(10, seed=3)
    assert images.shape == (10, 1, 8, 8)
    assert torch.equal(images, model.sample(10, seed=3))
    assert not torch.equal(images, model.sample(10, seed=4))
    monkeypatch.setattr(gan, "CHUNK_SIZE", 3)
    torch.testing.assert_close(images, model.sample(10, seed=3))
    assert not images.requires_grad


def test_averaged_generator():
    """Its samples, made in evaluation mode, have the contrast of those the generator trains on."""
    model = build(ema=0.9)
    for _ in range(60):
        model.step()
    z = torch.randn(500, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        trained = model.generator(z)
    averaged = model._images(z, None)
    assert not model.ema.training
    assert averaged.mean() == pytest.approx(trained.mean().item(), abs=0.05)
    assert averaged.std() == pytest.approx(trained.std().item(), abs=0.05)


def test_a_conditional_model_makes_what_it_is_told():
    model = build(conditional=True)
    model.step()
    samples = model.evaluate()["samples"]
    assert samples.images.shape == (80, 1, 8, 8)
    assert samples.column_labels == model.classes
    sevens = model.sample(4, labels=torch.full((4,), 7))
    assert torch.equal(sevens, model.sample(4, labels=torch.full((4,), 7)))
    assert not torch.equal(sevens, model.sample(4, labels=torch.full((4,), 3)))
    assert torch.equal(model.sample(12), model.sample(12, labels=torch.arange(12) % 10))
    for labels in (torch.tensor([1]), torch.tensor([0, 1, 2, 10])):
        with pytest.raises(UserError, match="4 samples want 4 labels of 0 to 9"):
            model.sample(4, labels=labels)
    with pytest.raises(UserError, match="trained without --conditional"):
        build().sample(2, labels=torch.tensor([0, 1]))


def picture(path, size):
    path.parent.mkdir(exist_ok=True)
    Image.effect_noise(size, 100).save(path)


def test_images_that_do_not_fit_are_refused(tmp_path):
    for number in range(2):
        picture(tmp_path / f"{number}.png", (30, 20))
    task = f"folder:{tmp_path}"
    with pytest.raises(DataError, match="30x20 pixels: give a --size"):
        GAN(task, GAN.Config(**SMALL), Setup(threads=1))
    model = GAN(task, GAN.Config(**SMALL, size=32), Setup(threads=1))
    model.step()
    assert model.evaluate()["samples"].images.shape == (64, 1, 32, 32)
    with pytest.raises(UserError, match="has no labels"):
        GAN(task, GAN.Config(**SMALL, size=32, conditional=True), Setup(threads=1))


def test_settings_are_bounded():
    with pytest.raises(ValueError, match="multiple of 4"):
        GAN.Config(size=30)
    with pytest.raises(ValueError, match="less than 1"):
        GAN.Config(ema=1.0)


def test_parameters_are_counted():
    model = build()
    assert model.parameter_count() == sum(
        p.numel() for m in (model.generator, model.discriminator) for p in m.parameters()
    )
    model.step()
    assert model.parameter_count() == sum(
        p.numel() for m in (model.generator, model.discriminator) for p in m.parameters()
    )
